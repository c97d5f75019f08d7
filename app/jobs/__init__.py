"""Long work: an imputation in pieces, on an engine that may die."""
