"""The command line's side of long imputations: `epifill jobs`, against a server."""
