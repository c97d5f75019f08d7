"""The picture of the scores, as files that can be opened and read."""

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.image import imread

from app.core.scores import Score
from app.jobs.picture import draw_scores

MARKS = ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3", "DNase", "H3K27ac", "H3K9ac", "H2A.Z", "a", "b", "c")
GOOD = Score(0.812, 0.8, 0.734, 0.0961, 1000)
POOR = Score(0.402, 0.4, 0.334, 0.2691, 1000)
Scores = Mapping[str, Mapping[str, Score | None]]


def written(scores: Scores, tmp_path: Path) -> list[str]:
    """Every text of the picture, in the order of drawing; matplotlib notes each in a comment beside its outlines."""
    path = tmp_path / "scores.svg"
    draw_scores(scores, path)
    ElementTree.parse(path)
    return re.findall(r"<!-- (.*?) -->", path.read_text())


@pytest.mark.parametrize("marks", [MARKS[:1], MARKS[:5], MARKS])
@pytest.mark.parametrize("mean", [POOR, None])
def test_a_picture_of_any_number_of_marks(marks: tuple[str, ...], mean: Score | None, tmp_path: Path) -> None:
    path = tmp_path / "scores.png"
    draw_scores({mark: {"model": GOOD, "panel_mean": mean} for mark in marks}, path)
    pixels = np.round(imread(path)[..., :3] * 255)
    height, width, _ = pixels.shape
    assert width == 1210
    assert 100 < height < 1000
    areas = [(pixels == colour).all(axis=-1).mean() for colour in ((0xC2, 0x41, 0x0C), (0x9C, 0xA3, 0xAF))]
    assert areas[0] > 0.05
    assert (areas[1] > 0.03) == (mean is not None)


def test_it_says_the_marks_the_measures_and_the_values(tmp_path: Path) -> None:
    texts = written({mark: {"model": GOOD, "panel_mean": POOR} for mark in MARKS}, tmp_path)
    assert [text for text in texts if text in MARKS] == list(MARKS)
    for text in ("Pearson r", "Spearman r", "mean squared error of arcsinh", "imputed", "panel mean"):
        assert texts.count(text) == 1
    for value in ("0.81", "0.73", "0.096", "0.40", "0.33", "0.269"):
        assert texts.count(value) == len(MARKS)


def test_a_missing_panel_mean_is_no_bar_of_zero(tmp_path: Path) -> None:
    texts = written({"H3K4me3": {"model": GOOD, "panel_mean": None}, "DNase": {"model": GOOD}}, tmp_path)
    assert "panel mean" not in texts
    assert "undefined" not in texts
    some = written(
        {"H3K4me3": {"model": GOOD, "panel_mean": None}, "DNase": {"model": GOOD, "panel_mean": POOR}}, tmp_path
    )
    assert some.count("0.40") == 1
    assert "panel mean" in some


def test_a_score_that_does_not_exist_is_said_to_be_undefined(tmp_path: Path) -> None:
    flat, nothing = Score(None, None, None, 0.0, 7), Score(None, None, None, None, 0)
    texts = written({"DNase": {"model": flat, "panel_mean": nothing}}, tmp_path)
    assert texts.count("undefined") == 5
    assert texts.count("0.000") == 1


def test_negative_correlations_and_marks_that_look_like_formulas(tmp_path: Path) -> None:
    texts = written({"$x_{1$": {"model": Score(-0.31, -0.3, -0.42, 1.5, 9), "panel_mean": GOOD}}, tmp_path)
    assert {"$x_{1$", "-0.31", "-0.42", "1.500", "0.81"} <= set(texts)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    for scores in ({}, {"DNase": {}}, {"DNase": {"model": None, "panel_mean": None}}):
        with pytest.raises(ValueError, match="no scores"):
            draw_scores(scores, tmp_path / "scores.png")
    with pytest.raises(ValueError, match="supported"):
        draw_scores({"DNase": {"model": GOOD}}, tmp_path / "scores.xyz")
