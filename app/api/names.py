"""Names of files: as headers give them (RFC 6266, RFC 8187), and as answers give them."""

import re
from collections.abc import Iterable, Sequence
from email.message import Message
from itertools import takewhile
from typing import Literal
from urllib.parse import quote

from app.core.errors import BadName

_LONGEST = 56
"""Letters of a sample's name in a file's name; a file system takes 255 bytes, and four make a letter at most."""


def file_name_of(disposition: str) -> str | None:
    """The file name of a Content-Disposition, `filename*` before `filename`; None if it has neither.

    Parameters
    ----------
    disposition
        The header as it came, each byte a character.
    """
    message = Message()
    message["content-disposition"] = disposition.replace("\r", " ").replace("\n", " ")
    plain = None
    for name, value in message.get_params([], header="content-disposition", unquote=True):
        if name.lower() == "filename":
            if isinstance(value, tuple):
                return _decoded(value)
            plain = value
    return None if plain is None else _utf8(plain)


def _decoded(extended: tuple[str | None, str | None, str]) -> str:
    """The text of `charset'language'value`; what is no text of its charset is replaced, as it is only a name."""
    charset, _, value = extended
    raw = value.encode("latin-1", errors="replace")
    try:
        return raw.decode(charset or "utf-8", errors="replace")
    except LookupError:
        return raw.decode("utf-8", errors="replace")


def _utf8(text: str) -> str:
    """A name that was sent as bytes of UTF-8, as most programs do, or else of Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def printable(name: str) -> str:
    """A file name that may stand in messages and lists, without its folder; raises BadName."""
    short = name.replace("\\", "/").rsplit("/", 1)[-1][:200]
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", short) or not short:
        raise BadName("The file's name has control characters; give it a plain name.")
    return short


def safe(text: str) -> str:
    """A part of a file name, of letters of any script, digits, `.`, `_`, `-` and `+`; empty where nothing is left."""
    return re.sub(r"[^\w.+-]+", "_", text)[:_LONGEST].strip("._-")


def result_name(sample: str, *parts: str) -> str:
    """The name of a result: SAMPLE.PART.PART, or without the sample where its name has nothing that a file's may."""
    return ".".join(part for part in (safe(sample), *parts) if part)


def common_stem(files: Sequence[str], marks: Iterable[str]) -> str:
    """What the names of one sample's files have in common before their marks; empty if that is nothing.

    Parameters
    ----------
    files, marks
        One of each for every file.
    """
    starts = []
    for file, mark in zip(files, marks, strict=True):
        place = file.lower().find(mark.lower())
        starts.append(file[:place] if place >= 0 else file)
    letters = takewhile(lambda found: len(set(found)) == 1, zip(*starts, strict=False))
    common = "".join(found[0] for found in letters)
    if any(start != common for start in starts):  # it may end amid a word that differs
        common = re.sub(r"[^\s._-]*$", "", common)
    return safe(re.sub(r"\.(bw|bigwig)$", "", common, flags=re.IGNORECASE))


def content_disposition(name: str, kind: Literal["attachment", "inline"]) -> str:
    """The header for a file name, with its letters outside ASCII as RFC 6266 has them."""
    ascii_name = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    plain = f'{kind}; filename="{ascii_name}"'
    return plain if ascii_name == name else f"{plain}; filename*=UTF-8''{quote(name, safe='')}"
