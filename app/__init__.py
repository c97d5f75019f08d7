"""Epifill's service: imputes missing epigenomic marks over HTTP and on the command line."""

import os
from importlib.metadata import version

# onnxruntime's builds report usage over the network unless told not to before they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = version("epifill")
