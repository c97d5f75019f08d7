"""The paper: its autoencoder, its recipe, its search, its test procedure."""
