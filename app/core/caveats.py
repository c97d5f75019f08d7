"""What to know of an imputation before one trusts it."""

from app.core.model import Model
from app.core.panel import Gaps
from app.core.strength import Source, Strength

_WHOLE = 0.3
"""Share of the assembly that a track of a whole genome covers at least; half of it may be repeats without a value. Also
the share of a model's yardstick that a track should cover."""


def caveats(source: Source, model: Model, strength: Strength | None, gaps: Gaps | None) -> list[str]:
    """One sentence each: tracks whose strength cannot be told, and bins without a panel.

    Parameters
    ----------
    source
        The sample's tracks.
    strength
        Of the tracks that were imputed from; None if the model does not look at it.
    gaps
        Where the panel had nothing; None if the model has no panel.
    """
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
    if gaps and gaps.bins:
        found.append(
            f"{model.name}'s panel has nothing in {gaps.bins:,} of the imputed bins; there it goes by the sample's own"
            " tracks alone."
        )
    return found


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
