from pathlib import Path

import pytest

from app.core.assemblies import ASSEMBLIES, HG19, HG38, Assembly, get_assembly, match_chromosomes, recognise
from app.core.errors import AssemblyMismatch, UnknownAssembly


@pytest.mark.parametrize("name", ["hg19", "hg38"])
def test_lengths_are_those_of_the_published_table(name: str, real_data: Path) -> None:
    lines = (real_data / f"annotations/{name}.chrom.sizes").read_text().splitlines()
    published = {chrom: int(length) for chrom, length in (line.split() for line in lines)}
    assert {chrom: published[chrom] for chrom in ASSEMBLIES[name].chromosomes} == ASSEMBLIES[name].chromosomes


def test_names_without_chr_are_mapped_and_foreign_contigs_left_out() -> None:
    theirs = {"21": 48_129_895, "MT": 16_569, "GL000192.1": 547_496}
    assert match_chromosomes(theirs, HG19, "a.bw").names == {"chr21": ("21",)}


def test_ucsc_mitochondrion_is_matched() -> None:
    assert match_chromosomes({"chrM": 16_571}, HG19, "a.bw").names == {"chrM": ("chrM",)}


@pytest.mark.parametrize(
    ("theirs", "says"),
    [
        (dict(HG38.chromosomes), "'a.bw' is in assembly hg38, but the model works in hg19"),
        ({"chr9": 138_394_717}, "is in assembly hg38"),
        ({"chr9": 5, "chr1": 249_250_621}, "chr9 of 5 bp, but in hg19 it has 141,213,431 bp"),
        ({"2L": 23_513_712}, "has no chromosome of hg19 \\(its first are: 2L\\)"),
        ({}, "its first are: none"),
    ],
)
def test_another_assembly_is_refused_with_both_names(theirs: dict[str, int], says: str) -> None:
    with pytest.raises(AssemblyMismatch, match=says):
        match_chromosomes(theirs, HG19, "a.bw")


def test_unknown_assembly_names_the_known_ones() -> None:
    with pytest.raises(UnknownAssembly, match="'mm10' is not known; the known ones are hg19 \\(GRCh37\\), hg38"):
        get_assembly("mm10")


@pytest.mark.parametrize(
    ("name", "assembly"),
    [
        *((name, HG19) for name in ("hg19", "HG19", "GRCh37", "grch37", "GRCh37.p13", "b37", "hs37d5", " hg19 ")),
        *((name, HG38) for name in ("hg38", "GRCh38", "GRCh38.p14", "hs38", "hs38DH", "GCF_000001405.40")),
    ],
)
def test_an_assembly_has_several_names(name: str, assembly: Assembly) -> None:
    assert get_assembly(name) is assembly


@pytest.mark.parametrize("name", ["hg1", "GRCh37.", "GRCh3", "p13", "", "hg19.p", "hg18"])
def test_other_names_are_no_assembly(name: str) -> None:
    with pytest.raises(UnknownAssembly):
        get_assembly(name)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        *(
            (name, "chr21")
            for name in ("chr21", "CHR21", "Chr21", "21", "021", "NC_000021.8", "nc_000021.8", "CM000683.1")
        ),
        *((name, "chr1") for name in ("chr01", "01", "1", "CM000663.1")),
        *((name, "chrX") for name in ("X", "x", "chrx", "CHRX", "NC_000023.10")),
        *((name, "chrM") for name in ("M", "MT", "chrMT", "mt", "chrm", "NC_001807.4")),
    ],
)
def test_a_chromosome_has_several_names(theirs: str, ours: str) -> None:
    assert HG19.find(theirs) == ours


@pytest.mark.parametrize(
    "name",
    # Of hg38, of another length than hg19's, without a version; contigs; numbers that stand for letters.
    ["NC_000021.9", "CM000683.2", "NC_012920.1", "NC_000021", "chr21_random", "21_alt", "chr", "", "0", "chr23", "23"],
)
def test_other_names_are_no_chromosome_of_hg19(name: str) -> None:
    assert HG19.find(name) is None


def test_accessions_are_those_of_the_assembly() -> None:
    for assembly, version in ((HG19, ".1"), (HG38, ".2")):
        accessions = [alias for alias in assembly.aliases if alias.startswith("CM")]
        assert accessions == [f"CM{number:06}{version}" for number in range(663, 687)]
        assert [assembly.find(alias) for alias in accessions] == list(assembly.chromosomes)[:24]
    assert not (set(HG19.aliases) & set(HG38.aliases)) - {"MT"}


def test_a_number_stands_for_a_letter_only_where_the_length_agrees() -> None:
    for number, chrom in {"23": "chrX", "24": "chrY", "25": "chrM", "26": "chrM"}.items():
        assert HG19.find(number, HG19.length(chrom)) == chrom
        assert HG38.find(f"chr{number}", HG38.length(chrom)) == chrom
        assert HG38.find(number, HG38.length(chrom) - 1) is None


def test_a_mitochondrion_of_another_length_is_left_out_and_not_said_to_be_unknown() -> None:
    fit = match_chromosomes({"chr21": 48_129_895, "MT": 16_569, "GL000192.1": 5, "Un": 5}, HG19, "a.bw")
    assert fit.names == {"chr21": ("chr21",)}
    assert fit.notes() == [
        "MT was left out: it has 16,569 bp, but chrM of hg19 has 16,571.",
        "2 contigs that hg19 does not have were left out: GL000192.1, Un.",
    ]


def test_a_chromosome_under_two_names_is_both() -> None:
    fit = match_chromosomes({"21": 48_129_895, "chr21": 48_129_895}, HG19, "a.bw")
    assert fit.names == {"chr21": ("21", "chr21")}
    assert fit.notes() == [
        "Chromosome names were mapped: 21 as chr21.",
        "Chromosomes that stand in the file under several names were put together: chr21 (21 and chr21).",
    ]


ROUNDED = [48_129_900, 48_129_875, 48_130_000, 48_129_920]


@pytest.mark.parametrize("length", ROUNDED)
def test_rounded_lengths_are_said(length: int) -> None:
    (note,) = match_chromosomes({"chr21": length}, HG19, "a.bw").notes()
    assert note.startswith(f"Chromosome lengths in the file are rounded to whole bins (chr21 has {length:,} bp and not")
    with pytest.raises(
        AssemblyMismatch, match="their lengths are those of hg19 rounded to whole bins; name the sample"
    ):
        recognise({"chr21": length}, "a.bw")
    with pytest.raises(AssemblyMismatch, match="is in assembly hg19, but the model works in hg38"):
        match_chromosomes({"chr21": length}, HG38, "a.bw", {"chr21": 1000})


def test_values_behind_a_chromosomes_end_are_said() -> None:
    notes = match_chromosomes({"chr21": 48_129_900}, HG19, "a.bw", {"chr21": 48_129_900}).notes()
    assert notes[1:] == ["What the file has behind the end of chr21 was left out."]


def test_lengths_that_end_with_the_values_are_said() -> None:
    lengths = {"chr20": 63_025_520, "chr21": 40_000_000, "22": 50_000_000}
    fit = match_chromosomes(lengths, HG19, "a.bw", {"chr21": 40_000_000, "22": 49_999_990})
    assert set(fit.names) == {"chr20", "chr21", "chr22"}
    assert fit.notes()[1:] == [
        "Chromosome lengths in the file end where the values end (chr21 has 40,000,000 bp and not 48,129,895, chr22 has"
        " 50,000,000 bp and not 51,304,566); it was read as hg19, as was asked for, so make sure that it is."
    ]
    with pytest.raises(AssemblyMismatch, match="chr21 has 48,129,895 bp in hg19, 46,709,983 bp in hg38"):
        recognise(lengths, "a.bw")


@pytest.mark.parametrize(
    ("lengths", "ends"),
    [
        ({"chr21": 40_000_000}, {"chr21": 30_000_000}),  # shorter for another reason: another species
        ({"chr21": 40_000_000}, {}),
        ({"chr21": 60_000_000}, {"chr21": 60_000_000}),  # values behind the end
        ({"chr21": 48_129_896}, {"chr21": 1000}),
    ],
)
def test_other_lengths_stay_refused(lengths: dict[str, int], ends: dict[str, int]) -> None:
    with pytest.raises(AssemblyMismatch, match="bp, but in hg19 it has 48,129,895 bp"):
        match_chromosomes(lengths, HG19, "a.bw", ends)


def test_the_lengths_of_another_assembly_are_not_excused() -> None:
    """A track of hg38 with values up to the very end is not one of hg19 that is cut."""
    with pytest.raises(AssemblyMismatch, match="is in assembly hg38"):
        match_chromosomes({"chr21": 46_709_983}, HG19, "a.bw", {"chr21": 46_709_983})
