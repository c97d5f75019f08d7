"""Cut a region into tiles with a halo, and put the results together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tile:
    """Bins `first` up to `last` of a region, and the wider stretch `left` up to `right` that they depend on."""

    first: int
    last: int
    left: int
    right: int


def cut(first: int, last: int, total: int, tile_bins: int, halo_bins: int, min_bins: int) -> list[Tile]:
    """Cut bins `first` up to `last`, out of `total` that can be looked at, into tiles.

    Every tile looks `halo_bins` beyond its borders as far as there are bins, and at `min_bins` bins at least.
    """
    tiles = []
    for start in range(first, last, tile_bins):
        end = min(start + tile_bins, last)
        left, right = max(0, start - halo_bins), min(end + halo_bins, total)
        lacking = max(0, min_bins - (right - left))
        right = min(right + lacking, total)
        left = max(0, min(left, right - min_bins))
        tiles.append(Tile(start, end, left, right))
    return tiles


def run_tiles(
    run: Callable[..., NDArray[np.float32]],
    arrays: Sequence[NDArray[np.float32]],
    result: tuple[int, ...],
    tiles: list[Tile],
    batch: int,
    advance: Callable[[int], None] = lambda bins: None,
) -> NDArray[np.float32]:
    """Run a function over tiles and put the parts together.

    Parameters
    ----------
    run
        Takes a float32 (batch, rows, bins) of each array, and gives a float32 (batch, *result, bins).
    arrays
        float32 (rows, bins) each, everything that the tiles may look at.
    result
        Shape of a result but for its bins.
    tiles
        Neighbouring tiles, in order.
    batch
        How many tiles of equal shape go into one call.
    advance
        Told the number of bins after every call.

    Returns
    -------
    float32 (*result, bins) from the first tile's first bin to the last tile's last; NaN in every bin that has no value
    in any row of the first array, and a tile of such bins alone is not run.
    """
    origin = tiles[0].first
    out = np.full((*result, tiles[-1].last - origin), np.nan, dtype=np.float32)
    measured = np.asarray(~np.isnan(arrays[0]).all(axis=0))
    for _, alike in groupby(tiles, key=lambda tile: (tile.right - tile.left, measured[tile.first : tile.last].any())):
        group = list(alike)
        if not measured[group[0].first : group[0].last].any():
            advance(group[-1].last - group[0].first)
            continue
        for i in range(0, len(group), batch):
            some = group[i : i + batch]
            parts = run(*(np.stack([array[:, tile.left : tile.right] for tile in some]) for array in arrays))
            for tile, part in zip(some, parts, strict=True):
                out[..., tile.first - origin : tile.last - origin] = part[
                    ..., tile.first - tile.left : tile.last - tile.left
                ]
            advance(sum(tile.last - tile.first for tile in some))
    out[..., ~measured[origin : tiles[-1].last]] = np.nan
    return out
