"""A file on an HTTP server, read only where it is asked for."""

import os
from collections import OrderedDict
from collections.abc import Callable

import httpx2

from training.data.download import BrokenOff, FetchFailed, Retry, Version, answered_range, with_retries


class HttpFile:
    """A file on a server that is read where it is asked for, by range requests; for one thread.

    Has the `read`, `seek` and `tell` of a binary file, for a library that reads one. The library may hide an
    exception of `read`, so `failure` keeps it.

    Parameters
    ----------
    client, url
        With what and from where.
    retry
        How often each request is tried.
    on_bytes
        Called with the number of bytes of every piece that arrives.
    block_bytes
        Size of the aligned blocks that are asked for.
    blocks_kept
        How many blocks stay in memory, the last used ones.

    Raises
    ------
    FetchFailed
        The file is not there, the server answers no range requests or something else than was asked for, the
        file changes between two requests, or a request fails at every try.
    """

    def __init__(
        self,
        client: httpx2.Client,
        url: str,
        retry: Retry,
        on_bytes: Callable[[int], None],
        *,
        block_bytes: int = 256 * 1024,
        blocks_kept: int = 16,
    ) -> None:
        self.failure: FetchFailed | None = None
        self._client, self.url, self._retry, self._on_bytes = client, url, retry, on_bytes
        self._block_bytes, self._blocks_kept = block_bytes, blocks_kept
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0
        self._version: Version | None = None
        self._block(0)

    @property
    def version(self) -> Version:
        """The version that every byte read so far belongs to."""
        assert self._version is not None
        return self._version

    @property
    def size(self) -> int:
        """Size of the whole file in bytes."""
        assert self.version.size is not None
        return self.version.size

    def tell(self) -> int:
        """Where the next read starts."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset from the start, the current place or the end."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if origin + offset < 0:
            raise ValueError(f"cannot seek to {origin + offset}")
        self._position = origin + offset
        return self._position

    def read(self, n_bytes: int = -1) -> bytes:
        """The next `n_bytes`, fewer only at the file's end; all that is left if negative."""
        end = self.size if n_bytes < 0 else min(self.size, self._position + n_bytes)
        pieces = []
        while self._position < end:
            number, offset = divmod(self._position, self._block_bytes)
            piece = self._block(number)[offset : offset + end - self._position]
            pieces.append(piece)
            self._position += len(piece)
        return b"".join(pieces)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * self._block_bytes
            try:
                block = with_retries(self.url, self._retry, lambda: self._request(start))
            except FetchFailed as failure:
                self.failure = failure
                raise
            self._blocks[number] = block
            if len(self._blocks) > self._blocks_kept:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _request(self, start: int) -> bytes:
        asked = {"Range": f"bytes={start}-{start + self._block_bytes - 1}"}
        with self._client.stream("GET", self.url, headers=asked) as response:
            if response.status_code == httpx2.codes.OK:
                raise FetchFailed(
                    f"{self.url} cannot be read in part: the server ignores range requests (HTTP 200);"
                    " fetch whole files with --chromosome all."
                )
            first, end, version = answered_range(response, self.url)
            if self._version and not self._version.agrees(version):
                raise FetchFailed(f"{self.url} changed on the server while it was read; fetch it again.")
            if (first, end) != (start, min(start + self._block_bytes, version.size or 0)):
                raise BrokenOff(f"the server sent bytes {first}-{end - 1} where {start} and on were asked for")
            block = bytearray()
            for piece in response.iter_raw():
                self._on_bytes(len(piece))
                block += piece
                if len(block) > end - start:
                    break
        if len(block) != end - start:
            raise BrokenOff(f"the server sent {len(block):,} bytes of a part of {end - start:,}")
        self._version = self._version or version
        return bytes(block)
