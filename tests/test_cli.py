"""`epifill` and `python -m training` as a user runs them, in processes of their own."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app import offline
from app.core import scores
from app.core.assemblies import HG19
from app.core.bigwig.read import TrackFile, Tracks
from app.core.bigwig.write import BigWigWriter
from app.core.impute import impute
from app.core.marks import plan
from app.core.model import Model, sha256_of
from app.core.regions import Region
from tests.conftest import CHR21, CHRM, MARKS
from tests.server import interruptible

ROOT = Path(__file__).parents[1]


def run(*arguments: object, module: str = "app", **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "COLUMNS": "200", **environment}, capture_output=True, text=True
    )


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """One line on standard error, exit status 2, no traceback."""
    assert result.returncode == 2, result
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def read(path: Path, region: Region) -> np.ndarray:
    with Tracks({"m": TrackFile(path, path.name)}, HG19, 25) as tracks:
        return tracks.read(region).values[0]


def track_options(tracks: dict[str, Path], *marks: str) -> list[str]:
    return [option for mark in marks for option in ("--track", f"{mark}={tracks[mark]}")]


@pytest.fixture(scope="module")
def whole_run(models: Path, tracks: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the tracks cover, two targets, one of them masked."""
    out = tmp_path_factory.mktemp("cli") / "out"
    options = [*track_options(tracks, "H3K4me1", "H3K4me3", "H3K36me3"), "--mask", "H3K4me3", "--target", "H3K4me3"]
    result = run("impute", *options, "--target", "H3K9me3", "--model", "toy", "--models", models, "--out", out)
    assert result.returncode == 0, result.stderr
    assert "H3K4me3" in result.stdout
    assert "100%" in result.stdout or "━" in result.stdout
    return out


def test_impute_gives_what_the_core_gives(whole_run: Path, model: Model, tracks: dict[str, Path]) -> None:
    files = {mark: TrackFile(tracks[mark], mark) for mark in MARKS[:3]}
    settled = plan(model, MARKS[:3], ["H3K4me3"], ["H3K4me3", "H3K9me3"])
    with Tracks(files, HG19, 25) as opened:
        for region in (CHR21, CHRM):
            expected = impute(opened, model, settled, region).imputed
            for mark in ("H3K4me3", "H3K9me3"):
                got = read(whole_run / f"{mark}.imputed.bigWig", region)
                np.testing.assert_array_equal(np.isnan(got), np.isnan(expected.row(mark)))
                np.testing.assert_allclose(got, expected.row(mark), rtol=1e-4, atol=1e-5)


def test_manifest_tells_what_was_made_from_what(whole_run: Path, model: Model, tracks: dict[str, Path]) -> None:
    manifest = json.loads((whole_run / "manifest.json").read_text())
    assert manifest["model"] == {"name": "toy", "version": "1.0.0", "sha256": model.manifest.sha256}
    assert manifest["inputs"]["H3K4me1"]["sha256"] == sha256_of(tracks["H3K4me1"])
    assert manifest["outputs"]["H3K9me3.imputed.bigWig"]["sha256"] == sha256_of(whole_run / "H3K9me3.imputed.bigWig")
    assert manifest["outputs"]["H3K9me3.imputed.bigWig"]["bins"] == 2663 - 10
    assert manifest["observed"] == ["H3K4me1", "H3K36me3"]
    assert set(manifest["scores"]) == {"H3K4me3"}
    assert manifest["scores"]["H3K4me3"]["bins"] == 2663 - 10
    assert str(whole_run) not in (whole_run / "manifest.json").read_text()
    assert sorted(path.name for path in whole_run.iterdir()) == [
        "H3K4me3.imputed.bigWig",
        "H3K9me3.imputed.bigWig",
        "manifest.json",
    ]


@pytest.mark.parametrize("region", ["chr21:33,750,000-33,760,000", "chrM"])
def test_impute_over_a_region(
    models: Path, tracks: dict[str, Path], whole_run: Path, tmp_path: Path, region: str
) -> None:
    options = track_options(tracks, "H3K4me1", "H3K36me3")
    result = run(
        "impute",
        *options,
        "--target",
        "H3K9me3",
        "--region",
        region,
        "--model",
        "toy",
        "--models",
        models,
        "--out",
        tmp_path,
    )
    assert result.returncode == 0, result.stderr
    got, whole = tmp_path / "H3K9me3.imputed.bigWig", whole_run / "H3K9me3.imputed.bigWig"
    inside = Region("chr21", 33_750_000, 33_760_000) if ":" in region else CHRM
    np.testing.assert_allclose(read(got, inside), read(whole, inside), rtol=1e-4, atol=1e-5)
    outside = CHRM if ":" in region else CHR21
    assert np.isnan(read(got, outside)).all()


def test_chunks_change_nothing(
    models: Path,
    model: Model,
    tracks: dict[str, Path],
    whole_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from rich.console import Console

    monkeypatch.setattr(scores, "MOST_SCORED_BINS", 1000)
    given = [(mark, tracks[mark]) for mark in MARKS[:3]]
    request = offline.Request(given, ["H3K4me3"], ["H3K4me3"], "chr21:33,750,000-33,800,000")
    result = offline.impute_files(model, models, request, tmp_path, Console(quiet=True), chunk_bins=130)
    got = read(tmp_path / "H3K4me3.imputed.bigWig", CHR21)
    np.testing.assert_allclose(got, read(whole_run / "H3K4me3.imputed.bigWig", CHR21), rtol=1e-4, atol=1e-5)
    assert result.scores["H3K4me3"].every == 2
    signal = read(tracks["H3K4me3"], CHR21)
    expected = scores.score(signal[::2], got[::2], 2)
    assert dataclasses.asdict(result.scores["H3K4me3"]) == pytest.approx(dataclasses.asdict(expected))


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    """Ctrl-C in the middle; the same command again does only what lacks, and the result is that of a whole run."""
    simulate = ["simulate", "--out", str(tmp_path / "in"), "--region", "chr21:33,000,000-38,000,000"]
    marks = ("H3K4me1", "H3K36me3")
    chosen = [word for mark in marks for word in ("--mark", mark)]
    subprocess.run([sys.executable, "-m", "training", *simulate, *chosen], check=True, capture_output=True)
    files = {mark: next((tmp_path / "in").glob(f"*-{mark}.*")) for mark in marks}
    options = [*track_options(files, *marks), "--target", "H3K4me3"]
    environment = {**os.environ, "EPIFILL_CHUNK_BINS": "16384"}

    def start(out: Path) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "app", "impute", *options, "--out", str(out)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stderr=pipe, stdout=pipe, text=True, preexec_fn=interruptible)

    stopped, whole, place = tmp_path / "stopped", tmp_path / "whole", tmp_path / "stopped/.epifill/chunks"
    first = start(stopped)
    while not (there := list(place.glob("*.npz"))):
        assert first.poll() is None
    first.send_signal(signal.SIGINT)
    _, told = first.communicate()
    assert (first.returncode, told) == (130, "Stopped; the same command goes on from here.\n")
    (kept, *_) = sorted(there)
    with np.load(kept) as chunk:
        parts = dict(chunk)
    np.savez(kept, **{**parts, "values": parts["values"] + 1})  # to tell it from one that is done again
    for out in (stopped, whole):
        process = start(out)
        process.communicate()
        assert process.returncode == 0
    region = Region("chr21", 33_000_000, 38_000_000)
    got, expected = (read(out / "H3K4me3.imputed.bigWig", region) for out in (stopped, whole))
    first_bin = 16_384 * int(kept.stem) - (33_000_000 // 25) % 4096
    reused = slice(max(0, first_bin), first_bin + 16_384)
    np.testing.assert_allclose(got[reused], expected[reused] + 1, rtol=1e-6)
    got[reused] = expected[reused]
    np.testing.assert_array_equal(got, expected)
    assert not place.parent.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--track", "H3K4me1"], "a track is given as MARK=FILE"),
        (["--track", "H3K4me1=/no/such.bw"], "'/no/such.bw' does not exist"),
        (["--track", "H3K4me2={good}"], "H3K4me2 was set aside: toy does not know it"),
        (["--track", "H3K4me1={good}", "--mask", "H3K4me1"], "Every track is masked"),
        (["--track", "H3K4me1={good}", "--region", "chr1:1-2"], "No unmasked track has a value in chr1:1-2"),
        (["--track", "H3K4me1={good}", "--region", "chr1:2-1"], "'chr1:2-1' is backwards; write chr1:1-2"),
        (["--track", "H3K4me1={good}", "--model", "nosuch"], "Model 'nosuch' is not installed"),
        (["--track", "H3K4me1={good}", "--out", "{bad}"], "bad.bw' is a file; give a folder"),
        (["--track", "H3K4me1={bad}"], "'bad.bw' is not a bigWig file but text"),
        (["--track", "H3K4me1={good}", "--track", "H3K4me1={good}"], "H3K4me1 has two tracks"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_file(
    models: Path, tracks: dict[str, Path], tmp_path: Path, options: list[str], says: str
) -> None:
    (tmp_path / "bad.bw").write_text("no bigWig")
    out = tmp_path / "out"
    filled = [option.format(good=tracks["H3K4me1"], bad=tmp_path / "bad.bw") for option in options]
    default = [] if "--model" in filled else ["--model", "toy"]
    place = [] if "--out" in filled else ["--out", out]
    assert says in refused(run("impute", *filled, *default, "--models", models, *place))
    assert not out.exists() or not list(out.iterdir())


def test_models_are_listed() -> None:
    result = run("models")
    assert result.returncode == 0
    (row,) = [line for line in result.stdout.splitlines() if "epifill-core5" in line]
    name, assembly, size, accuracy, marks = (cell.strip() for cell in row.split("│")[1:-1])
    assert name.startswith("epifill-core5 1.")
    assert "hg19" in assembly
    assert (size, marks) == ("25 bp", ", ".join(MARKS))
    assert re.fullmatch(r"0\.\d\d with panel, 0\.\d\d without", accuracy)
    assert "paper-core5" in result.stdout
    assert "boosting" not in result.stdout


@pytest.mark.parametrize("name", ["epifill-core5", "paper-core5"])
def test_the_figures_of_a_models_card_are_shown(name: str) -> None:
    """On a terminal of 80 columns: every figure of every mark and method, with the protocol."""
    result = run("models", name, COLUMNS="80")
    assert result.returncode == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    manifest = json.loads((ROOT / "models" / name / "model.json").read_text())
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    measures = ("pearson", "pearson_arcsinh", "spearman", "mse_arcsinh")
    figures = [(own["mark"], own, measures) for found in manifest["accuracy"] for own in found["marks"]]
    figures += [(method, own, (*measures, "auc")) for method, own in (manifest.get("benchmark") or {}).items()]
    for first, own, names in figures:
        cells = [first, *("-" if own[measure] is None else f"{own[measure]:.3f}" for measure in names)]
        assert cells in [row[: len(cells)] for row in rows], cells
    for mark, share in (manifest.get("reliability") or {}).items():
        assert [mark, f"{share:.3f}"] in rows
    said = " ".join(result.stdout.split())
    for text in ("assembly hg19", manifest["provenance"]["regions"], manifest["data_licence"]):
        assert text in said
    for accuracy in manifest["accuracy"]:
        assert accuracy["protocol"] in said


def test_no_scores_are_shown_where_nothing_was_masked(models: Path, tracks: dict[str, Path], tmp_path: Path) -> None:
    options = [*track_options(tracks, "H3K4me1", "H3K4me3"), "--model", "toy", "--models", models]
    result = run("impute", *options, "--region", "chrM", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "H3K36me3" in result.stdout
    for word in ("Pearson", "Spearman", "MSE"):
        assert word not in result.stdout


def test_no_model_is_told(tmp_path: Path) -> None:
    assert "holds no model" in refused(run("models", "--models", tmp_path))
    assert "Model 'other' is not installed" in refused(run("models", "other"))
    assert "holds none; set EPIFILL_MODELS" in refused(run("serve", EPIFILL_MODELS=str(tmp_path)))
    assert "The setting 'port' is wrong" in refused(run("serve", EPIFILL_PORT="high"))


def test_version_and_help() -> None:
    assert run("--version").stdout.startswith("epifill 0.")
    for command in ("serve", "impute", "models", "demo", "jobs", "samples"):
        result = run(command, "--help")
        assert result.returncode == 0
        assert "Usage" in result.stdout


def test_every_training_command_has_help() -> None:
    commands = ["fetch", "prepare", "counts", "simulate", "train", "search", "evaluate", "leave-one-out", "export"]
    overview = run("--help", module="training").stdout
    assert all(command in overview for command in commands)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["prepare", "/no/such", "--out", "x"], "holds none of the wanted tracks"),
        (["train", "/no/such", "--out", "x"], "is no data set"),
        (["search", "/no/such", "--out", "x"], "is no data set"),
        (["leave-one-out", "/no/such", "--out", "x"], "is no data set"),
        (["export", "/no/such", "/no/such", "--out", "x"], "does not exist; train first"),
        (["evaluate", "/no/such", "/no/such", "--out", "x"], "is no data set"),
        (["counts", "/no/such", "--out", "x"], "is no .npz file"),
    ],
)
def test_bad_input_to_the_trainer_is_one_line(arguments: list[str], says: str) -> None:
    assert says in refused(run(*arguments, module="training"))


def test_the_trainer_from_tracks_to_a_model_that_imputes(tracks: dict[str, Path], tmp_path: Path) -> None:
    """prepare, train, export, evaluate by their commands, then the service's command with the new model."""
    other = tmp_path / "tracks"
    other.mkdir()
    rng = np.random.default_rng(5)
    for mark, path in tracks.items():
        (other / path.name).write_bytes(path.read_bytes())
        with BigWigWriter(other / f"T-{mark}.bigWig", HG19, 25) as writer:
            writer.add(CHR21, rng.random(CHR21.n_bins(25)).astype(np.float32))
    data, runs, models = tmp_path / "data", tmp_path / "run", tmp_path / "models"
    order = [option for mark in MARKS for option in ("--mark", mark)]
    small = ["--hidden", 16, "--windows", 500, "--batch", 100, "--iterations", 5]
    for arguments in (
        ["prepare", other, "--out", data, *order],
        ["train", data, "--out", runs, "--sample", "B", *small],
        ["export", runs / "checkpoint.pt", data, "--out", models / "mine", "--version", "0.2.0"],
        ["evaluate", models / "mine", data, "--out", tmp_path / "evaluation"],
    ):
        result = run(*arguments, module="training")
        assert result.returncode == 0, result.stderr
    assert "| T |" in (tmp_path / "evaluation/table1.md").read_text()
    assert "was trained on B" in refused(
        run("evaluate", models / "mine", data, "--out", tmp_path / "e", "--sample", "B", module="training")
    )
    options = [*track_options(tracks, "H3K4me1"), "--target", "H3K4me3", "--model", "mine", "--models", models]
    result = run("impute", *options, "--out", tmp_path / "imputed")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "imputed/H3K4me3.imputed.bigWig").exists()
