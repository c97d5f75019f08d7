"""`python -m app` is `epifill`."""

from app.cli import main

main()
