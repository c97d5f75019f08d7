"""What to know of an imputation before one trusts it: one sentence each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.core.marks import Plan
from app.core.model import Model
from app.core.panel import Gaps
from app.core.scores import Score
from app.core.strength import Strength, TrackSource
from app.core.trust import Trust

_WHOLE = 0.3
"""Share of the assembly that a track of a whole genome covers at least; half of it may be repeats without a value. Also
the share of a model's yardstick that a track should cover."""


@dataclass(frozen=True)
class Outcome:
    """What an imputation found, as far as warnings follow from it.

    Attributes
    ----------
    strength
        Of the tracks that were imputed from; None if the model does not look at it.
    gaps
        Where the panel had nothing; None if the model has no panel.
    trust, scores
        Of the targets, and of those that were masked.
    """

    strength: Strength | None = None
    gaps: Gaps | None = None
    trust: Mapping[str, Trust] | None = None
    scores: Mapping[str, Score] | None = None


def warnings_of(source: TrackSource, model: Model, plan: Plan, outcome: Outcome) -> list[str]:
    """Everything to know: of the tracks, what was set aside, their strength, the panel's gaps, and scores that lack."""
    return [
        *plan.warnings,
        *_odd_tracks(source, (*plan.observed, *plan.masked)),
        *_strength(source, model, outcome.strength),
        *_gaps(model, outcome),
        *_unscored(outcome.scores or {}),
    ]


def _odd_tracks(source: TrackSource, marks: Iterable[str]) -> list[str]:
    """What was found odd about the tracks when they were taken in; marks of which the same is true share a sentence."""
    marks_of: dict[str, list[str]] = {}
    for mark in marks:
        verdict = source.verdict(mark)
        for sentence in (*verdict.warnings, *([verdict.unusable] if verdict.unusable else [])):
            marks_of.setdefault(sentence, []).append(mark)
    return [f"{', '.join(found)}: {sentence}" for sentence, found in marks_of.items()]


def _strength(source: TrackSource, model: Model, strength: Strength | None) -> list[str]:
    """Tracks whose strength cannot be told well."""
    found = []
    for mark, share in strength.judged.items() if strength else ():
        if share is None:
            share = source.distribution(mark).covered_fraction
            if model.yardstick or share < _WHOLE:
                why = " and has hardly a value where the model judges how strong a track is" if model.yardstick else ""
                found.append(
                    f"{mark} covers {_percent(share)} of {model.assembly.name}{why}; {model.name} judged its strength"
                    " by all of its values, and results may be less accurate than from the whole track."
                )
        elif share < _WHOLE:
            found.append(
                f"{mark} covers {_percent(share)} of the regions where {model.name} judges how strong a track is"
                f" ({model.manifest.provenance.regions}); results may be less accurate than from the whole track."
            )
    return found


def _gaps(model: Model, outcome: Outcome) -> list[str]:
    """Bins without a panel, and what accuracy to expect there."""
    if not outcome.gaps or not outcome.gaps.bins:
        return []
    expected = [
        (trust.with_panel.pearson, trust.without_panel.pearson)
        for trust in (outcome.trust or {}).values()
        if trust.with_panel and trust.without_panel
    ]
    known = [(near, far) for near, far in expected if near is not None and far is not None]
    accuracy = ""
    if known:
        near, far = (sum(side) / len(known) for side in zip(*known, strict=True))
        accuracy = f", where a Pearson r of {far:.2f} is to be expected instead of {near:.2f} with the panel"
    return [
        f"{model.name}'s panel has nothing in {outcome.gaps.bins:,} of the imputed bins; there it goes by the sample's"
        f" own tracks alone{accuracy}."
    ]


def _unscored(scores: Mapping[str, Score]) -> list[str]:
    return [f"{mark} has no score: {score.reason}" for mark, score in scores.items() if score.reason]


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
