"""API keys: shown once, stored as hashes, compared in constant time."""

import hashlib
import hmac
import re
import secrets

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from app.core.errors import KeyRefused
from app.store.tables import ApiKey, now

_FORM = re.compile(r"epf_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


class Keys:
    """The keys of a service. A key reads `epf_ID_SECRET`; the secret is 256 random bits: a plain SHA-256 keeps it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, owner: str) -> str:
        """Make a key for an owner; this is the only time that it is seen."""
        secret = secrets.token_urlsafe(32)
        with Session(self._engine) as session:
            key = ApiKey(owner=owner, secret_sha256=_hash(secret))
            session.add(key)
            session.commit()
            return f"epf_{key.id}_{secret}"

    def every(self) -> list[ApiKey]:
        """All keys, oldest first."""
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.exec(select(ApiKey).order_by(col(ApiKey.created))))

    def revoke(self, key_id: str) -> None:
        """Make a key open nothing from now on; raises KeyRefused if there is none."""
        with Session(self._engine) as session:
            key = session.get(ApiKey, key_id)
            if key is None:
                raise KeyRefused(f"There is no key {key_id[:40]}; `epifill keys list` shows the ids.", key_id[:40])
            key.revoked = key.revoked or now()
            session.add(key)
            session.commit()

    def owner_of(self, text: str) -> str:
        """Whose key this is; raises KeyRefused."""
        match = _FORM.fullmatch(text)
        with Session(self._engine) as session:
            key = session.get(ApiKey, match[1]) if match else None
            expected = key.secret_sha256 if key else _hash("")
            right = hmac.compare_digest(expected, _hash(match[2] if match else "x"))
            if key is None or not right or key.revoked:
                raise KeyRefused("The API key is not valid; send one as 'Authorization: Bearer epf_...'.")
            return key.owner


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
