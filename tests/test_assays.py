"""Marks and assays as people write them, and as they stand in the names of files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.assays import canonical, mark_of_file
from app.core.errors import AmbiguousMark
from tests.conftest import MARKS

ASK = "give it in the field 'mark'"

WAYS = {
    "H3K4me3": ["H3K4me3", "h3k4me3", "H3K4ME3", "H3K4Me3", "H3k04me3", "K4me3", "H3-K4me3", " H3 K4me3 "],
    "H3K27me3": ["H3k27me3", "k27me3"],
    "H3K27ac": ["H3K27ac", "H3K27Ac", "K27AC"],
    "H4K20me1": ["H4k20me1", "K20me1"],
    "H2AK119ub": ["H2AK119ub", "H2AK119ub1"],
    "H3S10ph": ["H3S10ph", "H3S10p"],
    "H3ac": ["H3ac", "H3K9/14ac", "H3K9K14ac"],
    "H2A.Z": ["H2A.Z", "H2AZ", "h2az", "H2AFZ", "H2A_Z"],
    "gH2AX": ["gamma-H2AX", "\u03b3H2AX", "H2AX"],
    "DNase": ["DNase", "dnase", "DNAse-seq", "DNase I", "DNaseI", "DHS"],
    "ATAC": ["ATAC", "ATAC-seq", "ATACseq", "scATAC-seq"],
    "CTCF": ["CTCF", "ctcf"],
    "Pol2": ["Pol2", "Pol II", "PolII", "RNAPII", "POLR2A", "Pol2b"],
    "Input": ["Input", "input DNA", "control", "WCE", "ChIP-Seq-control", "ctrl"],
    "IgG": ["IgG", "rabbit IgG"],
    "RNA-seq": ["RNA-seq", "rnaseq", "polyA RNA-seq"],
}


@pytest.mark.parametrize(("standard", "written"), [(mark, way) for mark, ways in WAYS.items() for way in ways])
def test_every_way_of_writing_has_one_spelling(standard: str, written: str) -> None:
    assert canonical(written) == standard
    assert canonical(standard) == standard


@pytest.mark.parametrize(
    "text",
    ["", "H3K4me33", "H3K4me4", "H3K4me0", "h3k27me", "H3K5me3", "H4K27me3", "H3R4ac", "XYZ", "H1K4me3", "H3K4me3_2"],
)
def test_what_is_no_assay_is_not_made_one(text: str) -> None:
    assert canonical(text) is None


def test_marks_of_models_are_known_whatever_they_are_called() -> None:
    assert canonical("my-mark", ["My-Mark"]) == "My-Mark"
    assert mark_of_file("liver_MYMARK_1.bw", ["MyMark"], ASK) == "MyMark"


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("E003-H3K4me3.pval.signal.bigWig", "H3K4me3"),
        ("h3k4me3.bw", "H3K4me3"),
        ("my_sample_H3K4me3_rep1.bigwig", "H3K4me3"),
        ("K4me3_rep1.bw", "H3K4me3"),
        ("H3K4me3rep1.bw", "H3K4me3"),
        ("H3K4Me3.bw", "H3K4me3"),
        ("H3_K4me3.bw", "H3K4me3"),
        ("H1_K4me3.bw", "H3K4me3"),
        ("UW.H1.H3K4me3.HS2342.bw", "H3K4me3"),
        ("wgEncodeBroadHistoneGm12878H3k04me3StdSigV2.bigWig", "H3K4me3"),
        ("wgEncodeBroadHistoneHelas3H3k4me3StdSig.bigWig", "H3K4me3"),
        ("wgEncodeBroadHistoneNhekH3k27me3StdSig.bigWig", "H3K27me3"),
        ("wgEncodeBroadHistoneK562H3k27acStdSig.bigWig", "H3K27ac"),
        ("wgEncodeBroadHistoneK562H2azStdSig.bigWig", "H2A.Z"),
        ("wgEncodeBroadHistoneNhekCtcfStdSig.bigWig", "CTCF"),
        ("wgEncodeBroadHistoneK562Pol2bStdSig.bigWig", "Pol2"),
        ("wgEncodeBroadHistoneK562ControlStdSig.bigWig", "Input"),
        ("wgEncodeUwDnaseK562RawRep1.bigWig", "DNase"),
        ("E003-H2A.Z.pval.bigwig", "H2A.Z"),
        ("liver_ATACseq_2.bw", "ATAC"),
        ("input_rep1.bw", "Input"),
        ("K562_K27ac_r2.bw", "H3K27ac"),
        ("H3K27ac2.bw", "H3K27ac"),
        ("DIPG_H3K27M_H3K27me3.bw", "H3K27me3"),
        ("H3K4me3.over.Input.bw", "H3K4me3"),
        ("control_H3K9me3_H3K9me3.bw", "H3K9me3"),
    ],
)
def test_the_mark_is_read_from_the_file_name(name: str, mark: str) -> None:
    assert mark_of_file(name, MARKS, ASK) == mark


@pytest.mark.parametrize("name", ["a.bw", "H3K4me33.bw", "", "xK4me3.bw", "H4_K4me3.bw", "H4K4me3.bw", "K562.bw"])
def test_an_unclear_file_name_asks_for_the_mark(name: str) -> None:
    with pytest.raises(AmbiguousMark, match=f"cannot be told from its name; {ASK}\\.$"):
        mark_of_file(name, MARKS, ASK)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("H3K4me3-over-H3K9me3.bw", "H3K4me3", "H3K9me3"),
        ("H3K4me3K9me3.bw", "H3K4me3", "H3K9me3"),
        ("H3K27ac_and_K27me3.bw", "H3K27ac", "H3K27me3"),
        ("H3K27me3_CTCF-KO.bw", "H3K27me3", "CTCF"),
        ("H3K4me33_H3K9me3.bw", "H3K4me33", "H3K9me3"),
    ],
)
def test_a_name_of_two_marks_is_told_with_both(name: str, one: str, other: str) -> None:
    with pytest.raises(AmbiguousMark, match=f"names both {one} and {other}; {ASK}\\.$"):
        mark_of_file(name, MARKS, ASK)


@given(st.sampled_from(MARKS), st.sampled_from(["_", "-", ".", " "]), st.data())
def test_case_padding_and_replicate_never_matter(mark: str, between: str, data: st.DataObject) -> None:
    written = mark.replace("K", data.draw(st.sampled_from(["K", "K0"])))
    written = "".join(data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in written)
    after = data.draw(st.sampled_from(["", "rep1", "_rep2", ".pval.signal", "StdSig", "-r3"]))
    assert canonical(written) == mark
    assert mark_of_file(f"E017{between}{written}{after}.bigWig", MARKS, ASK) == mark


@given(st.text(max_size=400))
def test_any_name_gives_a_mark_or_the_one_error(name: str) -> None:
    try:
        mark = mark_of_file(name, MARKS, ASK)
    except AmbiguousMark:
        return
    assert canonical(mark) == mark
