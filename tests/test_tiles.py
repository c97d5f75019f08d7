import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.tiles import cut, run_tiles


def moving_sum(values: np.ndarray, halo: int = 3) -> np.ndarray:
    """Sum over ±halo bins; a function whose result depends on exactly that much, and on where the array ends."""
    padded = np.pad(np.nan_to_num(values), ((0, 0), (0, 0), (halo, halo)))
    width = values.shape[2]
    return sum(padded[:, :, i : i + width] for i in range(2 * halo + 1)).astype(np.float32)


@given(st.integers(8, 60), st.data(), st.integers(1, 70), st.integers(1, 5))
def test_tiles_and_batches_change_nothing(total: int, data: st.DataObject, tile_bins: int, batch: int) -> None:
    first = data.draw(st.integers(0, total - 1))
    last = data.draw(st.integers(first + 1, total))
    values = np.random.default_rng(total).integers(0, 9, (2, total)).astype(np.float32)
    tiles = cut(first, last, total, tile_bins, halo_bins=3, min_bins=7)
    assert all(tile.right - tile.left >= 7 for tile in tiles)
    told: list[int] = []
    result = run_tiles(moving_sum, [values], (2,), tiles, batch, told.append)
    np.testing.assert_array_equal(result, moving_sum(values[None])[0][:, first:last])
    assert sum(told) == last - first


def test_a_tile_without_any_value_is_not_run_and_stays_nan() -> None:
    values = np.full((2, 30), np.nan, np.float32)
    values[0, 12:15] = 1
    shapes: list[tuple[int, ...]] = []

    def run(batch: np.ndarray) -> np.ndarray:
        shapes.append(batch.shape)
        return np.ones_like(batch)

    result = run_tiles(run, [values], (2,), cut(0, 30, 30, 10, 3, 7), 1)
    assert shapes == [(1, 2, 16)]
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(result[1])), [12, 13, 14])


def test_fewer_bins_than_the_model_needs_are_looked_at_whole() -> None:
    (tile,) = cut(0, 5, 5, 10, 3, 7)
    assert (tile.left, tile.right) == (0, 5)


@pytest.mark.parametrize("first", [0, 5, 19])
def test_one_bin_gets_all_of_its_halo(first: int) -> None:
    (tile,) = cut(first, first + 1, 20, 100, 4, 3)
    assert (tile.left, tile.right) == (max(0, first - 4), min(20, first + 5))
