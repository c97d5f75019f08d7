import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from app.core.errors import BadModel, UnknownModel
from app.core.model import Model, find_models, load_model, sha256_of
from tests.conftest import MARKS
from tests.panelled import KNOTS, expected, graph


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """A copy of the toy model that may be spoiled."""
    return Path(shutil.copytree(models / "toy", tmp_path / "toy"))


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "model.json").read_text())
    edit(manifest)
    (folder / "model.json").write_text(json.dumps(manifest))


def replace_graph(folder: Path, graph: onnx.ModelProto) -> None:
    """Put another graph there, with its right hash: what is refused is the graph."""
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    change(folder, lambda m: m.update(sha256={"model.onnx": sha256_of(folder / "model.onnx")}))


def one_node(
    op: str = "Mul",
    domain: str = "",
    inputs: tuple[str, ...] = ("signal", "observed"),
    shape: tuple[str | int, ...] = ("batch", 5, "bins"),
    kind: int = TensorProto.FLOAT,
    output: str = "imputed",
) -> onnx.ModelProto:
    node = helper.make_node(op, inputs, [output], domain=domain)
    ins = [helper.make_tensor_value_info(name, kind, shape) for name in inputs]
    graph = helper.make_graph([node], "g", ins, [helper.make_tensor_value_info(output, kind, shape)])
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_a_good_graph_of_another_kind_is_accepted(folder: Path) -> None:
    """The contract is all that is asked; the loader knows no network."""
    replace_graph(folder, one_node())
    values = np.ones((2, 5, 50), np.float32)
    values[0, 1] = np.nan
    expected = np.ones_like(values)
    expected[0, 1] = 0
    np.testing.assert_array_equal(Model(folder).run(values), expected[:, None])


def test_nan_becomes_the_observed_mask_and_only_there(model: Model) -> None:
    """A mark that is missing and one that is measured as 0 are the same to this network, any other value is not."""
    values = np.random.default_rng(0).random((1, 5, 60)).astype(np.float32)
    missing, zero = values.copy(), values.copy()
    missing[0, 2], zero[0, 2] = np.nan, 0
    np.testing.assert_array_equal(model.run(missing), model.run(zero))
    assert np.abs(model.run(missing) - model.run(values)).max() > 1e-3
    assert np.isfinite(model.run(np.full_like(values, np.nan))).all()


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (one_node(inputs=("signal", "seen")), "the graph's inputs are .*'seen'"),
        (one_node(output="out"), "the graph's outputs are \\['out'\\]"),
        (one_node(shape=("batch", 4, "bins")), "not float32 \\[batch, 5, bins\\]"),
        (one_node(shape=("batch", 5, 41)), "not float32 \\[batch, 5, bins\\]"),
        (one_node(shape=(1, 5, "bins")), "not float32 \\[batch, 5, bins\\]"),
        (one_node(shape=("batch", 5)), "not float32 \\[batch, 5, bins\\]"),
        (one_node(kind=TensorProto.DOUBLE), "tensor\\(double\\)"),
        (one_node(domain="com.example"), "operator Mul of the domain 'com.example'"),
        (one_node(op="Nonsense"), "not a valid ONNX file"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(folder: Path, graph: onnx.ModelProto, says: str) -> None:
    replace_graph(folder, graph)
    with pytest.raises(BadModel, match=says):
        Model(folder)


def test_a_custom_operator_inside_a_branch_is_refused(folder: Path) -> None:
    graph = one_node()
    branch = one_node(domain="com.example").graph
    del branch.input[:]
    condition = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    del graph.graph.node[:]
    graph.graph.initializer.append(condition)
    graph.graph.node.append(helper.make_node("If", ["yes"], ["imputed"], then_branch=branch, else_branch=branch))
    graph.opset_import.append(helper.make_opsetid("com.example", 1))
    replace_graph(folder, graph)
    with pytest.raises(BadModel, match=r"domain 'com\.example'"):
        Model(folder)


def test_external_weights_are_refused(folder: Path) -> None:
    graph = onnx.load(folder / "model.onnx")
    onnx.save(graph, folder / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    change(folder, lambda m: m.update(sha256={"model.onnx": sha256_of(folder / "model.onnx")}))
    with pytest.raises(BadModel, match=r"keeps weights in another file|not a valid ONNX file"):
        Model(folder)


def test_one_changed_byte_is_noticed(folder: Path) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(BadModel, match=r"'model\.onnx' is not the file that was exported"):
        Model(folder)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda m: m.pop("marks"), "not valid at marks"),
        (lambda m: m.update(marks=["a", "a", "b", "c", "d"]), "a name stands twice in marks"),
        (lambda m: m.update(units="fold change"), "not valid at units"),
        (lambda m: m.update(bin_size_bp="25"), "not valid at bin_size_bp"),
        (lambda m: m.update(surprise=1), "not valid at surprise"),
        (lambda m: m.update(name="other"), "names it 'other'"),
        (lambda m: m.update(inputs=["signal", "weather"]), "not valid at inputs"),
        (lambda m: m.update(sha256={}), "no sha256 of model.onnx"),
        (lambda m: m["sha256"].update({"panel.bigWig": "0"}), "the file 'panel.bigWig' is missing"),
        (lambda m: m["sha256"].update({"../toy/model.json": "0"}), "is missing"),
        (lambda m: m["sha256"].update({"/etc/hostname": "0"}), "is missing"),
        (lambda m: m.update(marks=[*MARKS[:4]]), "not float32 \\[batch, 4, bins\\]"),
    ],
)
def test_a_wrong_manifest_is_refused(folder: Path, edit: Callable[[dict[str, Any]], object], says: str) -> None:
    change(folder, edit)
    with pytest.raises(BadModel, match=says):
        Model(folder)


@pytest.fixture
def panelled(panel_models: Path, tmp_path: Path) -> Path:
    """A copy of the model with every optional part, that may be spoiled."""
    return Path(shutil.copytree(panel_models / "panelled", tmp_path / "panelled"))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda m: m.update(quantile_levels=None), "inputs are signal and observed, quantiles if"),
        (lambda m: m.update(quantile_levels=[]), "not valid at quantile_levels"),
        (lambda m: m.update(quantile_levels=[0.5, 0.123, 1.0]), "quantile_levels are not rising, or not from among"),
        (lambda m: m.update(quantile_levels=[0.9, 0.5, 1.0]), "quantile_levels are not rising"),
        (lambda m: m.update(quantile_levels=[0.5, 0.5, 1.0]), "quantile_levels are not rising"),
        (
            lambda m: m.update(quantile_levels=[0.5, 1.0]),
            r"quantiles is tensor\(float\) .* not float32 \[batch, 5, 2\]",
        ),
        (lambda m: m["inputs"].remove("quantiles"), "inputs are signal and observed, quantiles if"),
        (lambda m: m.update(panel=None), "panel and panel_observed if there is a panel"),
        (lambda m: m["inputs"].remove("panel_observed"), "panel and panel_observed if there is a panel"),
        (lambda m: m["inputs"].remove("panel"), "panel and panel_observed if there is a panel"),
        (lambda m: m["panel"]["channels"].pop(), r"not float32 \[batch, 1, bins\]"),
        (lambda m: m["panel"].update(channels=[]), "not valid at panel.channels"),
        (lambda m: m["panel"].update(channels=["a", "a"]), "a name stands twice in panel.channels"),
        (lambda m: m["panel"].update(channels=["../a"]), "not valid at panel.channels.0"),
        (lambda m: m.update(interval_coverage=None), "outputs are imputed, and lower and upper if"),
        (lambda m: m.update(interval_coverage=80), "not valid at interval_coverage"),
        (lambda m: m["outputs"].remove("lower"), "outputs are imputed, and lower and upper if"),
        (lambda m: m.update(outputs=["lower", "imputed", "upper"]), "in this order"),
    ],
)
def test_optional_parts_that_do_not_fit_are_refused(
    panelled: Path, edit: Callable[[dict[str, Any]], object], says: str
) -> None:
    change(panelled, edit)
    with pytest.raises(BadModel, match=says):
        Model(panelled)


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"knots": 4}, r"quantiles is .* not float32 \[batch, 5, 3\]"),
        ({"channels": 3}, r"panel is .* not float32 \[batch, 2, bins\]"),
        ({"marks": 4}, r"not float32 \[batch, 5, bins\]"),
    ],
)
def test_optional_tensors_of_another_shape_are_refused(panelled: Path, sizes: dict[str, int], says: str) -> None:
    (panelled / "model.onnx").write_bytes(graph(**sizes).SerializeToString())
    change(panelled, lambda m: m["sha256"].update({"model.onnx": sha256_of(panelled / "model.onnx")}))
    with pytest.raises(BadModel, match=says):
        Model(panelled)


def test_nan_is_hidden_at_the_door_in_every_input(panel_model: Model) -> None:
    """Marks without a quantile function, and bins without a panel, are 0 to the graph; batches go one by one."""
    rng = np.random.default_rng(0)
    values = rng.random((4, 5, 60)).astype(np.float32)
    quantiles = np.sort(rng.random((4, 5, len(KNOTS)))).astype(np.float32)
    panel = rng.random((4, 2, 60)).astype(np.float32)
    values[1, 2] = quantiles[1, 2] = quantiles[2, 1] = panel[3, 0, :30] = panel[2, :, 7] = np.nan
    result = panel_model.run(values, quantiles, panel)
    assert (result.shape, result.dtype) == ((4, 3, 5, 60), np.float32)
    for i in range(4):
        np.testing.assert_allclose(result[i], expected(values[i], quantiles[i], panel[i]), rtol=1e-5)
    together = panel_model.run(values, quantiles[1], panel)
    np.testing.assert_array_equal(together[1], result[1])
    np.testing.assert_allclose(together[0], expected(values[0], quantiles[1], panel[0]), rtol=1e-5)


def test_an_input_that_is_not_given_is_no_mask(panel_model: Model) -> None:
    values = np.ones((1, 5, 60), np.float32)
    with pytest.raises(ValueError, match="the model takes quantiles"):
        panel_model.run(values)
    with pytest.raises(ValueError, match="the model takes panel"):
        panel_model.run(values, np.ones((5, 3), np.float32))


def test_junk_is_refused(folder: Path) -> None:
    (folder / "model.json").write_text("{")
    with pytest.raises(BadModel, match="not valid at the file"):
        Model(folder)
    with pytest.raises(BadModel, match=r"model\.json cannot be read"):
        Model(folder.parent / "none")


def test_an_unknown_model_names_the_installed_ones(models: Path) -> None:
    assert [path.name for path in find_models(models)] == ["toy"]
    assert load_model(models, "toy").marks == MARKS
    with pytest.raises(UnknownModel, match="'toys' is not installed; the installed ones are: toy"):
        load_model(models, "toys")


def test_bundled_model_keeps_its_promise() -> None:
    model = Model(Path(__file__).parents[1] / "models/paper-core5")
    assert model.marks == MARKS
    assert model.manifest.provenance.samples == ["E017", "E065", "E116", "E117"]
    assert model.manifest.provenance.hyper_parameters["hidden"] == 2000
    assert {accuracy.mark for accuracy in model.manifest.accuracy[0].marks} == set(MARKS)
