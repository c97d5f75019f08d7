"""`python -m training simulate`: write simulated tracks, or compare them with real ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from app.core.assemblies import Assembly, get_assembly
from app.core.errors import BadRegion, DuplicateMark, UnknownMark, WriteFailed
from app.core.regions import Region, parse_region
from training.common.errors import BadData
from training.common.progress import console, progress
from training.simulate.chromatin import BIN_BP, CORE_MARKS, MARKS
from training.simulate.simulator import Simulator, merge, write_sample


def _wanted_regions(region: Sequence[str], genome: bool, assembly: Assembly) -> list[Region]:
    if genome or "all" in region:
        return [Region(chrom, 0, length) for chrom, length in assembly.chromosomes.items()]
    if not region:
        raise BadRegion("No region is given; give --region chr21, --region chr21:33,746,325-35,442,375 or --genome.")
    return [parse_region(text, assembly) for text in region]


def _wanted_marks(mark: Sequence[str]) -> tuple[str, ...]:
    for name in mark:
        if name not in MARKS:
            raise UnknownMark(f"Mark '{name[:40]}' cannot be simulated; the marks are {', '.join(MARKS)}.")
        if mark.count(name) > 1:
            raise DuplicateMark(f"Mark {name} is given twice; give it once.")
    return tuple(mark) or CORE_MARKS


def command(
    out: Annotated[Path, typer.Option(help="Folder of the tracks, such as SIM001-H3K4me3.pval.signal.bigWig.")],
    samples: Annotated[int, typer.Option(help="How many samples.", min=1, max=999)] = 1,
    mark: Annotated[
        list[str] | None, typer.Option(help="A mark, such as DNase (repeatable; default: the five core marks).")
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option(help="chr21, chr21:33,746,325-35,442,375 or all (repeatable).")
    ] = None,
    genome: Annotated[bool, typer.Option("--genome", help="Every chromosome.")] = False,
    assembly: Annotated[str, typer.Option(help="hg19 (GRCh37) or hg38 (GRCh38).")] = "hg19",
    seed: Annotated[int, typer.Option(help="Equal seeds give equal tracks.", min=0)] = 1,
    bin_size: Annotated[int, typer.Option(help="Width of a bin in bp, a multiple of 25.", min=25, max=10_000)] = 25,
    compare: Annotated[
        Path | None,
        typer.Option(
            help="Folder of real tracks of the core marks (E017-H3K4me3.pval.signal.bigWig, ...): write instead"
            " comparison.md and comparison.png, the simulation beside them where they have values."
        ),
    ] = None,
) -> None:
    """Simulate -log10 p-value tracks with the statistics of real ones, as bigWig files."""
    simulator = Simulator(seed, get_assembly(assembly))
    marks = _wanted_marks(mark or [])
    if bin_size % BIN_BP:
        raise BadData(f"A bin size of {bin_size} bp cannot be simulated; give a multiple of {BIN_BP} bp.")
    if compare is None:
        regions = merge(_wanted_regions(region or [], genome, simulator.assembly), simulator.assembly, bin_size)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise WriteFailed(f"The folder '{out}' cannot be made; check the path and its permissions.") from None
    if compare is not None:
        from training.simulate.compare import compare_with_real  # matplotlib is slow to import

        compare_with_real(simulator, compare, out)
        return
    bins = samples * len(marks) * sum(r.n_bins(bin_size) for r in regions)
    with progress("Simulating", bins) as advance:
        for sample in range(samples):
            write_sample(simulator, regions, sample, marks, out, bin_size, advance)
    console.print(f"{samples * len(marks)} tracks, {bins:,} bins of {bin_size} bp in {out}")
