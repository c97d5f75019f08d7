"""Simple imputation methods that a good one must beat."""
