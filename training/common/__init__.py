"""What every kind of model shares: methods and measures, checkpoints, the export, and how commands report."""
