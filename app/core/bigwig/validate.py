"""Is this file a bigWig at all, and what does it say of itself? Looked at before the parser opens it."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.core.bigwig.source import Source
from app.core.errors import EmptyTrack, NotABigWig

# Kent et al. 2010, Bioinformatics 26:2204, supplement: magic, version, zoom levels, offsets of chromosome tree, data
# and index, two field counts, offsets of autoSql and total summary, buffer size, extension offset.
_HEADER = struct.Struct("<IHHQQQHHQQIQ")
_SUMMARY = struct.Struct("<Qdddd")
_ZOOM = np.dtype([("reduction", "<u4"), ("reserved", "<u4"), ("data_at", "<u8"), ("index_at", "<u8")])
_MAX_ZOOM_LEVELS = 32
_BIGWIG, _BIGBED = 0x888FFC26, 0x8789F2EB


@dataclass(frozen=True)
class Summary:
    """What a bigWig's header says of its values. (pyBigWig's own `header()` crashes if one is infinite.)"""

    covered_bases: int
    minimum: float
    maximum: float
    total: float


@dataclass(frozen=True)
class Header:
    """The first 64 bytes: where the parts of the file begin, and the summary, None if old writers left it out."""

    version: int
    chromosomes_at: int
    data_at: int
    index_at: int
    buffer_bytes: int
    """Most bytes that a block has when it is inflated; 0 if blocks are not compressed."""
    summary: Summary | None

    BYTES = _HEADER.size
    CLOSING = _BIGWIG.to_bytes(4, "little")
    """The last bytes of a complete file."""


def read_header(source: Source) -> Header:
    """Read the header of a bigWig.

    Raises
    ------
    EmptyTrack
        The file has no bytes, or was closed before a value was written.
    NotABigWig
        It is something else, cut off, or in a byte order or version that cannot be read.
    """
    name, size = source.name, source.size
    if not size:
        raise EmptyTrack(f"'{name}' is empty (0 bytes); give a bigWig file.", name)
    head = source.read(0, min(size, _HEADER.size), "header")
    if head[:4] == _BIGWIG.to_bytes(4, "big"):
        raise NotABigWig(
            f"'{name}' is a bigWig in big-endian byte order, which cannot be read;"
            " convert it with bigWigToBedGraph and bedGraphToBigWig.",
            name,
        )
    if head[:4] != Header.CLOSING:
        raise NotABigWig(f"'{name}' is not a bigWig file but {_looks_like(head)}; give a bigWig file.", name)
    if len(head) < _HEADER.size:
        raise NotABigWig(f"'{name}' is cut off after {size} bytes; make or transfer it again.", name)
    _, version, zoom_levels, *parts, _, _, _, summary_at, buffer_bytes, _ = _HEADER.unpack(head)
    if version not in (1, 2, 3, 4):
        raise NotABigWig(f"'{name}' says it is bigWig version {version}; versions 1 to 4 can be read.", name)
    summary = None
    if summary_at:
        summary = Summary(*_SUMMARY.unpack(source.read(summary_at, _SUMMARY.size, "header"))[:4])
    chromosomes_at, data_at, index_at = parts
    if summary and not summary.covered_bases and not index_at:
        raise no_values(name)  # a writer that was closed without a value leaves no index
    if max(parts) > size or min(parts) < _HEADER.size or 0 < summary_at < _HEADER.size:
        raise source.damaged(f"its header points past its {size:,} bytes")
    _check_zooms(source, zoom_levels, [*parts, summary_at] if summary_at else parts)
    return Header(version, chromosomes_at, data_at, index_at, buffer_bytes, summary)


def _check_zooms(source: Source, levels: int, parts: list[int]) -> None:
    """Check that the list of zoom levels lies within the file and over nothing else.

    libBigWig reads this list when it opens a file, and frees wild pointers if it cannot. What the list points to is
    read by nothing here, so it may be anything.
    """
    if levels > _MAX_ZOOM_LEVELS:
        raise source.damaged(f"it claims to have {levels:,} zoom levels")
    zooms = source.array(_HEADER.size, _ZOOM, levels, "list of zoom levels")
    begin = _HEADER.size + zooms.nbytes
    if min(parts) < begin:
        raise source.damaged("its list of zoom levels lies over other parts of it")
    offsets = np.concatenate([zooms["data_at"], zooms["index_at"]])
    if ((offsets < begin) | (offsets > source.size)).any():
        raise source.damaged(f"its zoom levels point out of its {source.size:,} bytes or into its header")


def check_bigwig(path: Path, name: str) -> Summary | None:
    """Check a file's size, magic number, version and section offsets, and read its summary.

    Parameters
    ----------
    path
        The file on disk.
    name
        What the user calls it, for the message.

    Returns
    -------
    The summary; None in files of old writers that have none.

    Raises
    ------
    EmptyTrack
        It has no bytes, or no values.
    NotABigWig
        It is something else, or cut off.
    """
    with path.open("rb") as file:
        summary = read_header(Source(file, name)).summary
    if summary and not summary.covered_bases:
        raise no_values(name)
    return summary


def no_values(name: str) -> EmptyTrack:
    """The error to raise for a track without values."""
    return EmptyTrack(f"'{name}' holds no values; give a track with data.", name)


def _looks_like(head: bytes) -> str:
    if head[:4] in (_BIGBED.to_bytes(4, "little"), _BIGBED.to_bytes(4, "big")):
        return "a bigBed file"
    if head[:2] == b"\x1f\x8b":
        return "gzip-compressed data (unpack it first)"
    if head[:2] == b"PK":
        return "a zip archive (unpack it first)"
    if head[:4] == b"\x89HDF":
        return "an HDF5 file"
    if head and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        return "text (convert wig or bedGraph with wigToBigWig or bedGraphToBigWig)"
    return "something else"
