"""The offline trainer: fetch, prepare or simulate, train, search, evaluate, export."""
