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

import httpx2
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from app.core.assemblies import get_assembly
from app.core.bigwig.read import TrackFile, Tracks
from app.core.errors import EpifillError
from app.core.regions import Region, parse_region
from app.core.scores import Score, score
from app.core.signal import Signal
from app.settings import Settings

_NAME = re.compile(r"(?P<sample>[A-Za-z0-9]+)-(?P<mark>[A-Za-z0-9]+)\..*(bigwig|bw)", re.IGNORECASE)
_START_SECONDS = 60
_LOCUS_BINS = 3000


class DemoFailed(EpifillError):
    """The demonstration cannot run."""


def run_demo(
    folder: Path | None, name: str | None, hide: str, region: str, out: Path, settings: Settings, console: Console
) -> None:
    """Start the service, upload a sample with one mark hidden, get it back, compare, and draw.

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
        model = client.get(f"/v1/models/{settings.default_model}").raise_for_status().json()
        seen = [mark for mark in tracks if mark != hide and mark in model["marks"]]
        with ExitStack() as stack:
            files = [("tracks", (tracks[m].name, stack.enter_context(tracks[m].open("rb")))) for m in seen]
            form = {"marks": seen, "targets": hide, "region": region, "format": "bigwig"}
            began = time.perf_counter()
            answer = client.post("/v1/impute", data=form, files=files)
            seconds = time.perf_counter() - began
        if answer.status_code != 200:
            raise DemoFailed(f"The service refused: {answer.json()['detail']}")
    result = out / f"{sample}-{hide}.imputed.bigWig"
    result.write_bytes(answer.content)
    assembly, size = get_assembly(model["assembly"]), model["bin_size_bp"]
    asked = parse_region(region, assembly)
    asked = asked.snap(size, assembly.length(asked.chrom))
    both = {"truth": TrackFile(tracks[hide], tracks[hide].name), "imputed": TrackFile(result, result.name)}
    with Tracks(both, assembly, size) as opened:
        signal = opened.read(asked)
    _report(console, model, hide, signal, seconds)
    picture = out / f"{sample}-{hide}.png"
    draw(signal, f"{hide} of {sample} ({kind} data), imputed by {model['name']} from {', '.join(seen)}", picture)
    if sample in model["provenance"]["samples"]:
        console.print(
            f"Note: {model['name']} was trained on {sample} among others, so this flatters it; its card has the"
            " accuracy on unseen samples.",
            highlight=False,
        )
    console.print(f"Wrote {result} and {picture}", highlight=False)


def _report(console: Console, model: dict[str, str], hide: str, signal: Signal, seconds: float) -> None:
    figures: Score = score(signal.row("truth"), signal.row("imputed"))
    table = Table("imputed against the hidden truth", "", title=f"{hide} by {model['name']} {model['version']}")
    table.columns[1].justify = "right"
    for name, value in (
        ("Pearson r", figures.pearson),
        ("Pearson r of arcsinh", figures.pearson_arcsinh),
        ("Spearman r", figures.spearman),
        ("mean squared error of arcsinh", figures.mse_arcsinh),
    ):
        table.add_row(name, "-" if value is None else f"{value:.3f}")
    table.add_row("bins compared", f"{figures.bins:,}")
    table.add_row("seconds, upload and answer included", f"{seconds:.2f}")
    table.add_row("bins/s", f"{signal.n_bins / seconds:,.0f}")
    console.print(table)


def draw(signal: Signal, title: str, path: Path) -> None:
    """A picture of one locus, truth above imputation; the locus is the one where the truth varies most."""
    truth = np.arcsinh(np.nan_to_num(signal.row("truth")))
    width = min(_LOCUS_BINS, len(truth))
    starts = range(0, len(truth) - width + 1, max(1, width // 2))
    first = max(starts, key=lambda left: float(truth[left : left + width].std()))
    size = signal.bin_size_bp
    start = signal.region.start + first * size
    locus = signal.crop(Region(signal.region.chrom, start, min(start + width * size, signal.region.end)))
    position = (locus.region.start + size * np.arange(locus.n_bins)) / 1e6
    figure = Figure(figsize=(11, 4), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    for axis, row, colour in ((axes[0], "truth", "#1e3a8a"), (axes[1], "imputed", "#c2410c")):
        values = np.nan_to_num(locus.row(row))
        axis.fill_between(position, values, step="mid", color=colour, linewidth=0)
        axis.set(ylabel=f"{row}\n-log10 p", ylim=(0, max(1.0, float(values.max()))), xlim=(position[0], position[-1]))
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].ticklabel_format(axis="x", useOffset=False)
    axes[1].set_xlabel(f"{locus.region.chrom}, Mb")
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
