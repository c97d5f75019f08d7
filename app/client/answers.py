"""What a server answers of samples and long imputations, as far as the command line needs it."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from app.core.errors import EpifillError


class JobFailed(EpifillError):
    """A job without a result."""


class Progress(BaseModel):
    """How far a job is."""

    bins_done: int = 0
    bins_total: int | None = None
    bins_per_second: float | None = None
    seconds_left: float | None = None


class Figures(BaseModel):
    """Agreement of one imputed mark with the truth."""

    pearson: float | None
    pearson_arcsinh: float | None
    spearman: float | None
    mse_arcsinh: float | None
    bins: int


class Comparison(BaseModel):
    """The model's figures beside those of the mean of its training samples."""

    model: Figures
    panel_mean: Figures | None = None


class ModelName(BaseModel):
    """Which model a job uses."""

    name: str
    version: str


class Links(BaseModel):
    """Where a job's results are, once it has finished."""

    manifest: str | None = None
    hub: str | None = None
    scores_picture: str | None = None
    tracks: dict[str, dict[str, str | None]] = {}


class Job(BaseModel):
    """A long imputation, as the server shows it; what else it says stays for `--json`."""

    model_config = ConfigDict(extra="allow")

    id: str
    sample: str
    sample_name: str
    status: str
    reason: str | None = None
    model: ModelName
    targets: list[str]
    progress: Progress = Progress()
    scores: dict[str, Comparison] | None = None
    warnings: list[str] = []
    created: datetime
    links: Links = Links()

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status not in ("queued", "running")

    def check_finished(self) -> None:
        """Raise JobFailed, with the reason, unless there is a result."""
        if self.status == "failed":
            raise JobFailed(f"The job {self.id} failed: {self.reason or 'the server gives no reason.'}")
        if self.status == "cancelled":
            raise JobFailed(f"The job {self.id} was cancelled{f': {self.reason}' if self.reason else '.'}")
        if self.status != "finished":
            raise JobFailed(f"The job {self.id} is {self.status}; its results are there once it has finished.")


class JobPage(BaseModel):
    """Some of the jobs."""

    imputations: list[Job]
    next: str | None = None


class TrackProblem(BaseModel):
    """Why an upload was refused."""

    model_config = ConfigDict(extra="allow")

    detail: str = ""


class Coverage(BaseModel):
    """The share of its assembly that a track covers, and other figures."""

    model_config = ConfigDict(extra="allow")

    covered_fraction: float | None = None


class Track(BaseModel):
    """A track of a sample."""

    model_config = ConfigDict(extra="allow")

    mark: str
    status: str
    file_name: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    quality: Coverage | None = None
    warnings: list[str] = []
    problem: TrackProblem | None = None


class Sample(BaseModel):
    """A sample, as the server shows it; what else it says stays for `--json`."""

    model_config = ConfigDict(extra="allow")

    id: str
    name: str
    assembly: str | None = None
    created: datetime
    expires: datetime
    tracks: list[Track] = []


class SamplePage(BaseModel):
    """Some of the samples."""

    samples: list[Sample]
    next: str | None = None


class Created(BaseModel):
    """Something new, by its id."""

    id: str


class Output(BaseModel):
    """A file of a result."""

    sha256: str


class ResultManifest(BaseModel):
    """The part of a result's manifest that names its files."""

    outputs: dict[str, Output]


@dataclass(frozen=True)
class Result:
    """A file of a job.

    Attributes
    ----------
    name, link
        What it is called here, and where it is.
    sha256
        The hash that the manifest gives it; None if it gives none.
    renamed
        For the track hub, which names the others: their place on the server relative to it, and their name here.
    """

    name: str
    link: str
    sha256: str | None = None
    renamed: tuple[tuple[str, str], ...] = ()
