"""`python -m benchmarks`: how far the service is from what this machine could do. Prints Markdown."""

import tempfile
from pathlib import Path

import numpy as np
import pyBigWig
import torch
from rich.console import Console

from app.core.assemblies import HG19
from app.core.bigwig.read import TrackFile, Tracks
from app.core.bigwig.write import BigWigWriter
from app.core.impute import TILE_BINS, impute
from app.core.marks import plan
from app.core.model import Model
from app.core.regions import Region
from benchmarks.serving import ingest, region, seconds
from training.paper.network import PaperAutoencoder
from training.simulate.simulator import Simulator

MODEL = Path(__file__).parents[1] / "models/paper-core5"
REGION = Region("chr21", 20_000_000, 22_500_000)  # 100,000 bins


def literal(network: PaperAutoencoder, values: torch.Tensor) -> torch.Tensor:
    """The paper's procedure as it is written: every window through the network, then the mean per bin."""
    windows = values.unfold(1, network.window, 1).permute(1, 0, 2)
    total = torch.zeros_like(values)
    with torch.no_grad():
        for first in range(0, len(windows), TILE_BINS):
            out = network(windows[first : first + TILE_BINS])
            for offset in range(network.window):
                total[:, first + offset : first + offset + len(out)] += out[:, :, offset].T
    return total / network.window


def main() -> None:
    """Measure and print."""
    model = Model(MODEL)
    bins = REGION.n_bins(25)
    flop = model.manifest.flop_per_bin
    signal = Simulator(0, HG19).simulate(REGION, 0, model.marks)
    square = torch.rand(2048, 2048)
    peak = 2 * 2048**3 / seconds(lambda: square @ square)
    rows: list[tuple[str, float]] = []

    network = PaperAutoencoder(len(model.marks), 41, 2000)
    tensor = torch.from_numpy(signal.values)
    rows.append(("the paper's procedure, literally, torch", seconds(lambda: literal(network, tensor))))
    tile = signal.values[None, :, : TILE_BINS + 80]
    per_tile = seconds(lambda: model.run(tile))
    rows.append((f"the graph, tiles of {TILE_BINS} bins, onnxruntime", per_tile * bins / TILE_BINS))
    settled = plan(model, model.marks, ["H3K4me3"])

    with tempfile.TemporaryDirectory() as folder:
        paths = {mark: Path(folder, f"{mark}.bigWig") for mark in model.marks}

        def write(path: Path, mark: str) -> None:
            with BigWigWriter(path, HG19, 25) as writer:
                writer.add(REGION, signal.row(mark))

        def write_bare(path: Path, mark: str) -> None:
            with pyBigWig.open(str(path), "w") as file:
                file.addHeader(list(HG19.chromosomes.items()))
                file.addEntries(REGION.chrom, REGION.start, values=signal.row(mark), span=25, step=25)

        for mark, path in paths.items():
            write(path, mark)
        files = {mark: TrackFile(path, path.name) for mark, path in paths.items()}
        with Tracks(files, HG19, 25) as tracks:
            rows.append(
                (
                    "impute: read five tracks, mask one, run",
                    seconds(lambda: impute(tracks, model, settled, REGION)),
                )
            )
            read = seconds(lambda: tracks.read(REGION))
        bare = [pyBigWig.open(str(path)) for path in paths.values()]

        def read_bare() -> list[np.ndarray]:
            return [f.values(REGION.chrom, REGION.start, REGION.end, numpy=True).reshape(-1, 25).mean(1) for f in bare]

        reading = seconds(read_bare)
        mark = model.marks[0]
        wrote, writing = (seconds(lambda w=w: w(Path(folder, "x.bigWig"), mark)) for w in (write, write_bare))  # type: ignore[misc]

    out = Console(width=120, highlight=False)
    out.print(f"Matrix product of 2048², float32: {peak / 1e9:.0f} Gflop/s. {bins:,} bins, {flop:,} flop per bin.\n")
    out.print("| imputation | µs per bin | bins/s | Gflop/s | of the matrix product | of the literal time |")
    out.print("|---|---|---|---|---|---|")
    for name, took in rows:
        rate = flop * bins / took
        out.print(
            f"| {name} | {took / bins * 1e6:.2f} | {bins / took:,.0f} | {rate / 1e9:.0f} | {rate / peak:.2f}"
            f" | {took / rows[0][1]:.2f} |"
        )
    out.print("\n| bigWig | ours / bare pyBigWig |\n|---|---|")
    out.print(f"| read five tracks, 100,000 bins | {read / reading:.2f} |")
    out.print(f"| write one track, 100,000 bins, verified and fsynced | {wrote / writing:.2f} |")
    ingest(out)
    region(out, MODEL)


if __name__ == "__main__":
    main()
