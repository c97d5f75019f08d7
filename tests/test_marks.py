import pytest

from app.core.errors import (
    DuplicateMark,
    EpifillError,
    NothingObserved,
    NothingToImpute,
    UnknownMark,
)
from app.core.marks import Plan, plan
from app.core.model import Model


def test_missing_and_masked_marks_are_the_default_targets(model: Model) -> None:
    settled = plan(model, ["H3K9me3", "H3K4me1", "H3K36me3"], mask=["H3K36me3"])
    assert settled == Plan(("H3K4me1", "H3K9me3"), ("H3K36me3",), ("H3K4me3", "H3K36me3", "H3K27me3"))


def test_a_mask_without_a_track_is_no_error(model: Model) -> None:
    assert plan(model, ["H3K4me1"], mask=["H3K9me3"], targets=["H3K9me3"]) == Plan(("H3K4me1",), (), ("H3K9me3",))


@pytest.mark.parametrize(
    ("tracks", "mask", "targets", "error", "says"),
    [
        (["H3K4me1", "H3K4me1"], [], [], DuplicateMark, "H3K4me1 has two tracks"),
        (["H3K4me1"], ["H3K4me1"], [], NothingObserved, "Every track is masked"),
        ([], [], [], NothingObserved, "There is no track"),
        (["H3K4me1"], [], ["H3K4me1"], NothingToImpute, "H3K4me1 is measured"),
        (["H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3"], [], [], NothingToImpute, "All 5 marks of toy"),
        (["h3k4me1", "H3K4me1"], [], [], DuplicateMark, "H3K4me1 has two tracks"),
        (["H3K4me33"], [], [], UnknownMark, "'H3K4me33' is not a mark of toy, .* Did you mean H3K4me3"),
        (["H3K4me1", "Gen5"], [], [], UnknownMark, "'Gen5' is not a mark of toy, which has H3K4me1, .*H3K9me3\\.$"),
        (["H3K4me1"], [], ["H3K27ac"], UnknownMark, "'H3K27ac' is not a mark of toy, which has .*H3K9me3\\.$"),
        (["H3K4me1", "DNase"], [], ["DNase"], UnknownMark, "'DNase' is not a mark of toy, which has .*H3K9me3\\.$"),
        (["H3K4me1"], ["h3k27me"], [], UnknownMark, "Did you mean H3K27me3"),
        (["H3K4me1"], [], ["CTCF"], UnknownMark, "'CTCF' is not a mark of toy, which has H3K4me1, .*H3K9me3\\.$"),
    ],
)
def test_wrong_marks_are_named(
    model: Model, tracks: list[str], mask: list[str], targets: list[str], error: type[EpifillError], says: str
) -> None:
    with pytest.raises(error, match=says):
        plan(model, tracks, mask, targets)


def test_case_and_padding_never_matter(model: Model) -> None:
    settled = plan(model, ["h3k4me1", "H3K36ME3"], mask=["K36me3"], targets=["H3k04me3", "h3k36me3"])
    assert settled == Plan(("H3K4me1",), ("H3K36me3",), ("H3K4me3", "H3K36me3"))


def test_a_track_that_the_model_does_not_know_is_set_aside_with_a_word(model: Model) -> None:
    settled = plan(model, ["H3K4me1", "h3k27ac", "DNase-seq"], mask=["DNase"])
    assert settled.observed == settled.tracks == ("H3K4me1",)
    assert settled.masked == ()
    assert settled.warnings == (
        f"H3K27ac was set aside: toy does not know it; its marks are {', '.join(model.marks)}.",
        f"DNase was set aside: toy does not know it; its marks are {', '.join(model.marks)}.",
    )


def test_two_controls_are_set_aside_with_one_word(model: Model) -> None:
    assert len(plan(model, ["H3K4me1", "Input", "wce"]).warnings) == 1


def test_nothing_observed_says_what_was_set_aside(model: Model) -> None:
    with pytest.raises(NothingObserved, match=r"^No track is left to impute from: DNase was set aside: toy does not"):
        plan(model, ["dnase"])
    with pytest.raises(NothingObserved, match=r"DNase was set aside: .* H3K4me1 is masked\.$"):
        plan(model, ["dnase", "H3K4me1"], mask=["H3K4me1"])


def test_a_masked_track_that_tells_nothing_is_not_set_aside(model: Model) -> None:
    settled = plan(model, ["H3K4me1", "H3K9me3"], mask=["H3K9me3"], unusable={"H3K9me3": "It is 0 all over."})
    assert settled == Plan(("H3K4me1",), ("H3K9me3",), model.marks[1:])


def test_a_known_assay_without_a_track_is_no_mask(model: Model) -> None:
    with pytest.raises(UnknownMark, match="'DNase' is not a mark of toy"):
        plan(model, ["H3K4me1"], mask=["DNase"])
