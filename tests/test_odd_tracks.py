"""Tracks as other people's tools make them: `odd-tracks.py` beside the real data writes them from a real track."""

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.core.binned import BinnedTracks
from app.core.errors import AssemblyMismatch
from app.core.regions import Region
from app.store.files import ORIGINAL
from app.store.ingest import Limits, Taken, take_in

CHR21, BINS = Region("chr21", 0, 48_129_895), 87_844


@pytest.fixture(scope="module")
def odd(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = real_data.parent / "tools/odd-tracks.py"
    if not script.is_file():
        pytest.skip(f"no {script.name} beside the real data")
    out = tmp_path_factory.mktemp("odd")
    subprocess.run([sys.executable, script, out, "--data", real_data], check=True, capture_output=True)
    return out


def taken(odd: Path, folder: Path, kind: str, assembly: str | None) -> Taken:
    (folder / ORIGINAL).write_bytes((odd / f"{kind}-H3K4me1.bw").read_bytes())
    return asyncio.run(take_in(folder / ORIGINAL, folder, f"{kind}.bw", assembly, 25, Limits()))


def chr21(folder: Path) -> np.ndarray:
    return BinnedTracks({"m": folder}).read(CHR21).values[0]


@pytest.fixture(scope="module")
def sound(odd: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The track that all of them are made of; this one has the odd name of 21."""
    folder = tmp_path_factory.mktemp("sound")
    taken(odd, folder, "bare", None)
    values = chr21(folder)
    assert (~np.isnan(values)).sum() == BINS
    return values


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("upper", "Chromosome names were mapped: CHR1 as chr1"),
        ("bare", "Chromosome names were mapped: 1 as chr1"),
        ("refseq", "Chromosome names were mapped: NC_000021.8 as chr21."),
        ("numbers", "Chromosome names were mapped: 23 as chrX, 21 as chr21."),
        ("two-names", "under several names were put together: chr21 (21 and chr21)."),
        (
            "contigs",
            "60,000 contigs that hg19 does not have were left out: scaffold_0, scaffold_1, scaffold_2 and 59,997",
        ),
    ],
)
def test_every_name_is_understood(odd: Path, sound: np.ndarray, tmp_path: Path, kind: str, says: str) -> None:
    found = taken(odd, tmp_path, kind, None)
    assert found.assembly == "hg19"
    assert says in " ".join(found.warnings)
    np.testing.assert_array_equal(chr21(tmp_path), sound)
    if kind == "numbers":
        chrx = BinnedTracks({"m": tmp_path}).read(Region("chrX", 9_999_975, 10_002_525)).values[0]
        np.testing.assert_array_equal(chrx, np.array([np.nan, *[2] * 100, np.nan], np.float32))


@pytest.mark.parametrize(
    ("kind", "says", "refused"),
    [
        ("length-is-last-base", "end where the values end (chr21 has 40,822,600 bp", "chr21 has 48,129,895 bp in hg19"),
        ("length-rounded", "are rounded to whole bins (chr21 has 48,129,900 bp", "those of hg19 rounded to whole bins"),
    ],
)
def test_odd_lengths_are_said_and_accepted_where_the_assembly_is_named(
    odd: Path, sound: np.ndarray, tmp_path: Path, kind: str, says: str, refused: str
) -> None:
    found = taken(odd, tmp_path, kind, "hg19")
    assert says in " ".join(found.warnings)
    np.testing.assert_array_equal(chr21(tmp_path), sound)
    with pytest.raises(AssemblyMismatch, match=f"{refused}.* name the sample's assembly"):
        taken(odd, tmp_path, kind, None)


def test_another_grid_is_averaged_by_covered_bases(odd: Path, sound: np.ndarray, tmp_path: Path) -> None:
    """Every interval stands 7 bp too far to the right: a bin has 18 bp of its own value and 7 of the one before."""
    taken(odd, tmp_path, "off-grid", None)
    moved = chr21(tmp_path)
    before = np.append(np.nan, sound[:-1])
    both = np.flatnonzero(~np.isnan(sound) & ~np.isnan(before))
    right = np.isclose(moved[both], (18 * sound[both] + 7 * before[both]) / 25, rtol=1e-5)
    assert right.mean() > 0.99  # the real track has some intervals of several bins, which the script leaves out
