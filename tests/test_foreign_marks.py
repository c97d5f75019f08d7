"""A track of a mark that the model does not know is set aside with a warning, whatever the way in; a slip is told."""

import json
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.test_api import post, problem
from tests.test_cli import refused, run
from tests.test_samples import new_sample, put

REGION = "chr21:33,750,000-33,751,000"
ASIDE = "{} was set aside: toy does not know it; its marks are H3K4me1, H3K4me3, H3K36me3, H3K27me3, H3K9me3."


def named(tracks: dict[str, Path], **names: str) -> dict[str, bytes]:
    """Files by the name that they are sent under; the content is that of a mark's track."""
    return {f"{name}.bw": tracks[mark].read_bytes() for name, mark in names.items()}


def test_one_shot_sets_a_foreign_file_aside_unread(client: TestClient, tracks: dict[str, Path]) -> None:
    files = {**named(tracks, k4me1_rep1="H3K4me1"), "s-H3K27ac.bw": b"no bigWig", "s-DNase.bw": b"neither"}
    answer = post(client, files, region=REGION, targets="h3k9ME3").json()
    assert answer["observed"] == ["H3K4me1"]
    assert [track["mark"] for track in answer["tracks"]] == ["H3K9me3"]
    assert answer["warnings"][:2] == [ASIDE.format("H3K27ac"), ASIDE.format("DNase")]
    alone = post(client, named(tracks, H3K4me1="H3K4me1"), region=REGION, targets="H3K9me3").json()
    assert answer["tracks"] == alone["tracks"]


def test_one_shot_with_foreign_files_only(client: TestClient, tracks: dict[str, Path]) -> None:
    detail = problem(post(client, named(tracks, ATAC="H3K4me1")), 422, "nothing-observed")
    assert detail == f"No track is left to impute from: {ASIDE.format('ATAC')}"


def test_marks_may_be_given_in_any_case(client: TestClient, tracks: dict[str, Path]) -> None:
    files = named(tracks, a="H3K4me1", b="H3K9me3", c="H3K4me3")
    answer = post(client, files, region=REGION, marks="h3k4ME1,k9me3,wce", mask="H3K9ME3,input").json()
    assert (answer["observed"], answer["masked"]) == (["H3K4me1"], ["H3K9me3"])
    assert answer["warnings"][0] == ASIDE.format("Input")
    assert "Did you mean H3K4me3?" in problem(
        post(client, named(tracks, a="H3K4me1"), marks="H3K4me33"), 422, "unknown-mark"
    )


def test_an_unclear_name_says_which_field_to_use(client: TestClient, tracks: dict[str, Path]) -> None:
    detail = problem(post(client, named(tracks, H3K4me1_H3K9me3="H3K4me1")), 422, "ambiguous-mark")
    assert (
        "names both H3K4me1 and H3K9me3; give the marks of all files, in the order of the files, in the field" in detail
    )
    assert "'marks'" in problem(
        post(client, named(tracks, a="H3K4me1", b="H3K9me3"), marks="H3K4me1"), 422, "ambiguous-mark"
    )
    sample = new_sample(client)
    form = {"track": ("a.bw", tracks["H3K4me1"].read_bytes())}
    detail = problem(client.post(f"/v1/samples/{sample}/tracks", files=form), 422, "ambiguous-mark")
    assert detail.endswith("give it in the field 'mark'.")


def test_a_sample_keeps_a_foreign_track_and_says_so(client: TestClient, tracks: dict[str, Path]) -> None:
    sample = new_sample(client)
    content = tracks["H3K4me1"].read_bytes()
    stored = put(client, sample, "dnase-seq", content)
    assert stored.status_code == 201
    assert stored.headers["location"].endswith("/tracks/DNase")
    assert stored.json()["mark"] == "DNase"
    told = "toy does not know DNase; the track is kept, but set aside there."
    assert stored.json()["warnings"][-1] == told
    assert client.get(f"/v1/samples/{sample}/tracks/DNASE").json()["warnings"][-1] == told
    region = f"/v1/samples/{sample}/region?region={REGION}&targets=h3k4me3&mask=dnase"
    assert problem(client.get(region), 422, "nothing-observed").endswith(ASIDE.format("DNase"))
    assert put(client, sample, "h3k04me1", content).json()["warnings"] == []
    answer = client.get(region).json()
    assert answer["observed"] == ["H3K4me1"]
    assert answer["warnings"][0] == ASIDE.format("DNase")
    assert "'DNase' is not a mark of toy" in problem(client.get(f"{region}&targets=dnase"), 422, "unknown-mark")
    assert "Did you mean H3K4me3?" in problem(put(client, sample, "H3K4me33", content), 422, "unknown-mark")


def test_a_mark_in_a_path_may_be_written_in_any_way(client: TestClient, tracks: dict[str, Path]) -> None:
    sample = new_sample(client)
    content = tracks["H3K4me1"].read_bytes()
    assert put(client, sample, "H3K4me1", content).status_code == 201
    assert put(client, sample, "h3k4ME1", content).status_code == 200
    assert client.get(f"/v1/samples/{sample}/tracks/K4me1").json()["mark"] == "H3K4me1"
    assert client.get(f"/v1/samples/{sample}/tracks/h3k4me1.bigWig").content == content
    assert client.delete(f"/v1/samples/{sample}/tracks/H3k04me1").status_code == 204
    assert problem(client.get(f"/v1/samples/{sample}/tracks/nothing"), 404, "unknown-track")


def test_a_job_sets_a_foreign_track_aside(client: TestClient, tracks: dict[str, Path]) -> None:
    sample = new_sample(client)
    assert put(client, sample, "ctcf", tracks["H3K4me1"].read_bytes()).status_code == 201
    start = f"/v1/samples/{sample}/imputations"
    assert problem(client.post(start, json={}), 422, "nothing-observed").endswith(ASIDE.format("CTCF"))
    assert put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes()).status_code == 201
    asked = {"targets": ["k4me3"], "regions": ["CHR21 33.75M 33.76M"], "score": False}
    job = client.post(start, json=asked).json()
    assert (job["observed"], job["targets"]) == (["H3K4me1"], ["H3K4me3"])
    with client.stream("GET", job["links"]["events"]) as stream:
        last = json.loads([line for line in stream.iter_lines() if line.startswith("data:")][-1][5:])
    assert last["status"] == "finished", last["reason"]
    assert last["warnings"][0] == ASIDE.format("CTCF")
    link = last["links"]["tracks"]["H3K4me3"]["imputed"]
    assert client.get(link.replace("H3K4me3", "h3k4ME3")).content == client.get(link).content


def test_the_command_line_sets_a_foreign_file_aside_unread(
    models: Path, tracks: dict[str, Path], tmp_path: Path
) -> None:
    known, foreign = tmp_path / "a=b-K4me1_rep1.bw", tmp_path / "H3K27ac.bw"
    known.write_bytes(tracks["H3K4me1"].read_bytes())
    foreign.write_text("no bigWig")
    options = ["--model", "toy", "--models", models, "--region", "21:33.75M..33.76M"]
    given = ["--track", known, "--track", foreign, "--track", f"k9me3={tracks['H3K9me3']}", "--mask", "h3K9me3"]
    done = run("impute", *given, "--target", "h3k4me3", *options, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["observed"], manifest["masked"]) == (["H3K4me1"], ["H3K9me3"])
    assert list(manifest["inputs"]) == ["H3K4me1", "H3K9me3"]
    assert manifest["warnings"][0] == ASIDE.format("H3K27ac")
    assert f"Warning: {ASIDE.format('H3K27ac')}" in done.stderr


@pytest.mark.parametrize(
    ("track", "says"),
    [
        (
            "{}/H3K4me1_H3K9me3.bw",
            "'H3K4me1_H3K9me3.bw' names both H3K4me1 and H3K9me3; write --track MARK=FILE, such as",
        ),
        ("{}/a.bw", "The mark of 'a.bw' cannot be told from its name; write --track MARK=FILE, such as"),
        ("H3K4me33={}/a.bw", "'H3K4me33' is not a mark of toy, .* Did you mean H3K4me3"),
        ("=a.bw", "'=a.bw' is not a track; write --track MARK=FILE"),
        ("H3K4me1=", "is not a track; write --track MARK=FILE"),
        ("H3K4me1=gone.bw", "'gone.bw' does not exist; give the path of a bigWig file.$"),
        ("H3K4me1", "'H3K4me1' does not exist; .* a track is given as MARK=FILE, or as FILE"),
    ],
)
def test_an_unclear_track_option_says_what_to_write(models: Path, tmp_path: Path, track: str, says: str) -> None:
    for name in ("a.bw", "H3K4me1_H3K9me3.bw"):
        (tmp_path / name).write_bytes(b"")
    options = ["--track", track.format(tmp_path), "--model", "toy", "--models", models]
    line = refused(run("impute", *options, "--out", tmp_path / "out"))
    assert re.search(says, line), line
    assert "'marks'" not in line
