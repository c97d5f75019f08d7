"""Simulated -log10 p-value tracks with the statistics of real ones."""
