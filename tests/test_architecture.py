"""The arrows of the design: what may import what, and what the service must do without."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_point_down() -> None:
    result = subprocess.run([Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_the_service_imports_without_the_trainers_libraries() -> None:
    """As in its container: torch, scipy and the others cannot be imported, and neither can the trainer."""
    code = """
import sys
class Missing:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in {"torch", "scipy", "sklearn", "tensorboard", "pybigtools", "onnxscript", "training"}:
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
import app.main, app.cli, app.demo, app.offline
app.main.create_app()
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_only_the_trainers_extra_asks_for_torch() -> None:
    service = (ROOT / "requirements/service.lock").read_text()
    for package in ("torch==", "scipy==", "scikit-learn==", "tensorboard==", "pybigtools=="):
        assert package not in service
        assert f"\n{package}" in (ROOT / "requirements/dev.lock").read_text()


def test_nothing_of_the_real_data_is_in_the_tree() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = listed.stdout.splitlines()
    tracks = [f for f in files if f.lower().endswith((".bw", ".bigwig", ".bb", ".npz", ".npy", ".wig.gz"))]
    assert not [f for f in tracks if not f.startswith("models/")]


def test_onnxruntime_reports_nothing_to_its_maker(tmp_path: Path) -> None:
    """Its builds do by default, and keep a device id in the home folder; the trainer imports it through the core."""
    env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    code = """
import os
from pathlib import Path
from app.core.model import Model
Model(Path("models/paper-core5"))
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""
    home = {**env, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=home, capture_output=True, text=True)
    assert result.stdout.strip() == "1", result.stderr
    assert not list(tmp_path.rglob("*deviceid*"))
