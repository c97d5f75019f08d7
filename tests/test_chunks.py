"""The pieces of an imputation, one by one, without an engine: where they are cut; that each is whole or nothing."""

import errno
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.core.bigwig.write import BigWigWriter
from app.core.binned import BinnedTracks
from app.core.errors import BadRegion, DiskFull, ModelReplaced, NoOverlap, RegionTooShort, WriteFailed
from app.core.impute import impute
from app.core.marks import plan
from app.core.model import Model
from app.core.regions import Region
from app.jobs import chunks, publish
from app.jobs.chunks import assemble, impute_chunk, judge_tracks, noted, probe
from app.jobs.work import Cancelled, Folder, Input, Work, make_work
from tests.conftest import CHR21, CHRM, MARKS


@pytest.fixture
def inputs(ingested: dict[str, Path]) -> dict[str, Input]:
    return {mark: Input(path=str(ingested[mark]), file=f"{mark}.bw", sha256="0") for mark in MARKS[:3]}


def cut(model: Model, models: Path, inputs: dict[str, Input], regions: list[str] | None, chunk_bins: int) -> Work:
    return make_work("x", model, models, inputs, plan(model, list(inputs)), regions, True, chunk_bins)


@pytest.fixture
def place(panel_models: Path, panel_model: Model, inputs: dict[str, Input], tmp_path: Path) -> Folder:
    place = Folder(tmp_path / "job")
    place.create(cut(panel_model, panel_models, inputs, None, 512))
    return place


def run(place: Folder) -> None:
    work = place.work()
    judge_tracks(str(place.path))
    for number in range(len(work.chunks)):
        impute_chunk(str(place.path), number)
    for number in range(len(work.probes)):
        for mark in work.observed:
            probe(str(place.path), number, mark)


@pytest.mark.parametrize("chunk_bins", [1, 7, 512, 4096, 100_000])
def test_chunks_hold_each_bin_once_and_in_order(
    panel_models: Path, panel_model: Model, inputs: dict[str, Input], chunk_bins: int
) -> None:
    asked = ["chrM", "chr21:33,750,010-33,760,000", "chr21:33,755,000-33,770,000"]
    work = cut(panel_model, panel_models, inputs, asked, chunk_bins)
    bins = [(r.chrom, start) for r in work.pieces for start in range(r.start, r.end, 25)]
    expected = [("chr21", start) for start in range(33_750_000, 33_770_000, 25)]
    expected += [("chrM", start) for start in range(0, 16_571, 25)]
    assert bins == expected
    assert max(region.n_bins(25) for region in work.pieces) <= chunk_bins
    assert work.bins(25) == len(bins)
    assert len(work.probes) <= 12


def test_everything_that_the_tracks_cover_is_cut(
    panel_models: Path, panel_model: Model, inputs: dict[str, Input]
) -> None:
    work = cut(panel_model, panel_models, inputs, None, 4096)
    for region in (CHR21, CHRM):
        covering = [piece for piece in work.pieces if piece.overlaps(region)]
        assert covering[0].start <= region.start
        assert covering[-1].end >= region.end
    assert {piece.chrom for piece in work.pieces} == {"chr21", "chrM"}


def test_what_cannot_be_cut_is_said(
    panel_models: Path, panel_model: Model, inputs: dict[str, Input], tmp_path: Path
) -> None:
    with pytest.raises(BadRegion, match="chr99"):
        cut(panel_model, panel_models, inputs, ["chr99"], 512)
    said = "No unmasked track has a value in chr1:1,000-50,000; choose tracks or a region with values"
    with pytest.raises(NoOverlap, match=said):
        cut(panel_model, panel_models, inputs, ["chr1:1,000-50,000"], 512)
    assert cut(panel_model, panel_models, inputs, ["chr1:1,000-50,000", "chrM"], 512).warnings == (
        "No unmasked track has a value in 1 of 2 regions: chr1:1,000-50,000.",
    )


def test_a_chromosome_that_is_too_short_is_left_out_and_said_or_refused(
    panel_models: Path, panel_model: Model, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rule, whether regions were named or not; only where nothing is left it is an error."""
    longer = panel_model.manifest.model_copy(update={"min_bins": 1000})
    monkeypatch.setattr(panel_model, "manifest", longer)
    said = "chrM has only 663 bins of 25 bp, fewer than the 1000 that panelled needs."
    for regions in (None, ["chrM", "chr21:33,750,000-33,760,000"]):
        work = cut(panel_model, panel_models, inputs, regions, 512)
        assert work.warnings == (f"chrM was left out: {said}",)
        assert {piece.chrom for piece in work.pieces} == {"chr21"}
    with pytest.raises(RegionTooShort, match=said):
        cut(panel_model, panel_models, inputs, ["chrM"], 512)
    with pytest.raises(RegionTooShort, match=said):
        impute(BinnedTracks({m: Path(i.path) for m, i in inputs.items()}), panel_model, work.plan, CHRM)


def test_a_piece_done_again_is_the_same(place: Folder) -> None:
    run(place)
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.path.rglob("*.npz")}
    run(place)
    assert before == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.path.rglob("*.npz")}
    assert not list(place.path.rglob("*.partial"))


def test_a_result_that_does_not_read_back_is_not_published(place: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    run(place)

    class Forgetful(BigWigWriter):
        def add(self, region: Region, values: np.ndarray) -> None:
            spoilt = values.copy()
            spoilt[len(values) // 2] += 1
            super().add(region, spoilt)

    monkeypatch.setattr(chunks, "BigWigWriter", Forgetful)
    with pytest.raises(WriteFailed, match="did not read back as written in chr"):
        assemble(str(place.path), "H3K9me3", "imputed")
    assert not noted(place, "H3K9me3", "imputed").exists()
    monkeypatch.undo()
    for mark in place.work().targets:
        for part in ("imputed", "lower", "upper"):
            assemble(str(place.path), mark, part)
    assert not place.result.exists()
    publish.publish(str(place.path))
    assert (place.result / "manifest.json").exists()
    assert (place.result / "scores.png").exists()
    publish.publish(str(place.path))  # done already
    place.tidy()
    assert {path.name for path in place.path.iterdir()} == {"work.json", "judged", "strength.npz", "result"}


def test_a_cancelled_one_stops_at_the_next_tile(place: Folder) -> None:
    judge_tracks(str(place.path))

    def cancel(bins: int) -> None:
        shutil.rmtree(place.path)

    with pytest.raises(Cancelled):
        impute_chunk(str(place.path), 0, cancel)
    for piece, given in ((impute_chunk, (0,)), (judge_tracks, ()), (assemble, ("H3K9me3", "imputed"))):
        with pytest.raises(Cancelled):
            piece(str(place.path), *given)
    assert not place.path.exists()


def test_a_full_disk_is_named_and_other_faults_are_not_hidden(place: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_tracks(str(place.path))

    def fail(number: int):
        def write(*args: object) -> None:
            raise OSError(number, "no")

        return write

    monkeypatch.setattr(chunks, "write_atomically", fail(errno.ENOSPC))
    with pytest.raises(DiskFull, match="free some room and start the imputation again"):
        impute_chunk(str(place.path), 0)
    monkeypatch.setattr(chunks, "write_atomically", fail(errno.EIO))
    with pytest.raises(OSError, match="no"):
        impute_chunk(str(place.path), 0)


def test_a_replaced_model_is_not_mixed_in(place: Folder) -> None:
    work = place.work()
    place.create(work.model_copy(update={"model_sha256": "0"}))
    with pytest.raises(ModelReplaced, match="panelled was replaced by another version meanwhile"):
        impute_chunk(str(place.path), 0)
