"""Epifill's service: imputes missing epigenomic marks over HTTP and on the command line."""

from importlib.metadata import version

__version__ = version("epifill")
