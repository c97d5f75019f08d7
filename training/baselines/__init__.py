"""What an imputation method has to beat."""
