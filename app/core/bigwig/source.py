"""An untrusted file, never read outside its bounds."""

import os
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from app.core.errors import NotABigWig


class Source:
    """The bytes of an upload, and what the user calls it.

    Parameters
    ----------
    file
        Open for reading. Read piece by piece and not mapped: a mapping would count against the memory limit.
    name
        What the user calls it, for the messages.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self._number = file.fileno()
        self.size = os.fstat(self._number).st_size

    def read(self, offset: int, count: int, what: str) -> bytes:
        """Exactly `count` bytes; `what` they are is for the message. Raises NotABigWig if they are not there."""
        if offset + count > self.size:
            raise self.damaged(f"its {what} points past its {self.size:,} bytes")
        data = os.pread(self._number, count, offset)
        if len(data) != count:
            raise self.damaged(f"its {what} cannot be read")
        return data

    def array(self, offset: int, dtype: np.dtype[np.void], count: int, what: str) -> NDArray[np.void]:
        """`count` records, like `read`."""
        return np.frombuffer(self.read(offset, count * dtype.itemsize, what), dtype)

    def damaged(self, fault: str) -> NotABigWig:
        """The error to raise for a fault of the file."""
        return NotABigWig(f"'{self.name}' is cut off or damaged: {fault}; make or transfer it again.", self.name)
