"""Receive an upload onto disk, hashed on the way."""

import base64
import hashlib
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile as StarletteUploadFile

from app.core.errors import ChecksumMismatch
from app.store.files import ORIGINAL, DataFolder

_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Received:
    """An upload on disk: its folder, SHA-256 in hex and size."""

    folder: Path
    sha256: str
    bytes: int


@contextmanager
def incoming(data: DataFolder) -> Iterator[Path]:
    """A folder for one upload; whatever still stands there at the end is removed."""
    folder = data.new_incoming()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def receive(chunks: AsyncIterator[bytes], folder: Path) -> Received:
    """Write an upload as it comes, a megabyte in memory at a time, off the event loop."""
    digest, size, waiting = hashlib.sha256(), 0, bytearray()
    with (folder / ORIGINAL).open("wb", buffering=0) as file:

        def write(data: bytes) -> None:
            digest.update(data)
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]

        async for chunk in chunks:
            size += len(chunk)
            waiting += chunk
            if len(waiting) >= _AT_ONCE:
                await run_in_threadpool(write, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(write, bytes(waiting))
    return Received(folder, digest.hexdigest(), size)


async def pieces_of(file: UploadFile) -> AsyncIterator[bytes]:
    """A multipart file, a megabyte at a time."""
    while chunk := await file.read(_AT_ONCE):
        yield chunk


def without_empty_slots(values: Any) -> Any:
    """A form's files, without the empty ones that a browser or Swagger UI sends for a chooser that was left alone."""

    def is_empty(value: object) -> bool:
        return value == "" or (isinstance(value, StarletteUploadFile) and not value.filename and not value.size)

    return [value for value in values if not is_empty(value)] if isinstance(values, list) else values


def check_digest(request: Request, received: Received) -> None:
    """Compare with `Content-Digest` (RFC 9530) or `X-Checksum-SHA256`; raises ChecksumMismatch."""
    stated = [value.strip().lower() for value in request.headers.getlist("x-checksum-sha256")]
    for item in ",".join(request.headers.getlist("content-digest")).split(","):
        algorithm, _, value = item.partition(";")[0].strip().partition("=")
        if algorithm.lower() == "sha-256":
            try:
                stated.append(base64.b64decode(value.strip(":"), validate=True).hex())
            except ValueError:
                stated.append("a Content-Digest that cannot be read")
    for value in stated:
        if value != received.sha256:
            raise ChecksumMismatch(
                f"The bytes that arrived have the SHA-256 {received.sha256}, not the stated '{value[:80]}';"
                " send the file again.",
                value[:80],
            )
