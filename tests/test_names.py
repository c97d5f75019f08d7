"""What files are called, on their way in and out."""

import io
import zipfile
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.api.names import common_stem, content_disposition, file_name_of, printable, result_name
from app.client.server import _plain
from app.core.errors import BadName
from tests.test_api import problem
from tests.test_samples import new_sample, put

REGION = "chr21:33,750,000-33,751,000"


def named(response: Response) -> tuple[str, str | None]:
    """How an answer is to be shown, and what its file is called."""
    header = response.headers["content-disposition"]
    return header.partition(";")[0], file_name_of(header)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment", None),
        ("", None),
        ("attachment; filename=a.bw", "a.bw"),
        ('attachment; filename="a, b; c.bw"', "a, b; c.bw"),
        ('attachment; FILENAME="a.bw"', "a.bw"),
        ("attachment; filename=\"a.bw\"; filename*=UTF-8''%C3%A4.bw", "ä.bw"),
        ("attachment; filename*=iso-8859-1'en'%E4.bw", "ä.bw"),
        ("attachment; filename*=nonsense''%C3%A4.bw", "ä.bw"),
        ("attachment; filename*=UTF-8''%E4.bw", "\ufffd.bw"),
        ("ä.bw".join(['attachment; filename="', '"']).encode().decode("latin-1"), "ä.bw"),
        ("attachment; filename=\xe4.bw", "ä.bw"),
    ],
)
def test_a_name_is_read_from_its_header(header: str, name: str | None) -> None:
    assert file_name_of(header) == name


@pytest.mark.parametrize("name", ["a.bigWig", "größe 肝.bigWig", 'a"b%c.bigWig'])
def test_a_header_reads_back(name: str) -> None:
    header = content_disposition(name, "attachment")
    assert header.isascii()
    assert file_name_of(header) == name


@pytest.mark.parametrize(
    ("files", "marks", "stem"),
    [
        (["B-H3K4me1.pval.signal.bigWig", "B-H3K4me3.pval.signal.bigWig"], ["H3K4me1", "H3K4me3"], "B"),
        (["liver_donor 3.h3k4me1.bw"], ["H3K4me1"], "liver_donor_3"),
        (["liver_K4me3_rep1.bw", "liver_K27me3_rep1.bw"], ["H3K4me3", "H3K27me3"], "liver"),
        (["a.bw", "b.bw"], ["H3K4me1", "H3K4me3"], ""),
        (["H3K4me1.bigWig", "H3K4me3.bigWig"], ["H3K4me1", "H3K4me3"], ""),
        (["sample.bigWig"], ["H3K4me1"], "sample"),
        (["../../etc/größe-H3K4me1.bw"], ["H3K4me1"], "etc_größe"),
    ],
)
def test_a_stem_is_what_the_files_have_in_common(files: list[str], marks: list[str], stem: str) -> None:
    assert common_stem(files, marks) == stem


def test_a_result_is_called_after_its_sample() -> None:
    assert result_name("liver, donor 3", "H3K4me3.imputed.bigWig") == "liver_donor_3.H3K4me3.imputed.bigWig"
    assert result_name("肝 / größe", "imputed.zip") == "肝_größe.imputed.zip"
    assert result_name("???", "imputed.zip") == "imputed.zip"
    assert len(result_name("肝" * 200, "H3K4me3.imputed.bigWig").encode()) <= 255
    with pytest.raises(BadName):
        printable("a\nb.bw")


@pytest.mark.parametrize(
    ("query", "headers", "name"),
    [
        ("", {"Content-Disposition": 'attachment; filename="E003-H3K4me3.bigWig"'}, "E003-H3K4me3.bigWig"),
        ("", {"Content-Disposition": f"attachment; filename*=UTF-8''{quote('größe.bw')}"}, "größe.bw"),
        (f"?filename={quote('dir/größe.bw')}", {"Content-Disposition": "attachment; filename=other.bw"}, "größe.bw"),
        ("", {}, "H3K4me3.bigWig"),
    ],
)
def test_a_raw_upload_keeps_its_name(
    client: TestClient, tracks: dict[str, Path], query: str, headers: dict[str, str], name: str
) -> None:
    sample = new_sample(client)
    place = f"/v1/samples/{sample}/tracks/H3K4me3"
    answer = client.put(f"{place}{query}", content=tracks["H3K4me3"].read_bytes(), headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["file_name"] == name
    assert named(client.get(f"{place}.bigWig")) == ("attachment", name)
    refused = client.put(f"{place}?filename=a.bw", content=b"not a bigWig")
    assert "'a.bw'" in problem(refused, 422, "not-a-bigwig")
    assert "control characters" in problem(client.put(f"{place}?filename=a%0Ab", content=b""), 422, "bad-name")


def test_answers_are_called_after_the_files(client: TestClient, tracks: dict[str, Path]) -> None:
    files = [("tracks", (tracks[mark].name, tracks[mark].read_bytes())) for mark in ("H3K4me1", "H3K4me3")]

    def ask(**form: str) -> Response:
        answer = client.post("/v1/impute", files=files, data={"region": REGION, **form})
        assert answer.status_code == 200, answer.text
        return answer

    assert named(ask(format="bigwig", targets="H3K9me3")) == ("attachment", "B.H3K9me3.imputed.bigWig")
    several = ask(format="bigwig")
    assert named(several) == ("attachment", "B.imputed.zip")
    with zipfile.ZipFile(io.BytesIO(several.content)) as archive:
        assert archive.namelist() == [f"B.{mark}.imputed.bigWig" for mark in ("H3K36me3", "H3K27me3", "H3K9me3")]
    assert named(ask(format="npy")) == ("attachment", "B.imputed.npy")
    assert named(ask(format="bedgraph")) == ("inline", "B.imputed.bedGraph")
    assert "content-disposition" not in ask(format="json").headers


def test_a_samples_region_is_called_after_the_sample(client: TestClient, tracks: dict[str, Path]) -> None:
    sample = new_sample(client, name="肝, donor 3")
    assert put(client, sample, "H3K4me3", tracks["H3K4me3"].read_bytes()).status_code == 201
    asked = f"/v1/samples/{sample}/region?region={REGION}&format=bigwig&targets=H3K9me3"
    answer = client.get(asked)
    assert named(answer) == ("attachment", "肝_donor_3.H3K9me3.imputed.bigWig")
    assert unquote(answer.headers["content-disposition"].rpartition("''")[2]) == named(answer)[1]


def test_the_command_line_sends_any_file_name() -> None:
    """A file system may hold what is no text, and line ends."""
    assert _plain("a\udcff\nb ü.bw") == "a__b ü.bw"
    assert printable(_plain("\udcff\x00.bw")) == "__.bw"
