"""What a result's manifest.json holds, for the API's description; `app.jobs.publish` writes it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from app.api.schemas import HiddenScore, ModelName, PanelUse, TargetTrust, TrackScore


class ManifestModel(ModelName):
    """The model, with the hash of each of its files."""

    sha256: dict[str, str]


class ManifestInput(BaseModel):
    """A track that was imputed from."""

    file: str = Field(description="Its name as it was uploaded")
    sha256: str


class ManifestOutput(BaseModel):
    """A bigWig of the result."""

    mark: str
    part: Literal["imputed", "lower", "upper"]
    sha256: str
    bytes: int
    bins: int = Field(description="Bins with a value")


class ResultManifest(BaseModel):
    """Where a result comes from: every hash, parameter and version; its scores, and what to know before trusting it."""

    epifill: str = Field(description="Version of the service")
    versions: dict[str, str] = Field(description="Of what the values depend on")
    created: datetime
    sample: str = Field(description="Its name")
    model: ManifestModel
    assembly: str
    bin_size_bp: int
    regions: list[str] | None = Field(description="As asked; null = all that the tracks cover")
    observed: list[str]
    masked: list[str]
    targets: list[str]
    inputs: dict[str, ManifestInput] = Field(description="By mark")
    outputs: dict[str, ManifestOutput] = Field(description="By file name")
    interval_coverage: float | None
    panel: PanelUse | None
    trust: dict[str, TargetTrust] = Field(description="How far to trust each target")
    scores: dict[str, TrackScore] = Field(description="Of masked marks, against their tracks")
    hidden_scores: dict[str, HiddenScore] = Field(description="Of observed marks, each hidden in turn")
    warnings: list[str]
