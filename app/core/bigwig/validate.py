"""Is this file a bigWig at all? Looked at before the parser opens it."""

import struct
from pathlib import Path

from app.core.errors import EmptyTrack, NotABigWig

# Kent et al. 2010, Bioinformatics 26:2204, supplement: magic, version, zoom levels, then three offsets.
_HEADER = "IHHQQQ"
_BIGWIG, _BIGBED = 0x888FFC26, 0x8789F2EB
_HEADER_BYTES = 64


def check_bigwig(path: Path, name: str) -> None:
    """Check a file's size, magic number, version and section offsets.

    Parameters
    ----------
    path
        The file on disk.
    name
        What the user calls it, for the message.

    Raises
    ------
    EmptyTrack
        It has no bytes.
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
    _, version, _, *offsets = struct.unpack_from(f"{order}{_HEADER}", head)
    if version not in (1, 2, 3, 4):
        raise NotABigWig(f"'{name}' says it is bigWig version {version}; versions 1 to 4 can be read.", name)
    if not all(_HEADER_BYTES <= offset < size for offset in offsets):
        raise NotABigWig(
            f"'{name}' is cut off or damaged: its header points past its {size:,} bytes; make or transfer it again.",
            name,
        )


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
