"""What taking a track in and asking for a region cost beyond the work itself."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyBigWig
from fastapi.testclient import TestClient
from rich.console import Console

from app.core.assemblies import HG19
from app.core.bigwig.write import BigWigWriter
from app.core.impute import TILE_BINS
from app.core.model import Model
from app.core.regions import Region
from app.main import create_app
from app.settings import Settings
from app.store.files import ORIGINAL
from app.store.ingest import Limits, take_in
from training.simulate.simulator import Simulator

CHR1 = Region("chr1", 0, 249_250_621)
MARKS = ("H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3")


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Median wall time of some runs after a warm one."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def read_bare(path: Path) -> None:
    """A chr1 track by pyBigWig alone: values in 2.5-Mb pieces, then the mean of every 25."""
    with pyBigWig.open(str(path)) as file:
        for piece in CHR1.pieces(2_500_000):
            values = file.values("chr1", piece.start, piece.end, numpy=True)
            values[: len(values) // 25 * 25].reshape(-1, 25).mean(axis=1)


def ingest(out: Console) -> None:
    """Take in a real-sized chr1 track: 10 million bins."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with BigWigWriter(folder / ORIGINAL, HG19, 25) as writer:
            for piece in CHR1.pieces(25_000_000):
                writer.add(piece, Simulator(0, HG19).simulate(piece, 0, MARKS[:1]).values[0])
        bare = seconds(lambda: read_bare(folder / ORIGINAL), 3)
        ours = seconds(lambda: asyncio.run(take_in(folder / ORIGINAL, folder, "x.bw", None, 25, Limits())), 3)
        size = (folder / ORIGINAL).stat().st_size / 1e6
        out.print(
            f"\n| ingest of chr1, {CHR1.n_bins(25):,} bins, {size:.0f} MB | s | of the bare read |\n|---|---|---|"
        )
        out.print(f"| pyBigWig alone: read and bin | {bare:.2f} | 1.00 |")
        out.print(f"| child process: check, read, bin, write, quality | {ours:.2f} | {ours / bare:.2f} |")


def region(out: Console, model_folder: Path) -> None:
    """Ask a stored sample with four tracks for 100 kb, over HTTP."""
    model = Model(model_folder)
    place = Region("chr21", 33_750_000, 33_850_000)
    around = Region("chr21", 33_000_000, 35_000_000)
    signal = Simulator(0, HG19).simulate(around, 0, MARKS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with TestClient(create_app(Settings(models=model_folder.parent, data=folder / "data"))) as client:
            sample = client.post("/v1/samples", json={"name": "b"}).json()["id"]
            for mark in MARKS:
                with BigWigWriter(folder / "x.bw", HG19, 25) as writer:
                    writer.add(around, signal.row(mark))
                content = (folder / "x.bw").read_bytes()
                client.put(f"/v1/samples/{sample}/tracks/{mark}", content=content).raise_for_status()
            values = np.random.default_rng(0).random((1, len(model.marks), place.n_bins(25) + 80), np.float32)
            alone = seconds(lambda: model.run(values), 30)
            out.print(
                f"\n| 100 kb, four observed marks, one target (tile of {TILE_BINS} bins) | ms | beyond the model |"
            )
            out.print("|---|---|---|")
            out.print(f"| the model alone | {alone * 1e3:.1f} | 0.00 |")
            for form in ("npy", "json", "bedgraph", "bigwig"):
                query = {"region": str(place), "targets": "H3K9me3", "format": form}
                total = seconds(
                    lambda q=query: client.get(f"/v1/samples/{sample}/region", params=q).raise_for_status(), 30
                )  # type: ignore[misc]
                out.print(f"| over HTTP, {form} | {total * 1e3:.1f} | {(total - alone) / alone:.2f} |")
