"""What is true of every route: other origins, HEAD, methods, links, compression, headers, a prefix."""

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi.testclient import TestClient

from app.api.links import Signer, shared_secret, signed_hub
from app.core.errors import LinkRefused
from app.main import create_app
from app.settings import Settings
from app.store.keys import Keys
from tests.conftest import MARKS
from tests.server import Server, serve
from tests.test_api import post, problem
from tests.test_cli import refused, run
from tests.test_imputations import start, upload, watch

ORIGIN = "https://lab.example"


@pytest.fixture
def open_client(models: Path, tmp_path: Path) -> Iterator[TestClient]:
    """Keys on, one origin let in, and a proxy that is believed."""
    settings = Settings(
        models=models, default_model="toy", data=tmp_path / "open", api_keys_required=True, cors_origins=ORIGIN,
        trust_forwarded_prefix=True,
    )  # fmt: skip
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def test_another_origin_may_call_if_it_is_let_in(open_client: TestClient, client: TestClient) -> None:
    asks = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    answer = open_client.options("/v1/models", headers=asks)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Range" in answer.headers["access-control-allow-headers"]
    refusal = open_client.get("/v1/models", headers={"Origin": ORIGIN})
    assert refusal.status_code == 401
    assert refusal.headers["access-control-allow-origin"] == ORIGIN
    exposed = set(refusal.headers["access-control-expose-headers"].split(", "))
    ranges = {"Accept-Ranges", "Content-Range", "Content-Length", "Content-Encoding"}
    assert exposed >= {*ranges, "ETag", "Location", "Content-Disposition"}
    assert "access-control-allow-origin" not in open_client.get("/", headers={"Origin": "https://evil.example"}).headers
    assert "access-control-allow-origin" not in client.get("/", headers={"Origin": ORIGIN}).headers


@pytest.mark.parametrize("origins", ["lab.example", "https://lab.example/path", "*,https://a.example", "https://a b"])
def test_an_origin_is_a_scheme_and_a_host(origins: str) -> None:
    assert refused(run("serve", EPIFILL_CORS_ORIGINS=origins)).startswith("EPIFILL_CORS_ORIGINS is no list of origins")
    listed = " https://a.example/ , http://localhost:3000"
    assert Settings(cors_origins=listed).cors_origins == "https://a.example,http://localhost:3000"


def test_what_signs_links_must_be_long() -> None:
    assert "EPIFILL_LINK_SECRET is too short" in refused(run("serve", EPIFILL_LINK_SECRET="secret"))
    assert Settings(link_secret="0" * 32).link_secret  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/v1/models", "/v1/models/toy"])
def test_head_is_answered_as_get_without_a_body(client: TestClient, path: str) -> None:
    get, head = client.get(path), client.head(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers == get.headers


def test_every_get_has_its_head_and_methods_are_told(client: TestClient) -> None:
    paths: dict[str, dict[str, Any]] = client.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        url = re.sub(r"\{\w+\}", "0" * 32, path)
        wanted = {name.upper() for name in operations} | ({"HEAD"} if "get" in operations else set())
        answer = client.request("PATCH", url)
        assert answer.status_code == 405
        allowed = set(answer.headers["allow"].split(", "))
        # What ends in .bigWig may also be a mark, to PUT and DELETE.
        assert allowed - wanted <= ({"PUT", "DELETE"} if path.endswith("{mark}.bigWig") else set()), path
        assert wanted <= allowed, path
        assert (client.head(url).status_code == 405) == ("get" not in operations)


def every_link(answer: Any) -> Iterator[str]:
    if isinstance(answer, dict):
        for name, value in answer.items():
            if name in ("expires", "filename"):
                continue
            yield from every_link(value)
    elif isinstance(answer, str):
        yield answer


@pytest.fixture(scope="module")
def guarded(panel_models: Path, tmp_path_factory: pytest.TempPathFactory, page: "Page") -> Iterator[Server]:
    """A real server with keys on, whose prefix is /epifill, that lets in the origin of `page`."""
    folder = tmp_path_factory.mktemp("guarded") / "data"
    with serve(
        folder,
        models=panel_models,
        default_model="panelled",
        engine_workers=1,
        api_keys_required=1,
        cors_origins=page.url,
        root_path="/epifill",
        contact_email="lab@example.org",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def key(guarded: Server) -> str:
    from app.store.database import open_database

    folder = guarded.log.with_suffix("")
    engine = open_database(f"sqlite:///{folder / 'epifill.db'}")
    made = Keys(engine).create("lab")
    engine.dispose()
    return made


@pytest.fixture(scope="module")
def job(guarded: Server, key: str, tracks: dict[str, Path]) -> dict[str, Any]:
    """A finished imputation."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=guarded.url, headers=headers, timeout=60) as client:
        sample = upload(client, tracks, MARKS[:3])
        asked = start(client, sample, regions=["chr21:33,750,000-33,800,000"]).raise_for_status().json()
        asked["links"] = {name: link.removeprefix("/epifill") for name, link in asked["links"].items()}
        ended = watch(client, asked)[-1]
        assert ended["status"] == "finished", ended
        return ended


def test_every_link_of_an_answer_leads_somewhere(guarded: Server, key: str, job: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=guarded.url, headers=headers, timeout=60) as client:
        sample = client.get(f"/v1/samples/{job['sample']}").json()
        answers = [job, sample, *sample["tracks"]]
        links = [link for answer in answers for link in every_link(answer["links"])]
        assert len(links) > 20
        for link in links:
            assert link.startswith("/epifill/v1/"), link
            url = link.removeprefix("/epifill")
            params = {"region": "chr21:33,750,000-33,751,000"} if url.endswith("/region") else None
            assert client.get(url, params=params).status_code == 200, url
            assert client.head(url, params=params).status_code == 200, url


def test_a_signed_link_opens_its_result_without_a_key_and_nothing_else(
    guarded: Server, key: str, job: dict[str, Any]
) -> None:
    signed = job["links"]["signed"]
    hub = signed["hub"].removeprefix("/epifill")
    query = urlsplit(hub).query
    with httpx2.Client(base_url=guarded.url, timeout=60) as client:
        text = client.get(hub).raise_for_status().text
        assert "email lab@example.org" in text
        tracks = re.findall(r"^bigDataUrl (\S+)$", text, re.MULTILINE)
        assert len(tracks) == 6
        for track in tracks:
            url = hub.partition("hub.txt")[0] + track
            part = client.get(url, headers={"Range": "bytes=0-3"})
            assert (part.status_code, part.content) == (206, bytes.fromhex("26fc8f88"))
            assert client.head(url).status_code == 200
        own = f"/v1/imputations/{job['id']}"
        for other in (own, f"{own}/events", f"/v1/samples/{job['sample']}", f"/v1/imputations/{'0' * 32}/hub.txt"):
            assert problem(client.get(f"{other}?{query}"), 403, "link-refused")
        assert problem(client.delete(f"{own}?{query}"), 401, "key-refused")
        later = query.replace("expires=", "expires=9")
        assert "signature does not open it" in problem(client.get(f"{own}/hub.txt?{later}"), 403, "link-refused")
        assert problem(client.get(f"{own}/hub.txt"), 401, "key-refused")
        assert problem(client.get(f"{hub}&x=\\d"), 422, "invalid-request")  # nothing else comes into a hub
    log = guarded.log.read_text()
    assert "signature=..." in log
    assert urlsplit(hub).query.partition("signature=")[2] not in log


def test_signatures_expire_and_are_those_of_all_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = shared_secret(tmp_path)
    assert shared_secret(tmp_path) == secret
    assert (tmp_path / "link-secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["link-secret"]
    (tmp_path / "link-secret").write_bytes(secret[:5])  # as a loss of power may leave it
    assert len(shared_secret(tmp_path)) == 64
    (tmp_path / "link-secret").write_bytes(secret)
    imputation = "a" * 32
    path = f"/v1/imputations/{imputation}/hub.txt"
    query = Signer(secret, 1).query(imputation)
    Signer(secret, 5).check(path, query)
    with pytest.raises(LinkRefused, match="signature does not open"):
        Signer(b"other", 1).check(path, query)
    with pytest.raises(LinkRefused, match="signature does not open"):
        Signer(secret, 1).check(path, {})
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 90_001)
    with pytest.raises(LinkRefused, match="has expired"):
        Signer(secret, 1).check(path, query)


def test_a_signed_hub_names_signed_tracks() -> None:
    assert signed_hub("track a\nbigDataUrl tracks/A.bigWig\n\ntrack b\nbigDataUrl tracks/B.bigWig\n", "x=1&y=2") == (
        "track a\nbigDataUrl tracks/A.bigWig?x=1&y=2\n\ntrack b\nbigDataUrl tracks/B.bigWig?x=1&y=2\n"
    )


def test_text_is_compressed_and_tracks_are_not(client: TestClient, tracks: dict[str, Path]) -> None:
    region = "chr21:33,750,000-33,780,000"
    for wanted, packed in (("json", True), ("bedgraph", True), ("bigwig", False), ("npy", False)):
        answer = post(client, [tracks["H3K4me1"]], region=region, targets="H3K4me3", format=wanted)
        assert answer.headers.get("content-encoding") == ("gzip" if packed else None), wanted
        assert "epifill-result" in answer.headers
    assert client.get("/openapi.json").headers["content-encoding"] == "gzip"
    plain = client.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


def test_browsers_are_told_what_they_may(client: TestClient) -> None:
    for path in ("/", "/docs", "/v1/models", "/nothing"):
        headers = client.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    assert client.get("/static/page.js").headers["cache-control"] == "no-cache"
    assert "max-age" in client.get("/static/vendor/swagger-ui/swagger-ui.css").headers["cache-control"]


def test_an_empty_file_slot_is_ignored(client: TestClient, tracks: dict[str, Path]) -> None:
    """Swagger UI sends one for a chooser that was left alone."""
    real = ("tracks", ("H3K4me1.bigWig", tracks["H3K4me1"].read_bytes()))
    form = {"region": "chr21:33,750,000-33,751,000", "targets": "H3K4me3"}
    answer = client.post("/v1/impute", files=[("tracks", ("", b"")), real], data=form)
    assert answer.status_code == 200, answer.text
    assert client.post("/v1/impute", files=[real], data={**form, "tracks": ""}).status_code == 200
    problem(client.post("/v1/impute", files=[("tracks", ("", b""))], data=form), 422, "invalid-request")


def test_a_prefix_is_believed_only_of_a_proxy_that_is(open_client: TestClient, client: TestClient) -> None:
    key = Keys(open_client.app.state.engine).create("lab")  # type: ignore[attr-defined]
    headers = {"Authorization": f"Bearer {key}", "X-Forwarded-Prefix": "/lab/epifill/"}
    created = open_client.post("/v1/samples", json={"name": "a"}, headers=headers)
    assert created.headers["location"] == created.json()["links"]["self"]
    assert created.json()["links"]["self"].startswith("/lab/epifill/v1/samples/")
    odd = {**headers, "X-Forwarded-Prefix": "//evil.example"}
    assert open_client.get("/v1/samples", headers=odd).json()["samples"][0]["links"]["self"].startswith("/v1/")
    created = client.post("/v1/samples", json={"name": "a"}, headers={"X-Forwarded-Prefix": "/lab"})
    assert created.headers["location"].startswith("/v1/")


def test_a_proxy_may_keep_the_prefix_or_take_it_off(guarded: Server, key: str) -> None:
    for path in ("/epifill/v1/samples", "/v1/samples"):
        assert httpx2.get(f"{guarded.url}{path}").status_code == 401
        assert httpx2.get(f"{guarded.url}{path}", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    for path in (
        "/epifill/",
        "/epifill/docs",
        "/docs",
        "/static/page.js",
        "/epifill/static/page.js",
        "/epifill/healthz",
    ):
        assert httpx2.get(f"{guarded.url}{path}").status_code == 200, path
    for path in ("/docs/", "/epifill/docs/"):
        assert httpx2.get(f"{guarded.url}{path}").headers["location"] == "/epifill/docs"
    assert httpx2.get(f"{guarded.url}/epifill").headers["location"] == "/epifill/"
    detail = problem(httpx2.get(f"{guarded.url}/nothing"), 404, "not-found")
    assert detail == "There is nothing at /nothing; see /epifill/docs for what there is."
    assert httpx2.get(f"{guarded.url}/openapi.json").json()["servers"] == [{"url": "/epifill"}]
    refused_static = httpx2.post(f"{guarded.url}/static/page.js")
    assert refused_static.headers["allow"] == "GET, HEAD"
    assert "/static/page.js does not answer POST" in refused_static.json()["detail"]


def test_the_command_line_works_below_a_prefix(guarded: Server, key: str, job: dict[str, Any], tmp_path: Path) -> None:
    known = {"EPIFILL_SERVER": f"{guarded.url}/epifill", "EPIFILL_API_KEY": key}
    fetched = run("jobs", "fetch", job["id"], "--out", tmp_path / "out", **known)
    assert fetched.returncode == 0, fetched.stderr
    assert (tmp_path / "out/manifest.json").exists()


def test_a_signed_link_ends_with_its_imputation(guarded: Server, key: str, tracks: dict[str, Path]) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=f"{guarded.url}/epifill", headers=headers, timeout=60) as client:
        asked = start(client, upload(client, tracks, MARKS[:2]), regions=["chrM"], score=False).json()
        asked["links"] = {name: link.removeprefix("/epifill") for name, link in asked["links"].items()}
        ended = watch(client, asked)[-1]
        client.delete(f"/v1/imputations/{ended['id']}").raise_for_status()
    gone = httpx2.get(f"{guarded.url}{ended['links']['signed']['hub']}")
    assert problem(gone, 404, "unknown-imputation")


class Page:
    """A page on an origin of its own."""

    def __init__(self, folder: Path) -> None:
        handler = partial(_Quiet, directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.folder, self.url = folder, f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    opened = Page(tmp_path_factory.mktemp("page"))
    yield opened
    opened.close()


CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip("no Chromium: install Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def igv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """igv.js, from npm."""
    folder = tmp_path_factory.mktemp("igv")
    try:
        subprocess.run(["npm", "pack", "igv@3.8.10"], cwd=folder, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("npm cannot fetch igv.js here")
    subprocess.run(["tar", "xzf", "igv-3.8.10.tgz"], cwd=folder, check=True)
    return folder / "package/dist/igv.min.js"


def test_igv_on_another_origin_shows_a_track_by_a_signed_link(
    guarded: Server, job: dict[str, Any], page: Page, browser: Any, igv: Path
) -> None:
    link = job["links"]["signed"]["tracks"]["H3K9me3"]["imputed"].removeprefix("/epifill")
    options = {
        "reference": {"id": "hg19", "format": "chromsizes", "url": f"{page.url}/hg19.sizes", "tracks": []},
        "locus": "chr21:33,750,001-33,755,000",
        "tracks": [{"name": "imputed", "type": "wig", "format": "bigwig", "url": f"{guarded.url}{link}"}],
    }
    (page.folder / "hg19.sizes").write_text("chr21\t48129895\n")
    (page.folder / "igv.min.js").write_bytes(igv.read_bytes())
    (page.folder / "index.html").write_text(
        '<!doctype html><div id="igv"></div><script src="igv.min.js"></script>'
        f"<script>window.opened = igv.createBrowser(document.getElementById('igv'), {json.dumps(options)})</script>"
    )
    tab = browser.new_page()
    tab.goto(f"{page.url}/index.html")
    values = tab.evaluate(
        """async () => {
            const browser = await window.opened;
            const view = browser.trackViews.find((view) => view.track.name === "imputed");
            const features = await view.track.getFeatures("chr21", 33750000, 33755000, 1);
            return features.map((feature) => [feature.start, feature.value]);
        }"""
    )
    tab.close()
    assert len(values) == 200
    assert values[0][0] == 33_750_000
    assert any(value > 0 for _, value in values)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_policy_lets_our_own_pages_work(models: Path, tmp_path: Path, browser: Any, path: str) -> None:
    with serve(tmp_path / "data", models=models, default_model="toy") as server:
        tab, said = browser.new_page(), []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(f"{server.url}{path}", wait_until="networkidle")
        words = "toy 1." if path == "/" else "Impute the missing marks of a sample"
        tab.get_by_text(words).first.wait_for()
        tab.close()
    assert said == []
