"""An imputation as JSON, bedGraph, bigWig or npy."""

import io
import json
import tempfile
import zipfile
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from fastapi.responses import Response

from app.api.names import content_disposition, result_name
from app.api.schemas import ModelName, PanelUse, Summary, TargetTrust, TrackScore
from app.core.bigwig.write import BigWigWriter
from app.core.impute import Imputation
from app.core.marks import Plan
from app.core.model import Model
from app.core.warnings import Outcome

RESULT_HEADER = "Epifill-Result"


class Format(StrEnum):
    """How an answer is written."""

    json = "json"
    bedgraph = "bedgraph"
    bigwig = "bigwig"
    npy = "npy"


def respond(
    model: Model,
    plan: Plan,
    imputation: Imputation,
    outcome: Outcome,
    warnings: list[str],
    format: Format,
    interval: bool,
    sample: str,
) -> Response:
    """Answer with an imputation; its summary and scores also stand in the header `Epifill-Result`.

    JSON holds the bounds of the interval always, the other formats if `interval` says so. Files are called after the
    sample.
    """
    summary = Summary(
        assembly=model.manifest.assembly,
        region=str(imputation.imputed.region),
        bin_size_bp=model.manifest.bin_size_bp,
        model=ModelName(name=model.name, version=model.manifest.version),
        observed=list(plan.observed),
        masked=list(plan.masked),
        interval_coverage=model.manifest.interval_coverage,
        panel=PanelUse.of(model, imputation),
        trust={mark: TargetTrust.model_validate(found) for mark, found in (outcome.trust or {}).items()},
        warnings=warnings,
    ).model_dump()
    scores = {mark: TrackScore.of(score).model_dump() for mark, score in (outcome.scores or {}).items()}
    # In ASCII, as a header must be.
    headers = {RESULT_HEADER: json.dumps({**summary, "targets": plan.targets, "scores": scores})}
    if format is Format.json:
        tracks = _json_tracks(model, imputation, scores)
        # orjson writes NaN as null and float32 with as many digits as it has.
        content = orjson.dumps({**summary, "tracks": tracks}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(content, media_type="application/json", headers=headers)
    shown = imputation if interval else replace(imputation, lower=None, upper=None)
    content, media_type, name = _WRITERS[format](model, shown, sample)
    headers["Content-Disposition"] = content_disposition(name, "inline" if format is Format.bedgraph else "attachment")
    return Response(content, media_type=media_type, headers=headers)


_Written = tuple[bytes, str, str]


def _json_tracks(model: Model, imputation: Imputation, scores: dict[str, Any]) -> list[dict[str, Any]]:
    tracks = []
    for mark in imputation.imputed.marks:
        track: dict[str, Any] = {"mark": mark, "units": model.manifest.units, "start": imputation.imputed.region.start}
        for name, signal in imputation.parts().items():
            track["values" if name == "imputed" else name] = signal.row(mark)
        tracks.append({**track, "score": scores[mark]} if mark in scores else track)
    return tracks


def _bedgraph(model: Model, imputation: Imputation, sample: str) -> _Written:
    signal = imputation.imputed
    chrom, size = signal.region.chrom, signal.bin_size_bp
    starts = signal.region.start + size * np.arange(signal.n_bins)
    ends = np.minimum(starts + size, signal.region.end)
    lines = []
    for mark in signal.marks:
        for name, part in imputation.parts().items():
            lines.append(f'track type=bedGraph name="{mark} {name}" description="{mark} {name} by {model.name}"')
            values = part.row(mark)
            there = ~np.isnan(values)
            rows = zip(starts[there].tolist(), ends[there].tolist(), values[there].tolist(), strict=True)
            lines += [f"{chrom}\t{start}\t{end}\t{value:.6g}" for start, end, value in rows]
    name = result_name(sample, "imputed.bedGraph")
    return "\n".join([*lines, ""]).encode(), "text/plain; charset=utf-8", name


def _bigwig(model: Model, imputation: Imputation, sample: str) -> _Written:
    signal = imputation.imputed
    with tempfile.TemporaryDirectory(prefix="epifill-") as folder:
        paths = []
        for mark in signal.marks:
            for name, part in imputation.parts().items():
                path = Path(folder, result_name(sample, mark, name, "bigWig"))
                with BigWigWriter(path, model.assembly, signal.bin_size_bp) as writer:
                    writer.add(signal.region, part.row(mark))
                paths.append(path)
        if len(paths) == 1:
            return paths[0].read_bytes(), "application/octet-stream", paths[0].name
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:  # bigWigs are compressed already
            for path in paths:
                file.write(path, path.name)
        return archive.getvalue(), "application/zip", result_name(sample, "imputed.zip")


def _npy(_: Model, imputation: Imputation, sample: str) -> _Written:
    file = io.BytesIO()
    parts = [signal.values for signal in imputation.parts().values()]
    np.save(file, np.stack(parts) if len(parts) > 1 else parts[0])
    return file.getvalue(), "application/octet-stream", result_name(sample, "imputed.npy")


_WRITERS = {Format.bedgraph: _bedgraph, Format.bigwig: _bigwig, Format.npy: _npy}
