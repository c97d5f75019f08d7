"""The page reads marks from file names as the service does."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import MARKS

NAMES = {
    "E003-H3K4me3.pval.signal.bigWig": "H3K4me3",
    "h3k4me3.bw": "H3K4me3",
    "K4me3_rep1.bw": "H3K4me3",
    "H3K4me3rep1.bw": "H3K4me3",
    "H3K4Me3.bw": "H3K4me3",
    "wgEncodeBroadHistoneGm12878H3k04me3StdSigV2.bigWig": "H3K4me3",
    "DIPG_H3K27M_H3K27me3.bw": "H3K27me3",
    "liver_K27ac.bw": "other",
    "H4K20me1.bw": "other",
    "H3K4me3-over-H3K9me3.bw": "",
    "H3K4me33_H3K9me3.bw": "",
    "H3K4me33.bw": "",
    "xK4me3.bw": "",
    "a.bw": "",
}


def test_the_page_reads_names_as_the_service_does() -> None:
    node = shutil.which("node")
    if not node:
        pytest.skip("needs node")
    page = (Path(__file__).parents[1] / "app/web/page.js").read_text()
    function = re.search(r"^function markOf.*?^}$", page, re.MULTILINE | re.DOTALL)
    assert function
    script = (
        f"const OTHER = 'other', marks = {json.dumps(MARKS)};\n{function[0]}\n"
        f"console.log(JSON.stringify({json.dumps(list(NAMES))}.map(markOf)));"
    )
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True)
    assert dict(zip(NAMES, json.loads(done.stdout), strict=True)) == NAMES
