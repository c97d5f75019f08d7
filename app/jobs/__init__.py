"""Long work: an imputation in pieces, on an engine that may die."""

QUIET = {"OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error"}
"""Environment of an engine's processes: one thread per worker, and a log of errors alone."""
