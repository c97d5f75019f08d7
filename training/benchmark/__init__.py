"""Compare imputation methods on samples, marks and chromosomes that they have not seen."""
