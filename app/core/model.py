"""The model contract: an ONNX graph and its model.json, checked when loaded. The only importer of onnxruntime."""

import hashlib
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.core.assemblies import Assembly, get_assembly
from app.core.errors import BadModel, UnknownModel

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
    inputs: list[Literal["signal", "observed"]] = Field(min_length=2)
    outputs: list[Literal["imputed"]] = Field(min_length=1)
    sha256: dict[str, str]
    parameters: int
    flop_per_bin: int
    provenance: Provenance
    accuracy: list[Accuracy]
    data_licence: str

    @model_validator(mode="after")
    def _unique(self) -> "Manifest":
        for field in ("marks", "inputs", "outputs"):
            names = getattr(self, field)
            if len(set(names)) != len(names):
                raise ValueError(f"a name stands twice in {field}")
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
        for file, expected in self.manifest.sha256.items():
            _check_hash(folder, file, expected)
        if GRAPH_FILE not in self.manifest.sha256:
            raise BadModel(f"Model '{folder.name}': {MANIFEST_FILE} has no sha256 of {GRAPH_FILE}.")
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

    def run(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Impute every mark.

        This is the one place where NaN becomes the `observed` mask.

        Parameters
        ----------
        values
            float32 (batch, marks, bins), -log10 p-value, NaN = not measured or masked; bins >= `min_bins`.

        Returns
        -------
        float32 (batch, marks, bins), -log10 p-value.
        """
        observed = ~np.isnan(values)
        signal = np.where(observed, values, np.float32(0))
        feed = {"signal": signal, "observed": observed.astype(np.float32)}
        imputed: NDArray[np.float32] = self._session.run(["imputed"], feed)[0]
        return imputed

    def _check_tensors(self) -> None:
        for kind, expected, found in (
            ("inputs", self.manifest.inputs, self._session.get_inputs()),
            ("outputs", self.manifest.outputs, self._session.get_outputs()),
        ):
            names = [tensor.name for tensor in found]
            if sorted(names) != sorted(expected):
                raise BadModel(f"Model '{self.name}': the graph's {kind} are {names}, not {list(expected)}.")
            for tensor in found:
                fixed = len(tensor.shape) == 3 and tensor.shape[1] == len(self.marks)
                dynamic = fixed and not isinstance(tensor.shape[0], int) and not isinstance(tensor.shape[2], int)
                if tensor.type != _TENSOR or not dynamic:
                    raise BadModel(
                        f"Model '{self.name}': {tensor.name} is {tensor.type} {tensor.shape},"
                        f" not float32 [batch, {len(self.marks)}, bins]."
                    )


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
