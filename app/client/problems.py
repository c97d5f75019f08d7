"""What a command says of a problem that the server answers: in words of commands, not of HTTP calls."""

from collections.abc import Callable

from pydantic import BaseModel

_URN = "urn:epifill:problem:"


class Problem(BaseModel):
    """A problem document, as far as the command line needs it; `type` is empty where a proxy has written it."""

    detail: str
    type: str = ""
    subject: str | None = None

    @property
    def kind(self) -> str:
        """The stable name of the kind of problem."""
        return self.type.removeprefix(_URN)


def sentence(problem: Problem) -> str:
    """One sentence for whoever gave the command."""
    own = _OWN.get(problem.kind, problem.detail)
    return own if isinstance(own, str) else own(problem)


def _field(problem: Problem) -> str:
    """A field that is not valid, by the option that it came from."""
    field = (problem.subject or "").partition(".")[0]
    said = problem.detail.removeprefix(f"{problem.subject}:").strip()
    return f"{_OPTIONS[field]}: {said}" if field in _OPTIONS else problem.detail


_OPTIONS = {
    "assembly": "--assembly",
    "mark": "--track",
    "mask": "--mask",
    "model": "--model",
    "name": "--name",
    "regions": "--region",
    "targets": "--target",
}

_OTHER_VERSION = "What answers is not this version of Epifill; check --server."

_OWN: dict[str, str | Callable[[Problem], str]] = {
    "content-too-large": "The file is larger than the server takes; see its EPIFILL_MAX_UPLOAD_BYTES.",
    "has-ended": "The job has ended already; its result was kept.",
    "invalid-request": _field,
    "key-refused": "The server wants a valid API key; give one with --key, or in EPIFILL_API_KEY.",
    "key-reused": "The server takes this for another command that came before; give the command again.",
    "method-not-allowed": _OTHER_VERSION,
    "not-found": _OTHER_VERSION,
    "unknown-imputation": "There is no such job on the server; `epifill jobs list` shows yours.",
    "unknown-sample": "There is no such sample on the server; `epifill samples list` shows yours.",
}
"""For the kinds of problem whose `detail` speaks of calls, headers or fields."""
