import pytest

from app.core.errors import (
    AmbiguousMark,
    DuplicateMark,
    EpifillError,
    NothingObserved,
    NothingToImpute,
    UnknownMark,
)
from app.core.marks import Plan, mark_of_file, plan
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
        (["H3K4ME3"], [], [], UnknownMark, "Did you mean H3K4me3"),
        (["H3K4me1"], ["h3k27me"], [], UnknownMark, "Did you mean H3K27me3"),
        (["H3K4me1"], [], ["CTCF"], UnknownMark, "'CTCF' is not a mark of toy, which has H3K4me1, .*H3K9me3\\.$"),
    ],
)
def test_wrong_marks_are_named(
    model: Model, tracks: list[str], mask: list[str], targets: list[str], error: type[EpifillError], says: str
) -> None:
    with pytest.raises(error, match=says):
        plan(model, tracks, mask, targets)


@pytest.mark.parametrize("name", ["E003-H3K4me3.pval.signal.bigWig", "h3k4me3.bw", "my_sample_H3K4me3_rep1.bigwig"])
def test_the_mark_is_read_from_the_file_name(model: Model, name: str) -> None:
    assert mark_of_file(name, model) == "H3K4me3"


@pytest.mark.parametrize("name", ["a.bw", "H3K4me3-over-H3K9me3.bw", "H3K4me33.bw", ""])
def test_an_unclear_file_name_asks_for_the_mark(model: Model, name: str) -> None:
    with pytest.raises(AmbiguousMark, match="cannot be told from its name"):
        mark_of_file(name, model)
