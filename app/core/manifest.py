"""model.json: what a model imputes, from what, how it must be fed, and how well it does."""

import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.core.assays import canonical
from app.core.quantiles import LEVELS
from app.core.scores import Score

MODEL_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")
MODEL_VERSION = re.compile(r"^\d+\.\d+\.\d+$")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MarkAccuracy(_Strict):
    """Measured accuracy of one imputed mark; correlations are None where a track is constant."""

    mark: str
    pearson: float | None
    pearson_arcsinh: float | None
    spearman: float | None
    mse_arcsinh: float | None
    bins: int

    @classmethod
    def of(cls, mark: str, score: Score) -> Self:
        """What a comparison with the truth found."""
        return cls(mark=mark, **{name: getattr(score, name) for name in cls.model_fields if name != "mark"})


class Accuracy(_Strict):
    """Accuracy per mark, and the protocol that measured it, in words.

    Attributes
    ----------
    panel
        Whether the model's panel was there; None for a model without one.
    """

    protocol: str
    marks: list[MarkAccuracy]
    panel: bool | None = None


class Provenance(_Strict):
    """What a model was made from and with."""

    samples: list[str]
    regions: str
    seed: int
    hyper_parameters: dict[str, bool | int | float | str]
    training_seconds: float
    machine: str
    versions: dict[str, str]
    created: date


class YardstickDescription(_Strict):
    """Where a model judges how strong a track is: see `app.core.yardstick`.

    Attributes
    ----------
    regions
        On bin borders, such as chr21:33,750,000-33,800,000.
    channels
        For each mark, the channel of the panel that says what is alike.
    """

    regions: list[str] = Field(min_length=1)
    channels: list[str]


class PanelDescription(_Strict):
    """What a model takes from its training samples at every position.

    Attributes
    ----------
    channels
        Names of the panel's rows, in order, each the bigWig `panel/NAME.bigWig` in the model's folder.
    samples, regions
        What it was made from, and where it has values, in words.
    yardstick
        For a model that takes quantiles: where it judges tracks; None = by all of a track's values.
    means
        For each mark, the channel that is the training samples' mean -log10 p-value, if there are such channels: what
        one has without a model.
    """

    channels: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]] = Field(min_length=1)
    samples: list[str] = Field(min_length=1)
    regions: str
    yardstick: YardstickDescription | None = None
    means: list[str] | None = None


class Manifest(_Strict):
    """model.json: what a model imputes, from what, how it must be fed, and how well it does.

    Attributes
    ----------
    marks
        Names of the graph's mark axis, in order.
    bin_size_bp, units
        What the signal must be: bins of this width, -log10 p-value.
    halo_bins
        Bins on either side of a stretch that its result depends on.
    min_bins
        Shortest stretch that the graph accepts.
    sha256
        Of every file of the model but model.json itself.
    quantile_levels
        For the input `quantiles`: the levels of its knots, from among `app.core.quantiles.LEVELS`.
    panel
        For the inputs `panel` and `panel_observed`.
    interval_coverage
        For the outputs `lower` and `upper`: the share of measured values that should lie between them.
    benchmark
        Per method, the model itself and what it was compared with, its mean measures.
    reliability
        The share of measured values that did lie between lower and upper: per mark, `overall`, in the `top decile`.
    """

    schema_version: Literal[1]
    name: str = Field(pattern=MODEL_NAME.pattern)
    version: str = Field(pattern=MODEL_VERSION.pattern)
    description: str
    marks: list[str] = Field(min_length=2)
    assembly: str
    bin_size_bp: int = Field(ge=1)
    units: Literal["-log10 p-value"]
    halo_bins: int = Field(ge=0)
    min_bins: int = Field(ge=1)
    inputs: list[Literal["signal", "observed", "quantiles", "panel", "panel_observed"]]
    outputs: list[Literal["imputed", "lower", "upper"]]
    sha256: dict[str, str]
    parameters: int
    flop_per_bin: int
    provenance: Provenance
    accuracy: list[Accuracy]
    data_licence: str
    quantile_levels: list[float] | None = Field(default=None, min_length=1)
    panel: PanelDescription | None = None
    interval_coverage: float | None = Field(default=None, gt=0, lt=1)
    benchmark: dict[str, dict[str, float | None]] | None = None
    reliability: dict[str, float] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        channels, levels = self.panel.channels if self.panel else [], self.quantile_levels or []
        for field, names in (("marks", self.marks), ("inputs", self.inputs), ("panel.channels", channels)):
            if len(set(names)) != len(names):
                raise ValueError(f"a name stands twice in {field}")
        for mark in self.marks:
            if (standard := canonical(mark) or mark) != mark:
                raise ValueError(f"the mark {mark} is spelled {standard}")
        if not set(levels) <= set(LEVELS) or sorted(set(levels)) != levels:
            raise ValueError(f"quantile_levels are not rising, or not from among {', '.join(map(str, LEVELS))}")
        expected = {"signal", "observed"}
        expected |= {"quantiles"} if levels else set()
        expected |= {"panel", "panel_observed"} if channels else set()
        if set(self.inputs) != expected:
            raise ValueError(
                "inputs are signal and observed, quantiles if there are quantile_levels, and panel and panel_observed"
                " if there is a panel"
            )
        yardstick = self.panel and self.panel.yardstick
        if yardstick and (len(set(yardstick.channels) & set(channels)) != len(self.marks) or not levels):
            raise ValueError(
                "panel.yardstick is for models with quantiles, and has one of the panel's channels per mark"
            )
        means = self.panel.means if self.panel else None
        if means is not None and (len(means) != len(self.marks) or not set(means) <= set(channels)):
            raise ValueError("panel.means has one of the panel's channels per mark")
        if self.outputs != ["imputed", *(["lower", "upper"] if self.interval_coverage else [])]:
            raise ValueError("outputs are imputed, and lower and upper if there is an interval_coverage, in this order")
        return self
