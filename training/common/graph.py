"""A trained network as an ONNX file in the model contract, checked against torch."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.core.model import Model
from training.common.errors import ExportRefused

_OPSET = 18


@dataclass(frozen=True)
class Graph:
    """A trained network in the model contract.

    Attributes
    ----------
    network
        Takes the tensors of `example` in their order.
    example
        An example of each input by name, (batch, rows, bins); `quantiles` has a fixed number of knots in place of
        bins.
    outputs
        Names of the network's outputs.
    halo_bins, min_bins
        Bins to either side that a bin's result depends on; bins of the shortest stretch that the network takes.
    parameters, flop_per_bin
        Trained numbers, and multiplications and additions for one bin.
    """

    network: nn.Module
    example: Mapping[str, Tensor]
    outputs: Sequence[str]
    halo_bins: int
    min_bins: int
    parameters: int
    flop_per_bin: int


@dataclass(frozen=True)
class Check:
    """Real inputs on which torch and onnxruntime must agree, and the largest difference relative to the largest output.

    Attributes
    ----------
    inputs
        As `Graph.example`.
    """

    inputs: Mapping[str, Tensor]
    tolerance: float


def write_graph(graph: Graph, path: Path) -> None:
    """Export to one self-contained ONNX file with dynamic batch and bins."""
    batch, bins = torch.export.Dim("batch"), torch.export.Dim("bins", min=graph.min_bins)
    shapes = tuple({0: batch} if name == "quantiles" else {0: batch, 2: bins} for name in graph.example)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of operators that are not used here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own libraries
        torch.onnx.export(
            graph.network,
            tuple(graph.example.values()),
            str(path),
            input_names=list(graph.example),
            output_names=list(graph.outputs),
            dynamic_shapes=shapes,
            opset_version=_OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    written = onnx.load(path)
    _strip_metadata(written)
    onnx.save(written, path)


def _strip_metadata(model: onnx.ModelProto) -> None:
    """Take out the exporter's notes: they hold stack traces with the paths of the machine that exported."""
    inner = model.graph
    for part in (model, inner, *inner.node, *inner.input, *inner.output, *inner.value_info, *inner.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def check_agreement(network: nn.Module, model: Model, check: Check) -> None:
    """Run torch and onnxruntime on the same inputs; raises ExportRefused where they differ."""
    inputs = check.inputs
    with torch.no_grad():
        outputs = network(*inputs.values())
    expected = torch.stack(outputs if isinstance(outputs, tuple) else (outputs,), dim=1).numpy()
    found = model.run(
        _with_gaps(inputs, "signal", "observed"),
        inputs["quantiles"].numpy() if "quantiles" in inputs else None,
        _with_gaps(inputs, "panel", "panel_observed") if "panel" in inputs else None,
    )
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not difference <= check.tolerance:
        raise ExportRefused(
            f"onnxruntime and torch differ by {difference:.1e} (at most {check.tolerance:.0e} is allowed);"
            " the model was not written."
        )


def _with_gaps(inputs: Mapping[str, Tensor], values: str, observed: str) -> NDArray[np.float32]:
    """An input with NaN where its mask has 0, as the core takes it."""
    gaps: NDArray[np.float32] = np.where(inputs[observed].numpy() > 0, inputs[values].numpy(), np.float32(np.nan))
    return gaps
