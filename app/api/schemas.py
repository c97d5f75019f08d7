"""What the API answers."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from app.core.model import Accuracy, Model, Provenance
from app.core.scores import Score


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
    bins: int = Field(description="Bins that both tracks cover")

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
    score: TrackScore | None = Field(default=None, description="Only for a masked mark, whose truth is known")


class Summary(BaseModel):
    """What was imputed from what."""

    assembly: str = Field(examples=["hg19"])
    region: str | None = Field(examples=["chr21:33,750,000-33,800,000"], description="0-based, half-open, whole bins")
    bin_size_bp: int = Field(examples=[25])
    model: ModelName
    observed: list[str] = Field(examples=[["H3K4me1", "H3K36me3"]], description="Marks the model has seen")
    masked: list[str] = Field(examples=[["H3K4me3"]], description="Marks that were uploaded but hidden from it")


class RegionAnswer(Summary):
    """The imputed tracks over one region."""

    tracks: list[ImputedTrack]


class Health(BaseModel):
    """Whether the service is there."""

    status: str = Field(examples=["ok"])


class Readiness(Health):
    """Whether the service can impute, and with what."""

    models: list[str] = Field(examples=[["paper-core5"]])
