"""Which marks are looked at, hidden and imputed."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from app.core.errors import AmbiguousMark, DuplicateMark, NothingObserved, NothingToImpute, UnknownMark
from app.core.model import Model


@dataclass(frozen=True)
class Plan:
    """Which marks are looked at, hidden and imputed.

    Attributes
    ----------
    observed
        Marks with a track that the model sees.
    masked
        Marks with a track that is hidden from the model; their imputation can be scored.
    targets
        Marks to impute.
    warnings
        One sentence for each track that was set aside: it counts as not observed.
    """

    observed: tuple[str, ...]
    masked: tuple[str, ...]
    targets: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def plan(
    model: Model,
    tracks: Sequence[str],
    mask: Sequence[str] = (),
    targets: Sequence[str] = (),
    unusable: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Settle which marks are imputed from which.

    Parameters
    ----------
    tracks
        Marks that have a track.
    mask
        Marks to treat as missing though a track may be there.
    targets
        Marks to impute; default: every mark of the model that has no track or is masked.
    unusable
        Tracks that tell nothing, by mark: why, in one sentence. They are set aside, unless they are masked.

    Raises
    ------
    UnknownMark, DuplicateMark, NothingObserved, NothingToImpute
    """
    for mark in (*tracks, *mask, *targets):
        check_mark(mark, model)
    for mark in tracks:
        if tracks.count(mark) > 1:
            raise DuplicateMark(f"{mark} has two tracks; give one track per mark.", mark)
    observed = tuple(m for m in model.marks if m in tracks and m not in mask and m not in unusable)
    warnings = tuple(f"{m} was set aside and counts as not observed: {unusable[m]}" for m in tracks if m in unusable)
    if not observed:
        if warnings:
            raise NothingObserved(f"No track is left to impute from: {' '.join(warnings)}")
        if tracks:
            raise NothingObserved("Every track is masked; leave at least one mark unmasked to impute from.")
        raise NothingObserved("There is no track; give at least one to impute from.")
    wanted = tuple(m for m in model.marks if m in targets) or tuple(m for m in model.marks if m not in observed)
    measured = [m for m in wanted if m in observed]
    if measured:
        raise NothingToImpute(
            f"{measured[0]} is measured, so there is nothing to impute; mask it to impute it from the other marks.",
            measured[0],
        )
    if not wanted:
        raise NothingToImpute(
            f"All {len(model.marks)} marks of {model.name} are measured, so there is nothing to impute;"
            " mask one to impute it from the others."
        )
    return Plan(observed, tuple(m for m in model.marks if m in tracks and m in mask), wanted, warnings)


def check_mark(mark: str, model: Model) -> None:
    """Raise UnknownMark for a mark that the model does not have, with the nearest that it has."""
    if mark not in model.marks:
        upper = {m.upper(): m for m in model.marks}
        near = difflib.get_close_matches(mark.upper(), list(upper), n=1, cutoff=0.8)
        hint = f" Did you mean {upper[near[0]]}?" if near else ""
        raise UnknownMark(
            f"'{mark[:40]}' is not a mark of {model.name}, which has {', '.join(model.marks)}.{hint}",
            mark,
        )


def mark_of_file(name: str, model: Model) -> str:
    """Read the mark from a file name such as `E003-H3K4me3.pval.signal.bigWig`; raises AmbiguousMark."""
    words = {word.upper() for word in re.split(r"[^A-Za-z0-9]+", name)}
    found = [mark for mark in model.marks if mark.upper() in words]
    if len(found) != 1:
        raise AmbiguousMark(
            f"The mark of '{name}' cannot be told from its name; give the marks of the files,"
            f" in their order, each one of {', '.join(model.marks)}.",
            name,
        )
    return found[0]
