"""What others rely on stands in the documents: every setting, every kind of problem."""

import re
from pathlib import Path

from app.api.errors import PROBLEMS
from app.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"


def test_every_setting_is_documented() -> None:
    text = (DOCS / "deployment.md").read_text()
    missing = [name for name in Settings.model_fields if f"`EPIFILL_{name.upper()}`" not in text]
    assert missing == []
    named = {name.removeprefix("EPIFILL_").lower() for name in re.findall(r"`(EPIFILL_[A-Z_]+)`", text)}
    assert named - set(Settings.model_fields) == {"tmp_size", "memory"}, "those of docker-compose.yml alone"


def test_every_kind_of_problem_is_documented() -> None:
    text = (DOCS / "http-api.md").read_text()
    table = {
        int(status): set(re.findall(r"`([a-z-]+)`", line))
        for line in text.splitlines()
        if line.startswith("| ")
        for status in re.findall(r"\b\d{3}\b", line.split("|")[1])
    }
    for status, kind, _ in PROBLEMS.values():
        assert kind in table[status], kind
    own = set(re.findall(r'_answer\(\s*\d{3}, "([a-z-]+)"', (DOCS.parent / "app/api/errors.py").read_text()))
    assert own
    assert own <= set.union(*table.values())
