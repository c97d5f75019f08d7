"""`--track MARK=FILE`, or FILE alone where its name tells the mark."""

from collections.abc import Sequence
from pathlib import Path

from app.core.assays import canonical, mark_of_file
from app.core.errors import EpifillError

TRACK_HELP = (
    "MARK=FILE, a bigWig of -log10 p-values; or FILE alone, if its name holds the mark, as E003-H3K4me1.bigWig does"
    " (repeatable)."
)
_ASK = "write --track MARK=FILE, such as --track H3K4me1=sample.bigWig"


class BadTrack(EpifillError):
    """A track option that cannot be used."""


def read_tracks(options: Sequence[str], marks: Sequence[str] = ()) -> list[tuple[str, Path]]:
    """The mark, in its standard spelling, and the file of each `--track`.

    Parameters
    ----------
    options
        As they were given, MARK=FILE or FILE.
    marks
        Marks of the model, which are understood whatever they are called.

    Raises
    ------
    BadTrack
        It is neither, or there is no such file.
    AmbiguousMark
        The name of a FILE does not tell its mark.
    """
    return [_read_track(text, marks) for text in options]


def _read_track(text: str, marks: Sequence[str]) -> tuple[str, Path]:
    mark, separator, file = text.partition("=")
    if separator and not canonical(mark, marks) and Path(text).is_file():
        mark, file = "", text  # a folder or file with a = in its name
    elif not separator:
        mark, file = "", text
    elif not mark or not file:
        raise BadTrack(f"'{text}' is not a track; {_ASK}.")
    if not Path(file).is_file():
        also = "" if separator else "; a track is given as MARK=FILE, or as FILE where its name tells the mark"
        raise BadTrack(f"'{file}' does not exist; give the path of a bigWig file{also}.")
    return (canonical(mark, marks) or mark) if mark else mark_of_file(Path(file).name, marks, _ASK), Path(file)
