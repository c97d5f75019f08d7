"""Write a model folder: model.onnx, model.json and its card, checked against torch."""

import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx
import torch

from app.core.manifest import MODEL_NAME, MODEL_VERSION, Accuracy, Manifest, Provenance
from app.core.model import GRAPH_FILE, MANIFEST_FILE, Model, sha256_of
from training.common.card import model_card
from training.common.checkpoint import machine
from training.common.errors import BadData
from training.common.graph import Check, Graph, check_agreement, write_graph

_ROADMAP_LICENCE = "Roadmap Epigenomics consolidated data, free to use with citation (doi:10.1038/nature14248)"


@dataclass(frozen=True)
class Origin:
    """What a model was trained on, and how, for its manifest.

    Attributes
    ----------
    regions
        In words.
    recipe
        Every hyper-parameter.
    seconds
        Wall time of the training.
    """

    marks: Sequence[str]
    samples: Sequence[str]
    assembly: str
    bin_size_bp: int
    regions: str
    recipe: Mapping[str, Any]
    seed: int
    seconds: float


@dataclass(frozen=True)
class Labels:
    """Descriptions of a model for people.

    Attributes
    ----------
    pictures
        Files that are shown in the card, and their captions.
    """

    version: str
    description: str
    accuracy: Sequence[Accuracy] = ()
    pictures: Mapping[Path, str] = field(default_factory=dict)


def write_model(
    out: Path,
    graph: Graph,
    check: Check,
    origin: Origin,
    labels: Labels,
    *,
    files: Mapping[str, Path] | None = None,
    **optional: Any,
) -> Model:
    """Write `out` (its last part becomes the model's name) and load it again.

    Parameters
    ----------
    files
        By their name in the model's folder, files that the model needs besides its graph.
    optional
        Optional fields of the manifest.

    Raises
    ------
    BadData
        There is something else at `out`, or its name or the version cannot be a model's.
    ExportRefused
        onnxruntime and torch differ; nothing is left behind then, and a model that was there stays.
    """
    with _new_model(out, labels.version) as partial:
        write_graph(graph, partial / GRAPH_FILE)
        for name, path in (files or {}).items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, partial / name)
        manifest = Manifest(
            schema_version=1,
            name=out.name,
            version=labels.version,
            description=labels.description,
            marks=list(origin.marks),
            assembly=origin.assembly,
            bin_size_bp=origin.bin_size_bp,
            units="-log10 p-value",
            halo_bins=graph.halo_bins,
            min_bins=graph.min_bins,
            inputs=list(graph.example),
            outputs=list(graph.outputs),
            sha256={name: sha256_of(partial / name) for name in (GRAPH_FILE, *(files or {}))},
            parameters=graph.parameters,
            flop_per_bin=graph.flop_per_bin,
            provenance=_provenance(origin),
            accuracy=list(labels.accuracy),
            data_licence=_ROADMAP_LICENCE,
            **optional,
        )
        (partial / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
        for path in labels.pictures:
            shutil.copy2(path, partial / path.name)
        captions = {path.name: caption for path, caption in labels.pictures.items()}
        (partial / "README.md").write_text(model_card(manifest, captions))
        check_agreement(graph.network, Model(partial), check)
    return Model(out)


def _provenance(origin: Origin) -> Provenance:
    return Provenance(
        samples=list(origin.samples),
        regions=origin.regions,
        seed=origin.seed,
        hyper_parameters=dict(origin.recipe),
        training_seconds=round(origin.seconds, 1),
        machine=machine(),
        versions={"torch": torch.__version__, "onnx": onnx.__version__, "python": platform.python_version()},
        created=datetime.now(UTC).date(),
    )


@contextmanager
def _new_model(out: Path, version: str) -> Iterator[Path]:
    """A temporary folder that replaces `out` if the block succeeds and is removed if not."""
    if out.exists() and not (out / MANIFEST_FILE).is_file():
        raise BadData(f"'{out}' exists and is no model; name a new folder, such as models/my-model.")
    if not MODEL_NAME.fullmatch(out.name) or not MODEL_VERSION.fullmatch(version):
        raise BadData(
            f"'{out.name}' {version} cannot be a model's name and version; write small letters, digits, '.', '_' or"
            " '-', and a version such as 1.0.0."
        )
    partial = out.with_name(out.name + ".partial") / out.name
    shutil.rmtree(partial.parent, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if out.exists():
            out.rename(partial.parent / "replaced")
        partial.rename(out)
    finally:
        shutil.rmtree(partial.parent, ignore_errors=True)
