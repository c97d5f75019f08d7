"""The model contract: an ONNX graph and its model.json, checked when loaded. The only importer of onnxruntime."""

import hashlib
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.core.assemblies import Assembly, get_assembly
from app.core.errors import BadModel, EpifillError, UnknownModel
from app.core.panel import Panel, panel_file
from app.core.quantiles import LEVELS
from app.core.regions import parse_region
from app.core.yardstick import Yardstick

GRAPH_FILE = "model.onnx"
MANIFEST_FILE = "model.json"
MODEL_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")
MODEL_VERSION = re.compile(r"^\d+\.\d+\.\d+$")
_TENSOR = "tensor(float)"


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


class Accuracy(_Strict):
    """Accuracy per mark, and the protocol that measured it, in words."""

    protocol: str
    marks: list[MarkAccuracy]


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


class Model:
    """A loaded model. Safe to run from several threads.

    Parameters
    ----------
    folder
        Holds `model.onnx` and `model.json`.
    threads
        Threads per run; 0 lets onnxruntime use every core.

    Raises
    ------
    BadModel
        The folder breaks the contract, or a file is not the one that was exported.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.manifest = _read_manifest(folder)
        channels = self.manifest.panel.channels if self.manifest.panel else []
        for file in (GRAPH_FILE, *map(panel_file, channels)):
            if file not in self.manifest.sha256:
                raise BadModel(f"Model '{folder.name}': {MANIFEST_FILE} has no sha256 of {file}.")
        for file, expected in self.manifest.sha256.items():
            _check_hash(folder, file, expected)
        graph = (folder / GRAPH_FILE).read_bytes()
        _check_graph(graph, folder.name)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(graph, options, providers=_providers())
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise BadModel(f"Model '{folder.name}': onnxruntime cannot load {GRAPH_FILE} ({reason}).") from None
        self._check_tensors()
        try:
            self.panel = Panel(folder, channels, self.assembly, self.manifest.bin_size_bp) if channels else None
        except EpifillError as error:
            raise BadModel(f"Model '{folder.name}': a file of its panel cannot be used: {error}") from None
        self.yardstick = self._find_yardstick(folder)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks it imputes and imputes from, in the order of its tensors."""
        return tuple(self.manifest.marks)

    @property
    def assembly(self) -> Assembly:
        """The assembly that it was trained in."""
        return get_assembly(self.manifest.assembly)

    def run(
        self,
        values: NDArray[np.float32],
        quantiles: NDArray[np.float32] | None = None,
        panel: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Impute every mark.

        This is the one place where NaN becomes a mask and 0.

        Parameters
        ----------
        values
            float32 (batch, marks, bins), -log10 p-value, NaN = not measured or masked; bins >= `min_bins`.
        quantiles
            For a model with `quantile_levels`: float32 (marks, knots) or (batch, marks, knots), the quantile function
            of each whole track at these levels, -log10 p-value; NaN for every mark that is not observed or is masked.
        panel
            For a model with a panel: float32 (batch, channels, bins), NaN where the panel has nothing.

        Returns
        -------
        float32 (batch, outputs, marks, bins), -log10 p-value; the outputs are imputed or imputed, lower, upper.
        """
        feed = {}
        feed["signal"], feed["observed"] = _mask(values)
        if self.manifest.quantile_levels:
            knots = (*values.shape[:2], len(self.manifest.quantile_levels))
            feed["quantiles"], _ = _mask(np.broadcast_to(_given(quantiles, "quantiles"), knots))
        if self.manifest.panel:
            feed["panel"], feed["panel_observed"] = _mask(_given(panel, "panel"))
        return np.stack(self._session.run(self.manifest.outputs, feed), axis=1)

    def _find_yardstick(self, folder: Path) -> Yardstick | None:
        described = self.manifest.panel and self.manifest.panel.yardstick
        if not described:
            return None
        try:
            regions = [parse_region(text, self.assembly) for text in described.regions]
        except EpifillError as error:
            raise BadModel(f"Model '{self.name}': a region of its yardstick is wrong: {error}") from None
        return Yardstick(Panel(folder, described.channels, self.assembly, self.manifest.bin_size_bp), regions)

    def _check_tensors(self) -> None:
        marks = len(self.marks)
        beside = ("batch", len(self.manifest.panel.channels) if self.manifest.panel else 0, "bins")
        shapes: dict[str, tuple[str, int, str | int]] = {
            "quantiles": ("batch", marks, len(self.manifest.quantile_levels or [])),
            "panel": beside,
            "panel_observed": beside,
        }
        for kind, expected, found in (
            ("inputs", self.manifest.inputs, self._session.get_inputs()),
            ("outputs", self.manifest.outputs, self._session.get_outputs()),
        ):
            names = [tensor.name for tensor in found]
            if sorted(names) != sorted(expected):
                raise BadModel(f"Model '{self.name}': the graph's {kind} are {names}, not {list(expected)}.")
            for tensor in found:
                shape = shapes.get(tensor.name, ("batch", marks, "bins"))
                if tensor.type != _TENSOR or _lengths(tensor.shape) != _lengths(shape):
                    raise BadModel(
                        f"Model '{self.name}': {tensor.name} is {tensor.type} {tensor.shape},"
                        f" not float32 [{', '.join(map(str, shape))}]."
                    )


def _lengths(shape: Sequence[str | int | None]) -> list[int | None]:
    """The lengths of a tensor's axes; None for a dynamic one."""
    return [length if isinstance(length, int) else None for length in shape]


def _mask(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Values with 0 for NaN, and 1 where there was a value, else 0; both float32 of the same shape."""
    there = ~np.isnan(values)
    return np.where(there, values, np.float32(0)), there.astype(np.float32)


def _given(values: NDArray[np.float32] | None, name: str) -> NDArray[np.float32]:
    if values is None:
        raise ValueError(f"the model takes {name}, but none were given")
    return values


def find_models(folder: Path) -> list[Path]:
    """The model folders in a folder of models, by name."""
    return sorted(path.parent for path in folder.glob(f"*/{MANIFEST_FILE}"))


def load_model(folder: Path, name: str, threads: int = 0) -> Model:
    """Load one model of a folder of models; raises UnknownModel or BadModel."""
    names = [path.name for path in find_models(folder)]
    if name not in names:
        raise UnknownModel(
            f"Model '{name}' is not installed; the installed ones are: {', '.join(names) or 'none'}.", name
        )
    return Model(folder / name, threads)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(path.read_bytes(), strict=True)
    except OSError:
        raise BadModel(f"Model '{folder.name}': {MANIFEST_FILE} cannot be read.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BadModel(f"Model '{folder.name}': {MANIFEST_FILE} is not valid at {where}: {first['msg']}.") from None
    if manifest.name != folder.name:
        raise BadModel(f"Model '{folder.name}': {MANIFEST_FILE} names it '{manifest.name}'; the two must agree.")
    get_assembly(manifest.assembly)
    return manifest


def _check_hash(folder: Path, file: str, expected: str) -> None:
    path = folder / file
    if Path(file).is_absolute() or ".." in Path(file).parts or not path.is_file():
        raise BadModel(f"Model '{folder.name}': the file '{file}' is missing.")
    if sha256_of(path) != expected:
        raise BadModel(
            f"Model '{folder.name}': '{file}' is not the file that was exported (its sha256 differs);"
            " install the model again."
        )


def _check_graph(graph: bytes, name: str) -> None:
    """Refuse external data and operators outside the default domain, at every depth of the graph."""
    try:
        proto = onnx.load_model_from_string(graph)
        onnx.checker.check_model(proto)
    except Exception as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise BadModel(f"Model '{name}': {GRAPH_FILE} is not a valid ONNX file ({reason}).") from None
    if proto.functions:
        raise BadModel(f"Model '{name}': {GRAPH_FILE} defines functions; only plain operators are allowed.")
    graphs = [proto.graph]
    while graphs:
        graph_proto = graphs.pop()
        tensors = list(graph_proto.initializer)
        for sparse in graph_proto.sparse_initializer:
            tensors += [sparse.values, sparse.indices]
        for node in graph_proto.node:
            if node.domain not in ("", "ai.onnx"):
                raise BadModel(
                    f"Model '{name}': {GRAPH_FILE} uses the operator {node.op_type} of the domain"
                    f" '{node.domain}'; only the default domain is allowed."
                )
            for attribute in node.attribute:
                graphs += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
                tensors += [*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])]
        if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors):
            raise BadModel(f"Model '{name}': {GRAPH_FILE} keeps weights in another file; they must be inside.")


def _providers() -> Sequence[str]:
    """CUDA first where this build of onnxruntime has it."""
    available = ort.get_available_providers()
    return [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in available]
