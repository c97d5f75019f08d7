"""Which marks are looked at, hidden and imputed."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from app.core.assays import canonical
from app.core.errors import DuplicateMark, NothingObserved, NothingToImpute, UnknownMark
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

    @property
    def tracks(self) -> tuple[str, ...]:
        """Marks whose track is read, for it is looked at or scored against; the others were set aside."""
        return (*self.observed, *self.masked)


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
        Marks that have a track. One that the model does not know is set aside if it is a recognised assay.
    mask
        Marks to treat as missing though a track may be there.
    targets
        Marks to impute; default: every mark of the model that has no track or is masked.
    unusable
        Tracks that tell nothing, by mark: why, in one sentence. They are set aside, unless they are masked.

    Raises
    ------
    UnknownMark
        A target that the model does not have, or a track that is no recognised assay.
    DuplicateMark, NothingObserved, NothingToImpute
    """
    named = [spell(mark, model) for mark in tracks]
    foreign = [mark for mark in dict.fromkeys(named) if mark not in model.marks and canonical(mark)]
    given = [mark for mark in named if mark not in foreign]
    hidden = [mark for text in mask if (mark := spell(text, model)) not in foreign]
    wanted = [spell(mark, model) for mark in targets]
    for mark in (*given, *hidden, *wanted):
        check_mark(mark, model)
    for mark in given:
        if given.count(mark) > 1:
            raise DuplicateMark(f"{mark} has two tracks; give one track per mark.", mark)
    observed = tuple(m for m in model.marks if m in given and m not in hidden and m not in unusable)
    masked = tuple(m for m in model.marks if m in given and m in hidden)
    warnings = (
        *(
            f"{mark} was set aside: {model.name} does not know it; its marks are {', '.join(model.marks)}."
            for mark in foreign
        ),
        *(
            f"{mark} was set aside and counts as not observed: {unusable[mark]}"
            for mark in given
            if mark in unusable and mark not in masked
        ),
    )
    if not observed:
        if warnings:
            also = f" {', '.join(masked)} {'is' if len(masked) == 1 else 'are'} masked." if masked else ""
            raise NothingObserved(f"No track is left to impute from: {' '.join(warnings)}{also}")
        if given:
            raise NothingObserved("Every track is masked; leave at least one mark unmasked to impute from.")
        raise NothingObserved("There is no track; give at least one to impute from.")
    asked = tuple(m for m in model.marks if m in wanted) or tuple(m for m in model.marks if m not in observed)
    measured = [m for m in asked if m in observed]
    if measured:
        raise NothingToImpute(
            f"{measured[0]} is measured, so there is nothing to impute; mask it to impute it from the other marks.",
            measured[0],
        )
    if not asked:
        raise NothingToImpute(
            f"All {len(model.marks)} marks of {model.name} are measured, so there is nothing to impute;"
            " mask one to impute it from the others."
        )
    return Plan(observed, masked, asked, warnings)


def spell(text: str, model: Model) -> str:
    """The standard spelling of a mark or another assay; text that is neither as it is."""
    return canonical(text, model.marks) or text


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
