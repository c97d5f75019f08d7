"""A typed client, generated from openapi.json, does what a lab's own program would: nothing is written by hand."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from tests.conftest import CHR21
from tests.server import Server, serve

REGION = "chr21:33,750,000-33,751,000"
_BINARY = ("image/png", "multipart/byteranges", "application/zip")
CONFIG = {"post_hooks": [], "content_type_overrides": dict.fromkeys(_BINARY, "application/octet-stream")}


@pytest.fixture(scope="module")
def server(panel_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("generated") / "data"
    with serve(folder, models=panel_models, default_model="panelled") as running:
        yield running


@pytest.fixture(scope="module")
def package(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of the generated package; what the generator warns of is an error."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_bytes(httpx2.get(f"{server.url}/openapi.json").raise_for_status().content)
    (folder / "config.yml").write_text(json.dumps(CONFIG))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning", "--meta", "none"]
    command += ["--path", "openapi.json", "--config", "config.yml", "--output-path", "epifill_client"]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    sys.path.insert(0, str(folder))
    yield "epifill_client"
    sys.path.remove(str(folder))


@pytest.fixture
def client(server: Server, package: str) -> Iterator[Any]:
    with import_module(package).Client(server.url, raise_on_unexpected_status=True, timeout=60) as opened:
        yield opened


def call(package: str, operation: str) -> Any:
    """The function of an operation, which a generated client names after it, and the models."""
    tag, name = operation.split(".")
    return import_module(f"{package}.api.{tag}.{name}").sync


def test_an_upload_and_a_region(client: Any, package: str, tracks: dict[str, Path]) -> None:
    models, types = import_module(f"{package}.models"), import_module(f"{package}.types")
    new = models.NewSample(name="liver, donor 3")
    sample = call(package, "samples.create_sample")(client=client, body=new)
    assert isinstance(sample, models.SampleAnswer)
    for mark in ("H3K4me1", "H3K4me3"):
        file = types.File(payload=io.BytesIO(tracks[mark].read_bytes()))
        put = call(package, "samples.upload_track")
        track = put(sample.id, mark, client=client, body=file, content_disposition=f"inline; filename={mark}_x.bw")
        assert isinstance(track, models.TrackAnswer)
        assert (track.status, track.file_name) == ("ready", f"{mark}_x.bw")
        assert track.quality.covered_bins > 0
        assert track.quality.quantiles.additional_properties["0.5"] >= 0
    answer = call(package, "samples.get_region")(sample.id, client=client, region=REGION, mask=["H3K4me3"])
    assert isinstance(answer, models.RegionAnswer)
    assert answer.region == REGION
    masked = next(one for one in answer.tracks if one.mark == "H3K4me3")
    assert len(masked.values) == 40
    assert masked.score.bins == 40
    listed = call(package, "samples.list_samples")(client=client, name="LIVER")
    assert [row.id for row in listed.samples] == [sample.id]
    assert call(package, "samples.delete_sample")(sample.id, client=client) is None
    gone = call(package, "samples.get_sample")(sample.id, client=client)
    assert isinstance(gone, models.Problem)
    assert gone.type_ == "urn:epifill:problem:unknown-sample"


def test_one_request(client: Any, package: str, tracks: dict[str, Path]) -> None:
    models, types = import_module(f"{package}.models"), import_module(f"{package}.types")
    files = [
        types.File(payload=io.BytesIO(tracks[mark].read_bytes()), file_name=tracks[mark].name)
        for mark in ("H3K4me1", "H3K4me3")
    ]
    form = models.BodyImpute(tracks=files, targets=["H3K9me3"], region=REGION)
    answer = call(package, "impute.impute")(client=client, body=form)
    assert isinstance(answer, models.RegionAnswer)
    assert answer.observed == ["H3K4me1", "H3K4me3"]
    (track,) = answer.tracks
    assert track.mark == "H3K9me3"
    assert np.isfinite([value for value in track.values if value is not None]).all()
    assert isinstance(answer.trust.additional_properties["H3K9me3"], models.TargetTrust)
    refused = call(package, "impute.impute")(client=client, body=models.BodyImpute(tracks=files, region="chr99"))
    assert isinstance(refused, models.Problem)
    assert refused.status == 422


def test_a_long_imputation(client: Any, package: str, tracks: dict[str, Path]) -> None:
    models, types = import_module(f"{package}.models"), import_module(f"{package}.types")
    sample = call(package, "samples.create_sample")(client=client, body=models.NewSample(name="x"))
    form = models.BodyUploadTrackForm(
        track=types.File(io.BytesIO(tracks["H3K4me1"].read_bytes()), tracks["H3K4me1"].name)
    )
    track = call(package, "samples.upload_track_form")(sample.id, client=client, body=form)
    assert isinstance(track, models.TrackAnswer), track
    asked = models.NewImputation(targets=["H3K9me3"], regions=[str(CHR21)], score=False)
    job = call(package, "imputations.start_imputation")(sample.id, client=client, body=asked, idempotency_key="k")
    assert isinstance(job, models.ImputationAnswer)
    assert "event: state" in call(package, "imputations.watch_imputation")(job.id, client=client)
    done = call(package, "imputations.get_imputation")(job.id, client=client)
    assert (done.status, done.sample_name) == ("finished", "x")
    assert done.links.tracks.additional_properties["H3K9me3"].additional_properties["imputed"].endswith(".bigWig")
    track = call(package, "imputations.download_result")(job.id, "H3K9me3", client=client)
    assert track.payload.read(4)[::-1].hex() == "888ffc26"
    manifest = call(package, "imputations.get_manifest")(job.id, client=client)
    assert manifest.targets == ["H3K9me3"]
    rows = call(package, "imputations.list_imputations")(client=client, sample=sample.id, status="finished")
    assert [row.id for row in rows.imputations] == [job.id]
