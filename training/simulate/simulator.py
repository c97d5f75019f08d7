"""Simulate realistic -log10 p-value tracks of any size, at real coordinates, from a seed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.assemblies import Assembly
from app.core.bigwig.write import BigWigWriter
from app.core.regions import Region, join_regions
from app.core.signal import Signal
from training.data.pvalue import local_background, poisson_neg_log10_p
from training.simulate.chromatin import (
    BIN_BP,
    CONTROL_DEPTH,
    CORE_MARKS,
    COVERABLE_SHAPE,
    COVERABLE_STRETCHES,
    LIBRARIES,
    MARKS,
    QUIESCENT,
    SPREAD,
    STATES,
    STRETCH_BINS,
    UNCOVERED_SHARE,
    Library,
    Segments,
    draw_segments,
)

_BLOCK_BINS = 40_000
_BLOCK_STRETCHES = _BLOCK_BINS // STRETCH_BINS
_WINDOWS_BP = (1_000, 10_000)
_ENRICHMENT = np.array([state.enrichment for state in STATES])
_KEPT = np.array([state.kept for state in STATES])
_SEGMENTS, _COVERABLE, _INTENSITY, _CHANGES, _OWN, _FRAGMENTS, _LIBRARY = range(7)  # streams of random numbers
_CONTROL = len(MARKS)


class Simulator:
    """Gives the tracks of the samples of one seed over any region.

    Every random number belongs to a fixed block of 1 Mb and is drawn from a generator keyed by (seed, chromosome,
    block, what it is for, sample, mark). So a value never depends on how the genome is cut into regions, nor on
    which other marks are asked for.
    """

    def __init__(self, seed: int, assembly: Assembly) -> None:
        self.assembly = assembly
        self._seed = seed
        self._chromosomes = list(assembly.chromosomes)
        self._segments = lru_cache(maxsize=4)(self._draw_segments)
        self._coverable = lru_cache(maxsize=4)(self._draw_coverable)
        # Neighbouring regions share blocks: two blocks of every track are kept, 160 kB each.
        self._starts = lru_cache(maxsize=2 * (len(MARKS) + 1))(self._draw_starts)

    def library(self, sample: int) -> Library:
        """How well a sample is measured: every four samples have the four libraries, in an order of the seed."""
        turn, place = divmod(sample, len(LIBRARIES))
        order = np.random.default_rng([self._seed, _LIBRARY, turn]).permutation(len(LIBRARIES))
        return LIBRARIES[order[place]]

    def simulate(self, region: Region, sample: int = 0, marks: Sequence[str] = CORE_MARKS) -> Signal:
        """The -log10 p-values of one sample over a region that starts on a border of 25-bp bins."""
        first, n_bins = region.start // BIN_BP, region.n_bins(BIN_BP)
        library = self.library(sample)
        fragment = library.fragment_bp // BIN_BP
        windows = (fragment // 2 * 2, *(width // BIN_BP for width in _WINDOWS_BP))
        halo = max(windows) // 2
        left = max(0, first - halo)
        right = min(first + n_bins + halo, self._n_bins(region.chrom) + 1)
        control = self._read(region.chrom, left, right, sample, _CONTROL)
        expected = local_background(control, 1 / CONTROL_DEPTH * fragment, windows, CONTROL_DEPTH / fragment)
        expected = expected[first - left : first - left + n_bins + 1]
        values = np.empty((len(marks), n_bins), np.float32)
        for row, mark in zip(values, marks, strict=True):
            m = MARKS.index(mark)
            starts = self._read(region.chrom, first - fragment, first + n_bins, sample, m)
            total = np.concatenate([[0], starts.cumsum()])
            pileup = total[fragment:] - total[:-fragment]  # of the fragments over each border of bins
            at_border = poisson_neg_log10_p(pileup + 1, expected * library.depth[m])
            row[:] = (at_border[:-1] + at_border[1:]) / 2
        return Signal(values, tuple(marks), region, BIN_BP)

    def _n_bins(self, chrom: str) -> int:
        return -(-self.assembly.length(chrom) // BIN_BP)

    def _rng(self, chrom: str, *key: int) -> np.random.Generator:
        seed = np.random.SeedSequence([self._seed, self._chromosomes.index(chrom), *key])
        return np.random.Generator(np.random.SFC64(seed))

    def _draw_segments(self, chrom: str, block: int) -> Segments:
        return draw_segments(self._rng(chrom, block, _SEGMENTS), _BLOCK_STRETCHES)

    def _draw_coverable(self, chrom: str, block: int) -> NDArray[np.float64]:
        """How easily each stretch is covered, float64 (stretches,)."""
        rng = self._rng(chrom, block, _COVERABLE)
        n = _BLOCK_STRETCHES // COVERABLE_STRETCHES
        ease = rng.gamma(COVERABLE_SHAPE, 1 / COVERABLE_SHAPE, n) * (rng.random(n) >= UNCOVERED_SHARE)
        return np.repeat(ease, COVERABLE_STRETCHES)

    def _read(self, chrom: str, first: int, last: int, sample: int, mark: int) -> NDArray[np.int64]:
        """Fragment starts in bins `first` up to `last`, which may lie outside of the chromosome: 0 there."""
        starts = np.zeros(last - first, np.int64)
        n_bins = self._n_bins(chrom)
        for block in range(max(0, first) // _BLOCK_BINS, -(-min(last, n_bins) // _BLOCK_BINS)):
            left = max(first, block * _BLOCK_BINS)
            right = min(last, (block + 1) * _BLOCK_BINS, n_bins)
            drawn = self._starts(chrom, block, sample, mark)
            starts[left - first : right - first] = drawn[left - block * _BLOCK_BINS : right - block * _BLOCK_BINS]
        return starts

    def _draw_starts(self, chrom: str, block: int, sample: int, mark: int) -> NDArray[np.int32]:
        """Number of fragments that start in each bin of a block, int32 (bins,)."""
        library = self.library(sample)
        coverable = self._coverable(chrom, block)
        if mark == _CONTROL:
            over_base = CONTROL_DEPTH * coverable
        else:
            enriched = library.strength[mark] * self._intensity(chrom, block, sample, mark)
            over_base = library.depth[mark] * coverable * (library.background[mark] + enriched)
        per_bin = np.repeat(over_base * (BIN_BP / library.fragment_bp), STRETCH_BINS)
        return self._rng(chrom, block, _FRAGMENTS, sample, mark).poisson(per_bin).astype(np.int32)

    def _intensity(self, chrom: str, block: int, sample: int, mark: int) -> NDArray[np.float64]:
        """Enrichment of each stretch in units of the library's strength, float64 (stretches,)."""
        segments, spread = self._segments(chrom, block), SPREAD[MARKS[mark]]
        n = len(segments.state)
        keep = self._rng(chrom, block, _CHANGES, sample).random(n) < _KEPT[segments.state]
        state = np.where(keep, segments.state, QUIESCENT)
        shared = self._rng(chrom, block, _INTENSITY, mark)
        of_domain = shared.gamma(spread.domain, 1 / spread.domain, segments.domain[-1] + 1)[segments.domain]
        of_segment = shared.gamma(spread.segment, 1 / spread.segment, n)
        own = self._rng(chrom, block, _OWN, sample, mark).gamma(spread.own, 1 / spread.own, n)
        level = np.repeat(_ENRICHMENT[state, mark] * of_domain * of_segment * own, segments.stretches)
        return level * shared.gamma(spread.stretch, 1 / spread.stretch, len(level))


def simulate_binned(
    simulator: Simulator, region: Region, sample: int, marks: Sequence[str], bin_size_bp: int
) -> Iterator[Signal]:
    """The tracks of a region in pieces of 1 Mb or less, in order, in bins of a multiple of 25 bp.

    A wider bin holds the mean of its 25-bp bins. The region is widened to whole bins.
    """
    per_bin = bin_size_bp // BIN_BP
    piece_bp = max(1, _BLOCK_BINS * BIN_BP // bin_size_bp) * bin_size_bp
    for piece in region.snap(bin_size_bp, simulator.assembly.length(region.chrom)).pieces(piece_bp):
        fine = simulator.simulate(piece, sample, marks)
        if per_bin == 1:
            yield fine
            continue
        first = np.arange(0, fine.n_bins, per_bin)
        width = np.diff(first, append=fine.n_bins)
        means = np.add.reduceat(fine.values, first, axis=1, dtype=np.float64) / width
        yield Signal(means.astype(np.float32), fine.marks, piece, bin_size_bp)


def write_sample(
    simulator: Simulator,
    regions: Sequence[Region],
    sample: int,
    marks: Sequence[str],
    out: Path,
    bin_size_bp: int = BIN_BP,
    advance: Callable[[int], None] = lambda bins: None,
) -> list[Path]:
    """Write one bigWig per mark, such as `SIM001-H3K4me3.pval.signal.bigWig`, holding a few Mb at a time.

    Parameters
    ----------
    regions
        In the assembly's order and without overlap, as `merge` gives them.
    sample
        Counted from 0; the files count from 1.
    advance
        Called with the number of finished bins after every piece.
    """
    paths = [out / f"SIM{sample + 1:03d}-{mark}.pval.signal.bigWig" for mark in marks]
    with ExitStack() as stack:
        writers = [stack.enter_context(BigWigWriter(path, simulator.assembly, bin_size_bp)) for path in paths]
        for region in regions:
            for piece in simulate_binned(simulator, region, sample, marks, bin_size_bp):
                for writer, row in zip(writers, piece.values, strict=True):
                    writer.add(piece.region, row)
                advance(piece.values.size)
    return paths


def merge(regions: Sequence[Region], assembly: Assembly, bin_size_bp: int) -> list[Region]:
    """Regions on bin borders, in the assembly's order; those that overlap or touch become one."""
    return join_regions((region.snap(bin_size_bp, assembly.length(region.chrom)) for region in regions), assembly)
