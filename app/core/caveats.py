"""What to know of an imputation before one trusts it."""

from app.core.impute import Source
from app.core.marks import Plan
from app.core.model import Model
from app.core.panel import Gaps

_WHOLE = 0.3
"""Share of the assembly that a track of a whole genome covers at least; half of it may be repeats without a value."""


def caveats(source: Source, model: Model, plan: Plan, gaps: Gaps | None) -> list[str]:
    """One sentence each: tracks whose strength cannot be told, and bins without a panel.

    Parameters
    ----------
    source
        The sample's tracks.
    plan
        What was imputed from what.
    gaps
        Where the panel had nothing; None if the model has no panel.
    """
    found = []
    if model.manifest.quantile_levels:
        for mark in plan.observed:
            share = source.distribution(mark).covered_fraction
            if share < _WHOLE:
                shown = f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
                found.append(
                    f"{mark} covers {shown} of {model.assembly.name}, but {model.name} judges a track's strength by all"
                    " of its values; unless it was cut to the regions that the model was trained on"
                    f" ({model.manifest.provenance.regions}), results are less accurate than from the whole track."
                )
    if gaps and gaps.bins:
        found.append(
            f"{model.name}'s panel has nothing in {gaps.bins:,} of the imputed bins; there it goes by the sample's own"
            " tracks alone."
        )
    return found
