"""Is this file a bigWig at all, and what does it say of itself? Looked at before the parser opens it."""

import struct
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import EmptyTrack, NotABigWig

# Kent et al. 2010, Bioinformatics 26:2204, supplement: magic, version, zoom levels, offsets of chromosome tree, data
# and index, two field counts, offsets of autoSql and total summary, buffer size, extension offset.
_HEADER = "IHHQQQHHQQIQ"
_SUMMARY = "Qdddd"
_BIGWIG, _BIGBED = 0x888FFC26, 0x8789F2EB
_HEADER_BYTES = 64


@dataclass(frozen=True)
class Summary:
    """What a bigWig's header says of its values. (pyBigWig's own `header()` crashes if one is infinite.)"""

    covered_bases: int
    minimum: float
    maximum: float
    total: float


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
    size = path.stat().st_size
    if not size:
        raise EmptyTrack(f"'{name}' is empty (0 bytes); give a bigWig file.", name)
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        for order in "<>":
            if len(head) >= 4 and struct.unpack_from(f"{order}I", head)[0] == _BIGWIG:
                break
        else:
            raise NotABigWig(f"'{name}' is not a bigWig file but {_looks_like(head)}; give a bigWig file.", name)
        if len(head) < _HEADER_BYTES:
            raise NotABigWig(f"'{name}' is cut off after {size} bytes; make or transfer it again.", name)
        _, version, _, *offsets, _, _, _, summary_at, _, _ = struct.unpack(f"{order}{_HEADER}", head)
        if version not in (1, 2, 3, 4):
            raise NotABigWig(f"'{name}' says it is bigWig version {version}; versions 1 to 4 can be read.", name)
        summary_bytes = struct.calcsize(f"{order}{_SUMMARY}")
        past_end = any(offset > size for offset in offsets) or summary_at > size - summary_bytes
        summary = None
        if summary_at and not past_end:
            file.seek(summary_at)
            summary = Summary(*struct.unpack(f"{order}{_SUMMARY}", file.read(summary_bytes))[:4])
            if not summary.covered_bases:
                raise EmptyTrack(f"'{name}' holds no values; give a track with data.", name)
        if past_end or min(offsets) < _HEADER_BYTES:
            raise NotABigWig(
                f"'{name}' is cut off or damaged: its header points past its {size:,} bytes;"
                " make or transfer it again.",
                name,
            )
        return summary


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
