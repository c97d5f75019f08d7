"""How far to trust an imputed target: where the model had its panel, and the accuracy to expect there and elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from app.core.manifest import Manifest, MarkAccuracy
from app.core.panel import Gaps


@dataclass(frozen=True)
class Trust:
    """What is known of one target's accuracy before anything of it is measured.

    Attributes
    ----------
    bins
        Imputed bins.
    panel_share
        Share of them where the model's panel has a value of the target; None for a model without a panel.
    with_panel, without_panel
        The accuracy on samples that the model had not seen: where the panel has a value, and where it has none (or
        for a model without a panel), each from all of the model's other marks; from fewer it is lower. None where it
        was not measured.
    """

    bins: int
    panel_share: float | None
    with_panel: MarkAccuracy | None
    without_panel: MarkAccuracy | None

    def expected(self) -> str:
        """The correlation to expect, in few words: `r 0.78 with panel (12%), 0.34 without`."""
        near, far = (_r(accuracy) for accuracy in (self.with_panel, self.without_panel))
        if self.panel_share is None or self.panel_share == 0:
            return f"r {far}"
        if self.panel_share == 1:
            return f"r {near}"
        return f"r {near} with panel ({_share(self.panel_share)}), {far} without"

    def plain(self) -> dict[str, Any]:
        """The same, for JSON."""
        measured = {"with_panel": self.with_panel, "without_panel": self.without_panel}
        shown = {name: accuracy and accuracy.model_dump() for name, accuracy in measured.items()}
        return {"bins": self.bins, "panel_share": self.panel_share, **shown}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """What `plain` has given."""
        near, far = (
            plain[name] and MarkAccuracy.model_validate(plain[name]) for name in ("with_panel", "without_panel")
        )
        return cls(plain["bins"], plain["panel_share"], near, far)


def trust(manifest: Manifest, bins: Mapping[str, int], gaps: Gaps | None) -> dict[str, Trust]:
    """What to expect of each target.

    Parameters
    ----------
    bins
        Imputed bins of each target.
    gaps
        Where the panel had nothing; None for a model without a panel.
    """
    found = {}
    for mark, count in bins.items():
        share = None
        if gaps is not None:
            share = 1 - gaps.by_target.get(mark, 0) / count if count else 0.0
        found[mark] = Trust(
            bins=count,
            panel_share=share,
            with_panel=measured(manifest, mark, True) if manifest.panel else None,
            without_panel=measured(manifest, mark, False if manifest.panel else None),
        )
    return found


def measured(manifest: Manifest, mark: str, panel: bool | None) -> MarkAccuracy | None:
    """The accuracy that a model's benchmark found for a mark, with or without its panel; None if it found none."""
    for accuracy in manifest.accuracy:
        if accuracy.panel is panel:
            return next((own for own in accuracy.marks if own.mark == mark), None)
    return None


def _r(accuracy: MarkAccuracy | None) -> str:
    return "unknown" if accuracy is None or accuracy.pearson is None else f"{accuracy.pearson:.2f}"


def _share(share: float) -> str:
    """A share that is neither 0 nor 1, so it never reads as one of these."""
    return "<1%" if share < 0.01 else ">99%" if share > 0.99 else f"{share:.0%}"
