"""Addresses of the service's own resources, as answers give them; and signed ones, which open without a key for a time.

A genome browser sends no key. So where keys are asked for, an imputation's answer also has links that carry a signature
(HMAC-SHA256) over the imputation's id and the time at which they expire. One opens the files of that imputation's
result, to be read, and nothing else.
"""

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.types import Scope

from app.core.errors import LinkRefused
from app.jobs.publish import HUB, MANIFEST, PICTURE, track_link
from app.store.tables import ImputationJob, Sample, Track

EXPIRES, SIGNATURE = "expires", "signature"
"""The query parameters of a signed link."""

_SECRET_FILE = "link-secret"  # noqa: S105 - its name
_SECRET_BYTES = 32
_DAY = 86_400
_RESULT_FILE = r"tracks/[^/]+\.bigWig|hub\.txt|manifest\.json|scores\.png"
_SIGNED_PATH = re.compile(rf"/v1/imputations/([0-9a-f]{{32}})/(?:{_RESULT_FILE})")


class Signer:
    """Makes and checks signatures.

    Parameters
    ----------
    secret
        Known to the servers of a service alone.
    hours
        How long a link works at least; links made on the same day are the same.
    """

    def __init__(self, secret: bytes, hours: float) -> None:
        self._secret = secret
        self._seconds = hours * 3600

    def query(self, imputation_id: str) -> dict[str, str]:
        """The query parameters that open an imputation's result."""
        expires = str((int(time.time() + self._seconds) // _DAY + 1) * _DAY)
        return {EXPIRES: expires, SIGNATURE: self._sign(imputation_id, expires)}

    def check(self, path: str, query: Mapping[str, str]) -> None:
        """Raise LinkRefused unless the parameters open a path now."""
        match = _SIGNED_PATH.fullmatch(path)
        expires, signature = query.get(EXPIRES, ""), query.get(SIGNATURE, "")
        expected = self._sign(match[1] if match else "", expires)
        if not match or not hmac.compare_digest(expected.encode(), signature.encode()):
            raise LinkRefused("This link's signature does not open it; take the link from the imputation's answer.")
        if int(expires) < time.time():
            raise LinkRefused("This link has expired; take a new one from the imputation's answer.")

    def _sign(self, imputation_id: str, expires: str) -> str:
        return hmac.new(self._secret, f"{imputation_id} {expires}".encode(), hashlib.sha256).hexdigest()


def shared_secret(data: Path) -> bytes:
    """The secret of all servers on a data folder, made by the first of them and readable by its owner alone.

    Servers that start at the same time must not call it at the same time.
    """
    path = data / _SECRET_FILE
    if not path.exists() or path.stat().st_size != 2 * _SECRET_BYTES:
        partial = path.with_name(f"{_SECRET_FILE}.partial")
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    return path.read_bytes()


@dataclass(frozen=True)
class Links:
    """Addresses below the prefix under which the caller sees the service; signed ones where keys are asked for."""

    prefix: str = ""
    signer: Signer | None = None

    def sample(self, sample: Sample) -> dict[str, str]:
        """Of a sample."""
        own = f"{self.prefix}/v1/samples/{sample.id}"
        return {"self": own, **{name: f"{own}/{name}" for name in ("tracks", "region", "imputations")}}

    def track(self, track: Track) -> dict[str, str]:
        """Of a track."""
        own = f"{self.prefix}/v1/samples/{track.sample_id}/tracks/{track.mark}"
        return {"self": own} | ({"file": f"{own}.bigWig"} if track.status == "ready" else {})

    def imputation(self, row: ImputationJob) -> dict[str, Any]:
        """Of an imputation and, once it has finished, of its result."""
        own = f"{self.prefix}/v1/imputations/{row.id}"
        found: dict[str, Any] = {"self": own, "events": f"{own}/events"}
        if row.status == "finished":
            found |= _result(row, own, "")
            if self.signer:
                query = self.signer.query(row.id)
                signed = _result(row, own, f"?{signature_of(query)}")
                found["signed"] = {**signed, "expires": datetime.fromtimestamp(int(query[EXPIRES]), UTC)}
        return found


def _result(row: ImputationJob, own: str, query: str) -> dict[str, Any]:
    found: dict[str, Any] = {"manifest": f"{own}/{MANIFEST}{query}", "hub": f"{own}/{HUB}{query}"}
    found |= {"scores_picture": f"{own}/{PICTURE}{query}"} if row.scores else {}
    found["tracks"] = {
        mark: {part: f"{own}/{track_link(mark, part)}{query}" for part in row.request["parts"]}
        for mark in row.request["targets"]
    }
    return found


def signed_hub(hub: str, query: str) -> str:
    """A track hub whose tracks are opened by the signature by which it was opened itself."""
    return re.sub(r"^bigDataUrl \S+$", lambda line: f"{line[0]}?{query}", hub, flags=re.MULTILINE)


def signature_of(query: Mapping[str, str]) -> str:
    """The part of a signed link's query that signs."""
    return f"{EXPIRES}={query[EXPIRES]}&{SIGNATURE}={query[SIGNATURE]}"


def is_signed(scope: Scope) -> bool:
    """Whether a request was let in by a signed link, and not by a key."""
    return bool(scope.get("signed"))


async def _links(request: Request) -> Links:
    signer = request.app.state.signer if request.app.state.settings.api_keys_required else None
    return Links(request.scope.get("root_path", "").rstrip("/"), signer)


CurrentLinks = Annotated[Links, Depends(_links)]
