"""Positions on a chromosome as people write them: `33,750,000`, `33 750 000`, `33.75M`."""

import re
from fractions import Fraction

from app.core.errors import BadRegion

BLANK = "[ \t\u00a0\u2009\u202f]"
"""Also those that are not to be broken, and thin ones, which stand between groups of digits."""

_GROUPS = (
    rf"[0-9]{{1,3}}(?P<mark>[,'\u2019_]|{BLANK})[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*|[0-9]{{1,3}}(?:\.[0-9]{{3}}){{2,}}"
)
_BASES = re.compile(rf"(?P<number>[0-9]+|{_GROUPS})(?:{BLANK}*bp?)?", re.IGNORECASE)
_SCALED = re.compile(rf"(?P<number>[0-9]+(?:\.[0-9]+)?){BLANK}*(?P<unit>[km])(?:bp?)?", re.IGNORECASE)
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
_NUMERIC = re.compile(rf"[0-9](?:[0-9.,'\u2019_]|{BLANK})*[km]?(?:bp?)?", re.IGNORECASE)
_FACTORS = {"k": 1_000, "m": 1_000_000}
_MOST_DIGITS = 18
_FEW = 1_000
"""Before an end in kb or Mb, so few bases may be meant in that unit, too."""


def read_position(text: str) -> int | None:
    """The bases that a number stands for; None if it is no number.

    Groups of thousands are set apart all in one way, and need two groups if it is by dots; `k` and `M` follow a number
    with or without decimals, `kb`, `Mbp` and the like, too.

    Raises
    ------
    BadRegion
        It is a number that can be read in several ways, or no whole number of bases.
    """
    if match := _BASES.fullmatch(text):
        digits = re.sub("[^0-9]", "", match["number"])
        return int(digits) if len(digits) <= _MOST_DIGITS else None
    if match := _SCALED.fullmatch(text):
        bases = Fraction(match["number"]) * _FACTORS[match["unit"].lower()]
        if bases.denominator == 1:
            return int(bases) if bases < 10**_MOST_DIGITS else None
    if _NUMERIC.fullmatch(text):
        raise BadRegion(f"'{text}' is not clear as a number of bases; write it like 33,750,000 or 33.75M.", text)
    return None


def read_span(start: str, end: str) -> tuple[int, int] | None:
    """Both ends of a region; None if one is no number. `33.75-33.8M` has its unit at the end only.

    Raises
    ------
    BadRegion
        A number, or its unit, can be read in several ways.
    """
    scaled = _SCALED.fullmatch(end)
    if scaled and _DECIMAL.fullmatch(start):
        start += scaled["unit"]
    first, last = read_position(start), read_position(end)
    if first is None or last is None:
        return None
    if scaled and 0 < first < _FEW and _BASES.fullmatch(start):
        unit = scaled["unit"]
        raise BadRegion(
            f"'{start}-{end}' may start at {first} bp or at {first}{unit}; give both ends their unit, such as"
            f" {first}{unit}-{scaled['number']}{unit}.",
            f"{start}-{end}",
        )
    return first, last
