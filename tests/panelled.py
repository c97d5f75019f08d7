"""A model with every optional part of the contract, `panelled`: sums that are easily done again in NumPy."""

from datetime import date
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from app.core.assemblies import HG19
from app.core.bigwig.write import BigWigWriter
from app.core.manifest import Manifest, PanelDescription, Provenance
from app.core.model import sha256_of
from app.core.regions import Region

CHANNELS = ("H3K4me1.mean", "H3K4me3.mean")
KNOTS = (0.5, 0.9, 1.0)
WEIGHTS = np.arange(1, 6, dtype=np.float32)[:, None]


def expected(values: np.ndarray, quantiles: np.ndarray, panel: np.ndarray) -> np.ndarray:
    """What the model `panelled` says: imputed, lower and upper, float32 (3, marks, bins), recomputed in NumPy.

    (Mean of the panel + sum over 7 bins of the mean of the signals / sum of the top quantiles) x weight of the mark;
    half of it; twice it.
    """
    with_zeros = np.nan_to_num(values)
    mean = with_zeros.sum(axis=0) / np.maximum((~np.isnan(values)).sum(axis=0), 1)
    near = np.convolve(mean, np.ones(7), "same") / np.nansum(quantiles[:, -1])
    beside = np.nan_to_num(panel).sum(axis=0) / np.maximum((~np.isnan(panel)).sum(axis=0), 1)
    imputed = (beside + near) * WEIGHTS
    return np.stack([imputed, imputed / 2, imputed * 2]).astype(np.float32)


def graph(marks: int = 5, channels: int = 2, knots: int = 3) -> onnx.ModelProto:
    """The same as a graph."""

    def constant(name: str, value: object, kind: type = np.float32) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(value, kind), name)

    def tensor(name: str, rows: int, last: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", rows, last))

    def mean(name: str, values: str, mask: str) -> list[onnx.NodeProto]:
        return [
            helper.make_node("ReduceSum", [values, "rows"], [f"{name}_sum"], keepdims=1),
            helper.make_node("ReduceSum", [mask, "rows"], [f"{name}_there"], keepdims=1),
            helper.make_node("Max", [f"{name}_there", "one"], [f"{name}_count"]),
            helper.make_node("Div", [f"{name}_sum", f"{name}_count"], [name]),
        ]

    nodes = [
        *mean("mean", "signal", "observed"),
        *mean("beside", "panel", "panel_observed"),
        helper.make_node("Conv", ["mean", "kernel"], ["wide"], pads=[3, 3]),
        helper.make_node("Gather", ["quantiles", "top"], ["tops"], axis=2),
        helper.make_node("ReduceSum", ["tops", "rows"], ["strength"], keepdims=1),
        helper.make_node("Div", ["wide", "strength"], ["near"]),
        helper.make_node("Add", ["beside", "near"], ["both"]),
        helper.make_node("Mul", ["both", "weights"], ["imputed"]),
        helper.make_node("Mul", ["imputed", "half"], ["lower"]),
        helper.make_node("Div", ["imputed", "half"], ["upper"]),
    ]
    inputs = [tensor(name, marks, "bins") for name in ("signal", "observed")]
    inputs += [tensor("quantiles", marks, knots)]
    inputs += [tensor(name, channels, "bins") for name in ("panel", "panel_observed")]
    outputs = [tensor(name, marks, "bins") for name in ("imputed", "lower", "upper")]
    constants = [
        constant("rows", [1], np.int64),
        constant("top", [knots - 1], np.int64),
        constant("one", 1),
        constant("half", 0.5),
        constant("kernel", np.ones((1, 1, 7))),
        constant("weights", np.arange(1, marks + 1)[:, None]),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def write_panelled(folder: Path, marks: tuple[str, ...], region: Region, panel: np.ndarray) -> None:
    """Write the model for five marks; `panel` is float32 (channels, bins) over the region, all that it covers."""
    (folder / "panel").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(graph().SerializeToString())
    for channel, row in zip(CHANNELS, panel, strict=True):
        with BigWigWriter(folder / f"panel/{channel}.bigWig", HG19, 25) as writer:
            writer.add(region, row)
    files = ["model.onnx", *(f"panel/{channel}.bigWig" for channel in CHANNELS)]
    manifest = Manifest(
        schema_version=1,
        name="panelled",
        version="1.0.0",
        description="Sums",
        marks=list(marks),
        assembly="hg19",
        bin_size_bp=25,
        units="-log10 p-value",
        halo_bins=3,
        min_bins=7,
        inputs=["signal", "observed", "quantiles", "panel", "panel_observed"],
        outputs=["imputed", "lower", "upper"],
        sha256={file: sha256_of(folder / file) for file in files},
        parameters=0,
        flop_per_bin=0,
        provenance=Provenance(
            samples=["A"],
            regions="a part of chr21",
            seed=0,
            hyper_parameters={},
            training_seconds=0.0,
            machine="none",
            versions={},
            created=date(2026, 1, 1),
        ),
        accuracy=[],
        data_licence="none",
        quantile_levels=list(KNOTS),
        panel=PanelDescription(channels=list(CHANNELS), samples=["A", "C"], regions="a part of chr21"),
        interval_coverage=0.8,
        benchmark={"panelled": {"pearson": 0.5, "spearman": None}, "panel mean": {"pearson": 0.4}},
        reliability={"H3K4me1": 0.79, "overall": 0.8, "top decile": 0.7},
    )
    (folder / "model.json").write_text(manifest.model_dump_json())
