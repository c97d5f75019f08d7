"""The same store on a real PostgreSQL server, started by the test where its programs are at hand."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import inspect

from app.main import create_app
from app.settings import Settings
from app.store.database import open_database
from tests.server import free_port
from tests.test_lists import pages
from tests.test_samples import new_sample, put


def programs() -> Path:
    """The folder of PostgreSQL's server programs, or a skip."""
    for folder in [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/bin")]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    pytest.skip("no PostgreSQL server programs: install Debian's package postgresql")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of our own, on a free port, and the URL of an empty database."""
    bin_folder = programs()
    folder = tmp_path_factory.mktemp("postgres")
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if user:
        for parent in (folder, *folder.parents[:2]):
            parent.chmod(0o755)
        shutil.chown(folder, "postgres", "postgres")
    port, data = free_port(), folder / "data"

    def run(*command: object) -> None:
        subprocess.run([*user, *map(str, command)], check=True, capture_output=True, cwd=folder)

    run(bin_folder / "initdb", "-D", data, "-U", "epifill", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {folder}"
    run(bin_folder / "pg_ctl", "-D", data, "-o", options, "-w", "-l", folder / "log", "start")
    try:
        run(bin_folder / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "epifill", "epifill")
        yield f"postgresql://epifill@127.0.0.1:{port}/epifill"
    finally:
        run(bin_folder / "pg_ctl", "-D", data, "-m", "immediate", "stop")


@pytest.fixture
def client(postgres: str, models: Path, tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(models=models, default_model="toy", data=tmp_path / "data", database_url=postgres)
    with TestClient(create_app(settings)) as client:
        yield client


def test_samples_and_tracks_last_in_postgres(client: TestClient, tracks: dict[str, Path]) -> None:
    sample = new_sample(client)
    track = put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes()).json()
    assert track["status"] == "ready"
    shown = client.get(f"/v1/samples/{sample}").json()
    assert shown["tracks"] == [track]
    assert shown["created"].endswith("Z")
    query = {"region": "chr21:33,750,000-33,751,000", "targets": "H3K4me3"}
    assert client.get(f"/v1/samples/{sample}/region", params=query).status_code == 200
    assert client.delete(f"/v1/samples/{sample}").status_code == 204
    assert client.get(f"/v1/samples/{sample}").status_code == 404


def test_nul_and_odd_text_are_refused_not_failed(client: TestClient) -> None:
    assert client.post("/v1/samples", json={"name": "a\x00b"}).status_code == 422
    assert client.get("/v1/samples", params={"after": "a\x00b"}).status_code in (200, 422)
    assert client.get("/v1/samples", params={"name": "a\x00b"}).status_code == 422
    assert client.get("/v1/imputations", params={"sample": "a\x00b"}).status_code == 422
    assert client.get("/v1/samples/a%00b").status_code == 404


def test_lists_are_paged_and_filtered_alike(client: TestClient) -> None:
    ids = [new_sample(client, name=name) for name in ("Öl 1", "öl_2", "other")]
    for size in (1, 2, 3):
        assert pages(client, "/v1/samples", "samples", name="ÖL", limit=size)[0] == ids[1::-1][:size]
    assert pages(client, "/v1/samples", "samples", name="l_") == [[ids[1]]]
    assert [one for page in pages(client, "/v1/samples", "samples", limit=2) for one in page][:3] == ids[::-1]
    assert client.get("/v1/imputations?status=failed&sample=x&name=y").json() == {"imputations": [], "next": None}


def test_many_at_once(client: TestClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: new_sample(client), range(40)))
    page = client.get("/v1/samples", params={"limit": 500}).json()
    assert ids <= {sample["id"] for sample in page["samples"]}


def test_the_tables_are_the_same_as_in_sqlite(postgres: str, tmp_path: Path) -> None:
    def columns(url: str) -> dict[str, set[str]]:
        engine = open_database(url)
        look = inspect(engine)
        found = {table: {column["name"] for column in look.get_columns(table)} for table in look.get_table_names()}
        engine.dispose()
        return found

    tables = columns(postgres.replace("postgresql://", "postgresql+psycopg://"))
    assert tables == columns(f"sqlite:///{tmp_path / 'x.db'}")
    assert {"api_key", "sample", "track"} < set(tables)
