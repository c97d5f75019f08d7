import numpy as np
import pytest

from app.core.regions import Region
from app.core.signal import Signal

REGION = Region("chr1", 100, 200)


def signal() -> Signal:
    return Signal(np.array([[1, 2, np.nan, 4], [0, np.nan, np.nan, 0]], np.float32), ("a", "b"), REGION, 25)


def test_a_mark_that_is_not_there_becomes_nan_never_zero() -> None:
    chosen = signal().select(["b", "c"])
    assert np.isnan(chosen.row("c")).all()
    np.testing.assert_array_equal(chosen.row("b"), signal().row("b"))


def test_covered_means_any_mark_has_a_value_and_zero_is_one() -> None:
    np.testing.assert_array_equal(signal().covered(), [True, True, False, True])


def test_crop_keeps_positions() -> None:
    part = signal().crop(Region("chr1", 125, 175))
    np.testing.assert_array_equal(part.row("a"), np.array([2, np.nan], np.float32))
    assert part.region == Region("chr1", 125, 175)


@pytest.mark.parametrize(
    ("values", "marks", "region"),
    [
        (np.zeros((2, 3), np.float32), ("a", "b"), REGION),
        (np.zeros((2, 4)), ("a", "b"), REGION),
        (np.zeros((2, 4), np.float32), ("a", "a"), REGION),
        (np.zeros((1, 5), np.float32), ("a",), Region("chr1", 90, 200)),
    ],
)
def test_refuses_what_does_not_fit(values: np.ndarray, marks: tuple[str, ...], region: Region) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Signal(values, marks, region, 25)
