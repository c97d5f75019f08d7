"""Genome annotations that a measure needs: bins near transcription start sites."""

import gzip
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.common.errors import BadData
from training.data.dataset import Dataset

PROMOTER_BP = 2_000
"""Reach of a promoter on either side of the transcription start site."""


def read_sites(path: Path) -> dict[str, NDArray[np.int64]]:
    """Read a BED file of transcription start sites, plain or gzip.

    Returns
    -------
    dict
        Per chromosome, the start column in bp, 0-based, sorted, each site once; int64 (sites,).

    Raises
    ------
    BadData
        It cannot be read, a line is no BED, or it has no line.
    """
    sites: defaultdict[str, set[int]] = defaultdict(set)
    try:
        content = path.read_bytes()
        lines = (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode().splitlines()
    except (OSError, EOFError, UnicodeDecodeError):
        raise BadData(f"'{path}' cannot be read as a BED file of transcription start sites.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        fields = line.split()
        if len(fields) < 3 or not fields[1].isdecimal():
            raise BadData(f"'{path}', line {number}, is no BED line; write chromosome, start and end.")
        sites[fields[0]].add(int(fields[1]))
    if not sites:
        raise BadData(f"'{path}' has no transcription start site.")
    return {chrom: np.array(sorted(starts), dtype=np.int64) for chrom, starts in sites.items()}


def promoter_bins(dataset: Dataset, sites: dict[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Which bins of a data set overlap the ±2 kb around a site; bool (bins,)."""
    size = dataset.bin_size_bp
    near = np.zeros(dataset.n_bins, dtype=bool)
    for region, first, last in zip(dataset.regions, dataset.offsets, dataset.offsets[1:], strict=False):
        on_chrom = sites.get(region.chrom, np.empty(0, dtype=np.int64))
        left = (on_chrom - PROMOTER_BP) // size - region.start // size
        right = (on_chrom + PROMOTER_BP) // size + 1 - region.start // size
        for a, b in zip(left, right, strict=True):
            near[first:last][max(0, a) : max(0, b)] = True
    return near
