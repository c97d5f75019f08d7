from pathlib import Path

import pytest

from app.core.assemblies import ASSEMBLIES, HG19, HG38, get_assembly, match_chromosomes
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
