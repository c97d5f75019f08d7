"""The demonstration: the main job through the real service, compared with the hidden truth."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from app.core.assemblies import get_assembly
from app.core.bigwig.read import TrackFile, Tracks
from app.core.errors import EpifillError
from app.core.panel import panel_file
from app.core.regions import Region, parse_region
from app.core.scores import score
from app.core.signal import Signal
from app.settings import Settings

_NAME = re.compile(r"(?P<sample>[A-Za-z0-9]+)-(?P<mark>[A-Za-z0-9]+)\..*(bigwig|bw)", re.IGNORECASE)
_START_SECONDS = 60
_LOCUS_BINS = 3000

TRUTH, PANEL_MEAN = "truth", "panel mean"
_COLOURS = {TRUTH: "#1e3a8a", PANEL_MEAN: "#6b7280"}


class DemoFailed(EpifillError):
    """The demonstration cannot run."""


def run_demo(
    folder: Path | None, name: str | None, hide: str, region: str, out: Path, settings: Settings, console: Console
) -> None:
    """Start the service, upload a sample with one mark hidden, get it back from each model, compare, and draw.

    The mean of the default model's panel, which is what one has without any model, stands beside them.

    Raises
    ------
    DemoFailed
        There is no sample, it lacks the hidden mark, or the service does not do its work.
    """
    folder = folder or _real_data()
    sample, tracks = _sample(folder, name)
    if hide not in tracks:
        raise DemoFailed(f"Sample {sample} has no {hide} to hide; it has {', '.join(tracks)}.")
    out.mkdir(parents=True, exist_ok=True)
    kind = "simulated" if sample.startswith("SIM") else "real Roadmap"
    console.print(f"Sample {sample} ({kind} data), {hide} hidden, {len(tracks) - 1} tracks uploaded", highlight=False)
    with _service(settings, out / "service.log") as url, httpx2.Client(base_url=url, timeout=600) as client:
        default = client.get(f"/v1/models/{settings.default_model}").raise_for_status().json()
        models = [default, *_rivals(client, default, hide)]
        results, seconds = {}, {}
        for model in models:
            began = time.perf_counter()
            results[model["name"]] = _impute(client, model, tracks, hide, region, out / f"{sample}-{hide}")
            seconds[model["name"]] = time.perf_counter() - began
    panel = settings.models / default["name"] / panel_file(f"{hide}.raw")
    shown = {TRUTH: tracks[hide], **results, **({PANEL_MEAN: panel} if panel.is_file() else {})}
    assembly, size = get_assembly(default["assembly"]), default["bin_size_bp"]
    asked = parse_region(region, assembly)
    asked = asked.snap(size, assembly.length(asked.chrom))
    with Tracks({name: TrackFile(path, path.name) for name, path in shown.items()}, assembly, size) as opened:
        signal = opened.read(asked)
    _report(console, hide, signal, seconds)
    picture = out / f"{sample}-{hide}.png"
    draw(signal, f"{hide} of {sample} ({kind} data), hidden and imputed from its other tracks", picture)
    if sample in default["provenance"]["samples"]:
        console.print(
            f"Note: the models were trained on {sample} among others, and the panel's mean holds it, so this flatters"
            " them; the models' cards have the accuracy on unseen samples.",
            highlight=False,
        )
    console.print(f"Wrote {results[default['name']]} and {picture}", highlight=False)


def _rivals(client: httpx2.Client, default: dict[str, Any], mark: str) -> list[dict[str, Any]]:
    """The service's other models that know the mark and the same bins."""
    listed = client.get("/v1/models").raise_for_status().json()
    alike = ("assembly", "bin_size_bp")
    return [
        model
        for model in listed
        if model["name"] != default["name"]
        and mark in model["marks"]
        and all(model[field] == default[field] for field in alike)
    ]


def _impute(
    client: httpx2.Client, model: dict[str, Any], tracks: dict[str, Path], hide: str, region: str, out: Path
) -> Path:
    """Upload all tracks but the hidden one; the answer is written to a file named after `out` and the model."""
    seen = [mark for mark in tracks if mark != hide and mark in model["marks"]]
    with ExitStack() as stack:
        files = [("tracks", (tracks[m].name, stack.enter_context(tracks[m].open("rb")))) for m in seen]
        form = {"model": model["name"], "marks": seen, "targets": hide, "region": region, "format": "bigwig"}
        answer = client.post("/v1/impute", data=form, files=files)
    if answer.status_code != 200:
        raise DemoFailed(f"The service refused: {answer.json()['detail']}")
    result = out.with_name(f"{out.name}.{model['name']}.bigWig")
    result.write_bytes(answer.content)
    return result


def _report(console: Console, hide: str, signal: Signal, seconds: dict[str, float]) -> None:
    imputed = [name for name in signal.marks if name != TRUTH]
    scores = {name: score(signal.row(TRUTH), signal.row(name)) for name in imputed}
    bins = max(figures.bins for figures in scores.values())
    table = Table("against the hidden truth", *imputed, title=f"{hide}, {bins:,} bins compared")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, measure in (
        ("Pearson r", "pearson"),
        ("Pearson r of arcsinh", "pearson_arcsinh"),
        ("Spearman r", "spearman"),
        ("mean squared error of arcsinh", "mse_arcsinh"),
    ):
        values = [getattr(scores[source], measure) for source in imputed]
        table.add_row(name, *("-" if value is None else f"{value:.3f}" for value in values))
    timed = [seconds.get(source) for source in imputed]
    table.add_row("seconds, upload and answer included", *("" if t is None else f"{t:.2f}" for t in timed))
    table.add_row("bins/s", *("" if t is None else f"{signal.n_bins / t:,.0f}" for t in timed))
    console.print(table)


def draw(signal: Signal, title: str, path: Path) -> None:
    """A picture of one locus, a track below the other; the locus is the one where the truth varies most."""
    truth = np.arcsinh(np.nan_to_num(signal.row(TRUTH)))
    width = min(_LOCUS_BINS, len(truth))
    starts = range(0, len(truth) - width + 1, max(1, width // 2))
    first = max(starts, key=lambda left: float(truth[left : left + width].std()))
    size = signal.bin_size_bp
    start = signal.region.start + first * size
    locus = signal.crop(Region(signal.region.chrom, start, min(start + width * size, signal.region.end)))
    position = (locus.region.start + size * np.arange(locus.n_bins)) / 1e6
    figure = Figure(figsize=(11, 0.6 + 1.7 * len(locus.marks)), layout="constrained")
    axes = figure.subplots(len(locus.marks), 1, sharex=True, squeeze=False)[:, 0]
    for axis, row in zip(axes, locus.marks, strict=True):
        values = np.nan_to_num(locus.row(row))
        axis.fill_between(position, values, step="mid", color=_COLOURS.get(row, "#c2410c"), linewidth=0)
        axis.set(ylabel=f"{row}\n-log10 p", ylim=(0, max(1.0, float(values.max()))), xlim=(position[0], position[-1]))
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].ticklabel_format(axis="x", useOffset=False)
    axes[-1].set_xlabel(f"{locus.region.chrom}, Mb")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110)


def _real_data() -> Path:
    root = Path(os.environ.get("EPIFILL_REAL_DATA", "../shared/data"))
    folder = root / "roadmap_pilot"
    if not folder.is_dir():
        raise DemoFailed(
            "No example sample is at hand; make one with `python -m training simulate --out demo-output/simulated"
            " --region chr21:33,746,325-35,442,375` and give it with --sample demo-output/simulated."
        )
    return folder


def _sample(folder: Path, name: str | None) -> tuple[str, dict[str, Path]]:
    """The tracks of one sample of a folder, by mark."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if match := _NAME.fullmatch(path.name):
            found.setdefault(match["sample"], {})[match["mark"]] = path
    if not found:
        raise DemoFailed(f"'{folder}' holds no tracks named like E116-H3K4me1.pval.signal.bigWig.")
    sample = name or ("E116" if "E116" in found else next(iter(found)))
    if sample not in found:
        raise DemoFailed(f"'{folder}' has no sample {sample}; it has {', '.join(found)}.")
    return sample, found[sample]


@contextmanager
def _service(settings: Settings, log: Path) -> Iterator[str]:
    """The real service in a process of its own, on a free port, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "app", "serve", "--host", "127.0.0.1", "--port", str(port)]
    data = tempfile.TemporaryDirectory(prefix="epifill-demo-")
    environment = {**os.environ, "EPIFILL_DATA": data.name, "EPIFILL_MODELS": str(settings.models)}
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)  # noqa: S603
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                httpx2.get(f"{url}/readyz", timeout=5).raise_for_status()
                break
            except httpx2.HTTPError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise DemoFailed(f"The service did not start; {log} tells why.") from None
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)
        data.cleanup()
