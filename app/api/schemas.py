"""What the API answers."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.api.addresses import ImputationLinks, SampleLinks, TrackLinks, left_out
from app.api.links import Links
from app.core.impute import Imputation
from app.core.manifest import Accuracy, MarkAccuracy, PanelDescription, Provenance
from app.core.model import Model
from app.core.scores import Score
from app.store.tables import ImputationJob, Sample, Track

TrackStatus = Literal["checking", "ready", "refused"]
ImputationStatus = Literal["queued", "running", "finished", "failed", "cancelled"]


class ModelSummary(BaseModel):
    """A model that is installed."""

    name: str = Field(examples=["paper-core5"])
    version: str = Field(examples=["1.0.0"])
    description: str
    marks: list[str] = Field(examples=[["H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3"]])
    assembly: str = Field(examples=["hg19"])
    bin_size_bp: int = Field(examples=[25])
    default: bool = Field(description="Whether it is used where no model is named")

    @classmethod
    def of(cls, model: Model, default_name: str) -> Self:
        """The summary of a loaded model."""
        manifest = model.manifest.model_dump(include=set(cls.model_fields))
        return cls(**manifest, default=model.name == default_name)


class ModelDetail(ModelSummary):
    """A model, what it was made from, and how well it does."""

    units: str
    halo_bins: int = Field(description="Bins to either side of a bin that its result depends on")
    min_bins: int
    parameters: int
    flop_per_bin: int
    sha256: dict[str, str]
    provenance: Provenance
    accuracy: list[Accuracy]
    data_licence: str
    quantile_levels: list[float] | None = Field(
        description="Levels of the quantile function of each whole track that the model sees; null if it sees none"
    )
    panel: PanelDescription | None = Field(description="What it takes from its training samples at every position")
    interval_coverage: float | None = Field(
        examples=[0.8], description="Share of the truth that should lie between `lower` and `upper`; null without them"
    )
    benchmark: dict[str, dict[str, float | None]] | None = Field(
        description="Mean measures of the model and of what it was compared with, by method"
    )
    reliability: dict[str, float] | None = Field(
        description="Share of the truth that did lie between `lower` and `upper`: by mark, overall, in the top decile"
    )


class ModelName(BaseModel):
    """Which model made an answer."""

    name: str = Field(examples=["paper-core5"])
    version: str = Field(examples=["1.0.0"])


class TrackScore(BaseModel):
    """Agreement of an imputed mark with its masked, measured track."""

    model_config = ConfigDict(from_attributes=True)

    pearson: float | None = Field(description="Pearson r of -log10 p; null where a track is constant")
    pearson_arcsinh: float | None = Field(description="Pearson r of arcsinh(-log10 p)")
    spearman: float | None
    mse_arcsinh: float | None = Field(description="Mean squared error of arcsinh(-log10 p)")
    bins: int = Field(description="Bins that were compared: those that both tracks cover")
    every: int = Field(description="Every so many bins one was compared; 1 = all")
    reason: str | None = Field(description="Why a measure is null")

    @classmethod
    def of(cls, score: Score) -> Self:
        """The same figures, for JSON."""
        return cls.model_validate(score)


class ImputedTrack(BaseModel):
    """One imputed mark; bin i covers `start + i * bin_size_bp` and the next `bin_size_bp` bases."""

    mark: str = Field(examples=["H3K4me3"])
    units: str = Field(examples=["-log10 p-value"])
    start: int = Field(examples=[33_750_000], description="First base, counted from 0")
    values: list[float | None] = Field(examples=[[0.31, 0.29, None]], description="null = not covered by any track")
    lower: list[float | None] | None = Field(default=None, description="Lower bounds, if the model gives an interval")
    upper: list[float | None] | None = Field(default=None, description="Upper bounds, if the model gives an interval")
    score: TrackScore | None = Field(default=None, description="Only for a masked mark, whose truth is known")


class PanelUse(BaseModel):
    """What the model took from its training samples."""

    samples: list[str]
    bins_without: int = Field(description="Imputed bins where it had nothing of them")
    regions_without: list[str] = Field(description="Where those are; at most the first 20 stretches")

    @classmethod
    def of(cls, model: Model, imputation: Imputation) -> Self | None:
        """The use of the model's panel in an imputation; None if it has none."""
        panel, gaps = model.manifest.panel, imputation.gaps
        if not panel or not gaps:
            return None
        return cls(samples=panel.samples, bins_without=gaps.bins, regions_without=[str(r) for r in gaps.regions])


class TargetTrust(BaseModel):
    """How far to trust a target: where the model had its panel, and its accuracy on samples it had not seen."""

    model_config = ConfigDict(from_attributes=True)

    bins: int = Field(description="Imputed bins")
    panel_share: float | None = Field(
        examples=[0.12], description="Share of them where the panel has a value; null for a model without a panel"
    )
    with_panel: MarkAccuracy | None = Field(
        description="Accuracy to expect where the panel has a value, from all of the model's other marks"
    )
    without_panel: MarkAccuracy | None = Field(description="The same where it has none; null: not measured")


class Summary(BaseModel):
    """What was imputed from what."""

    assembly: str = Field(examples=["hg19"])
    region: str | None = Field(examples=["chr21:33,750,000-33,800,000"], description="0-based, half-open, whole bins")
    bin_size_bp: int = Field(examples=[25])
    model: ModelName
    observed: list[str] = Field(examples=[["H3K4me1", "H3K36me3"]], description="Marks the model has seen")
    masked: list[str] = Field(examples=[["H3K4me3"]], description="Marks that were uploaded but hidden from it")
    interval_coverage: float | None = Field(
        examples=[0.8], description="Share of the truth that should lie between `lower` and `upper`; null without them"
    )
    panel: PanelUse | None
    trust: dict[str, TargetTrust] = Field(description="How far to trust each target")
    warnings: list[str] = Field(description="What to know before one trusts the result")


class RegionAnswer(Summary):
    """The imputed tracks over one region."""

    tracks: list[ImputedTrack]


class NewSample(BaseModel):
    """A sample to create."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        examples=["liver, donor 3"],
        description="For people",
    )
    assembly: str | None = Field(
        default=None,
        max_length=40,
        examples=["hg19"],
        description="hg19 or hg38; GRCh37, b37, GRCh38.p14 and others are understood. Default: the first track's, by"
        " its chromosomes' lengths",
    )
    temporary: bool = Field(
        default=False, description="Delete it together with the last of its imputations, whichever way that goes"
    )


class TrackQuality(BaseModel):
    """A track's figures, in -log10 p-value and bins."""

    covered_bins: int = Field(description="Bins with a value")
    covered_fraction: float = Field(description="Their share of the assembly")
    minimum: float
    maximum: float
    mean: float
    negative_fraction: float
    quantiles: dict[str, float] = Field(description="Value at each level of the whole track's quantile function")


class TrackProblem(BaseModel):
    """Why an upload was refused, as the problem document of RFC 9457 says it."""

    type: str | None = left_out()
    title: str | None = left_out()
    status: int | None = left_out()
    detail: str
    subject: str | None = left_out("The file, mark or field that it is about")


class TrackAnswer(BaseModel):
    """A track of a sample."""

    id: str
    mark: str = Field(examples=["H3K4me3"])
    status: TrackStatus
    file_name: str
    sha256: str = Field(description="Of the file as it came")
    bytes: int
    assembly: str | None
    quality: TrackQuality | None
    warnings: list[str] = Field(description="What looks odd, and what it does to a result")
    problem: TrackProblem | None = Field(description="Why the last upload was refused")
    created: datetime
    links: TrackLinks

    @classmethod
    def of(cls, track: Track, links: Links) -> Self:
        """A stored track, for JSON."""
        return cls(
            **track.model_dump(exclude={"sample_id", "stored_bytes"}),
            links=TrackLinks.model_validate(links.track(track)),
        )


class SampleAnswer(BaseModel):
    """A sample and its tracks."""

    id: str
    name: str
    assembly: str | None
    temporary: bool = Field(description="Whether it is deleted together with the last of its imputations")
    created: datetime
    expires: datetime = Field(description="When it is deleted with its tracks; a new track puts it off")
    tracks: list[TrackAnswer]
    links: SampleLinks

    @classmethod
    def of(cls, sample: Sample, tracks: list[Track], expires: datetime, links: Links) -> Self:
        """A stored sample, for JSON."""
        shown = [TrackAnswer.of(track, links) for track in tracks]
        own = SampleLinks.model_validate(links.sample(sample))
        return cls(**sample.model_dump(exclude={"owner"}), expires=expires, tracks=shown, links=own)


class NewImputation(BaseModel):
    """A long imputation to start; without a model, by the default one."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        default=None, max_length=100, examples=["epifill-core5"], description="Default: the default"
    )
    targets: list[str] = Field(
        default=[], max_length=1000, examples=[["H3K27me3"]], description="Default: marks without a track, or masked"
    )
    mask: list[str] = Field(default=[], max_length=1000, description="Marks to hide though they have a track")
    regions: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=10_000,
        examples=[["chr21:33,750,000-34,750,000"]],
        description="0-based, half-open. Default: all that the tracks cover",
    )
    score: bool = Field(default=True, description="Hide each observed mark in turn and score its imputation")


class Progress(BaseModel):
    """How far an imputation is."""

    bins_done: int
    bins_total: int
    bins_per_second: float | None
    seconds_left: float | None

    @classmethod
    def of(cls, row: ImputationJob) -> Self:
        """How far a stored imputation is."""
        left, rate = row.bins_total - row.bins_done, row.bins_per_second
        return cls(
            bins_done=row.bins_done,
            bins_total=row.bins_total,
            bins_per_second=rate,
            seconds_left=left / rate if rate else None,
        )


class HiddenScore(BaseModel):
    """How well an observed mark was imputed from the others, beside the mean of the training samples."""

    model: TrackScore
    panel_mean: TrackScore | None


class ImputationAnswer(BaseModel):
    """A long imputation."""

    id: str
    sample: str
    sample_name: str = Field(examples=["liver, donor 3"], description="As the sample was called when it was asked for")
    status: ImputationStatus
    reason: str | None = Field(description="Why it failed, or does not go on")
    model: ModelName
    observed: list[str]
    masked: list[str]
    targets: list[str]
    regions: list[str] | None
    progress: Progress
    scores: dict[str, HiddenScore] | None
    trust: dict[str, TargetTrust] | None = Field(description="How far to trust each target; null until it has finished")
    warnings: list[str]
    created: datetime
    started: datetime | None
    ended: datetime | None
    expires: datetime | None = Field(description="When it is deleted with its result")
    links: ImputationLinks

    @classmethod
    def of(cls, row: ImputationJob, links: Links) -> Self:
        """A stored imputation, for JSON."""
        shown = {name: row.request[name] for name in ("model", "observed", "masked", "targets", "regions")}
        same = ("id", "sample_name", "status", "reason", "scores", "trust", "warnings")
        times = ("created", "started", "ended", "expires")
        own_fields = {name: getattr(row, name) for name in (*same, *times)}
        own_links = ImputationLinks.model_validate(links.imputation(row))
        return cls(sample=row.sample_id, progress=Progress.of(row), links=own_links, **shown, **own_fields)


class Health(BaseModel):
    """Whether the service is there."""

    status: str = Field(examples=["ok"])


class EngineState(BaseModel):
    """Whether long imputations can be worked on; regions are imputed without."""

    status: Literal["ready", "unavailable"]
    reason: str | None = Field(description="Why it cannot be had; it is tried again and again")


class Readiness(Health):
    """Whether the service can impute, and with what."""

    models: list[str] = Field(examples=[["paper-core5"]])
    engine: EngineState
