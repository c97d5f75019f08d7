"""The model contract: an ONNX graph and its model.json, checked when loaded. The only importer of onnxruntime."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import ValidationError

from app.core.assemblies import Assembly, get_assembly
from app.core.errors import BadModel, EpifillError, UnknownModel
from app.core.manifest import Manifest
from app.core.panel import Panel, panel_file
from app.core.regions import parse_region
from app.core.yardstick import Yardstick

GRAPH_FILE = "model.onnx"
MANIFEST_FILE = "model.json"
_TENSOR = "tensor(float)"


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
    def sha256(self) -> str:
        """A hash of all its files but model.json."""
        return hashlib.sha256(repr(sorted(self.manifest.sha256.items())).encode()).hexdigest()

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks it imputes and imputes from, in the order of its tensors."""
        return tuple(self.manifest.marks)

    @property
    def assembly(self) -> Assembly:
        """The assembly that it was trained in."""
        return get_assembly(self.manifest.assembly)

    def panel_rows(self, mark: str) -> list[int]:
        """The panel's rows that tell of a mark: its mean, or all of them where the model does not say."""
        panel = self.manifest.panel
        if panel is None:
            return []
        if panel.means is None:
            return list(range(len(panel.channels)))
        return [panel.channels.index(panel.means[self.marks.index(mark)])]

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
