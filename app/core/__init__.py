"""The domain, in order of the data's way: region, Signal, tiles, model, Signal, bigWig."""
