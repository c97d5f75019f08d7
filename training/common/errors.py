"""What can be wrong with a trainer's input; one sentence each, like `app.core.errors`."""

from app.core.errors import EpifillError


class BadData(EpifillError):
    """A data file or data set that cannot be used."""


class BadCheckpoint(EpifillError):
    """A checkpoint that is missing, or was made with other data or parameters."""


class ExportRefused(EpifillError):
    """An exported graph that does not compute what the network computes."""
