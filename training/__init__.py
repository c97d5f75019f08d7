"""The trainer: get or simulate data, train, evaluate and export models. It uses `app.core` alone."""
