"""What is wrong with a request's fields, in sentences of ours: the one table.

A validator's own words tell of its types ("expected uploadfile, received str"), not of what to send.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from fastapi.exceptions import RequestValidationError

UNKNOWN, REPEATED = "unknown_field", "repeated_field"
"""Our own kinds of errors, beside the validator's."""

SENTENCES: Mapping[str, str] = {
    "missing": "{field} is missing; send it, as /docs shows",
    UNKNOWN: "{field} is not known here{nearest}",
    "extra_forbidden": "{field} is not known here{nearest}",
    REPEATED: "{field} was given more than once; give it once",
    "json_invalid": "The body is not JSON ({error}); send a JSON object, with Content-Type: application/json",
    "model_type": "The body is not a JSON object; send one, with Content-Type: application/json",
    "model_attributes_type": "The body is not a JSON object; send one, with Content-Type: application/json",
    "value_error": "{field} is not a file; send it as one, with a file name, as a browser or `curl -F` does",
    "string_type": "{field} is not text; give it in quotation marks",
    "string_unicode": "{field} holds characters that are no text; send it as UTF-8",
    "string_too_short": "{field} is too short; give at least {min_length} characters",
    "string_too_long": "{field} is too long; give at most {max_length} characters",
    "string_pattern_mismatch": "{field} has characters that it cannot have, or is not as /docs describes it; mend it",
    "bool_type": "{field} is neither true nor false; give one of the two",
    "bool_parsing": "{field} is neither true nor false; give one of the two",
    "int_type": "{field} is not a whole number; give one",
    "int_from_float": "{field} is not a whole number; give one",
    "int_parsing": "{field} is not a whole number; give one",
    "int_parsing_size": "{field} is too large a number; give a smaller one",
    "greater_than_equal": "{field} is too small; give at least {ge}",
    "less_than_equal": "{field} is too large; give at most {le}",
    "enum": "{field} is none of the values that it can have; give {expected}",
    "literal_error": "{field} is none of the values that it can have; give {expected}",
    "list_type": '{field} is not a list; give a list such as ["..."]',
    "too_short": "{field} has too few values; give at least {min_length}, or leave it out",
    "too_long": "{field} has too many values; give at most {max_length}",
}
"""By the kind of the error; the names in braces are those of the error's context."""

_OTHER = "{field} cannot be used as it is; /docs shows what is expected"
_PARTS = ("body", "query", "path", "header", "cookie")


def sentence(error: Mapping[str, Any]) -> tuple[str, str | None]:
    """What is wrong, for people, and the field that it is about, if it is about one.

    Parameters
    ----------
    error
        One of a RequestValidationError's.
    """
    place: Sequence[Any] = error["loc"]
    if error["type"] == "json_invalid":
        place = ()  # it ends with a position
    field = ".".join(str(part) for part in place if part not in _PARTS)[:200]
    known = {"error": "", "nearest": "", **error.get("ctx", {})}
    known["error"] = str(known["error"]).lower()
    known["field"] = f"'{field}'" if field else "The body"
    text = SENTENCES.get(error["type"], _OTHER).format_map(known)
    return f"{text}{'?' if 'did you mean' in text else '.'}", field or None


def unknown(part: str, name: str, known: Iterable[str]) -> RequestValidationError:
    """The error of a field that a call does not have.

    Parameters
    ----------
    part
        Where it stands: `query` or `body`.
    known
        The fields that the call has.
    """
    return RequestValidationError(
        [{"type": UNKNOWN, "loc": (part, name), "ctx": {"nearest": nearest(name, sorted(known))}}]
    )


def nearest(name: str, known: Sequence[str]) -> str:
    """The end of a sentence on an unknown field: which one may have been meant, or else which there are."""
    by_lower = {own.lower(): own for own in known}
    if close := get_close_matches(name.lower(), by_lower, n=1):
        return f"; did you mean '{by_lower[close[0]]}'"
    return f"; the fields are {', '.join(known)}" if known else "; leave it out"


def repeated(part: str, name: str) -> RequestValidationError:
    """The error of a field that came twice where it can have one value."""
    return RequestValidationError([{"type": REPEATED, "loc": (part, name)}])
