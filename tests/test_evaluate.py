"""Export, evaluation, leave-one-out and search, on random data and on real data."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from app.core.bigwig.read import TrackFile, Tracks
from app.core.impute import impute
from app.core.manifest import MarkAccuracy
from app.core.marks import plan
from app.core.model import Model
from app.core.regions import Region
from app.core.scores import pearson, score
from tests.conftest import MARKS, TOY
from training.common.errors import BadCheckpoint, BadData, ExportRefused
from training.common.graph import Check, check_agreement
from training.data.counts import prepare_counts
from training.data.dataset import Dataset
from training.paper.evaluate import evaluate, impute_hidden, masked_training_values
from training.paper.evaluation import mean_over_samples, read_evaluation
from training.paper.export import export, real_windows
from training.paper.leave_one_out import leave_one_out
from training.paper.network import SlidingAutoencoder
from training.paper.recipe import Recipe
from training.paper.search import draw, search
from training.paper.table import table_1
from training.paper.train import Training, fit, start, train, training_windows


def test_export_writes_a_whole_model(models: Path) -> None:
    folder = models / "toy"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.json", "model.onnx"]
    manifest = Model(folder).manifest
    assert (manifest.halo_bins, manifest.min_bins, manifest.bin_size_bp) == (40, 41, 25)
    assert manifest.parameters == 2 * 205 * 24 + 24 + 205
    assert manifest.flop_per_bin == 4 * 5 * 41 * 24
    card = (folder / "README.md").read_text()
    assert "H3K4me1, H3K4me3" in card
    assert "Not measured." in card


def test_the_exported_file_tells_nothing_of_the_machine(models: Path) -> None:
    content = (models / "toy/model.onnx").read_bytes()
    assert str(Path(__file__).parents[1]).encode() not in content
    assert not re.search(rb"\w+\.py", content)


def test_export_refuses_a_graph_that_computes_something_else(dataset: Dataset, model: Model) -> None:
    other = SlidingAutoencoder(start(dataset, ["A"], replace(TOY, seed=7)).network)
    check = Check(real_windows(dataset, TOY.window), 1e-4)
    check_agreement(SlidingAutoencoder(start(dataset, ["A"], TOY).network), model, check)
    with pytest.raises(ExportRefused, match="onnxruntime and torch differ by"):
        check_agreement(other, model, check)


def test_a_refused_export_leaves_the_old_model(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(start(dataset, ["A"], TOY), dataset, tmp_path / "m")
    before = (tmp_path / "m/model.onnx").read_bytes()
    monkeypatch.setattr("training.paper.export._AGREEMENT", -1.0)
    with pytest.raises(ExportRefused):
        export(start(dataset, ["A"], replace(TOY, seed=3)), dataset, tmp_path / "m")
    assert (tmp_path / "m/model.onnx").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_another_data_set_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    other = Dataset(dataset.folder, dataset.index.model_copy(update={"bin_size_bp": 200}))
    with pytest.raises(BadData, match="was not made with this data set"):
        export(start(dataset, ["A"], TOY), other, tmp_path / "m")


def test_a_folder_that_is_no_model_is_left_alone(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/thesis.txt").write_text("years of work")
    with pytest.raises(BadData, match="exists and is no model"):
        export(start(dataset, ["A"], TOY), dataset, tmp_path / "precious")
    assert (tmp_path / "precious/thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(("name", "version"), [("Mine_UP", "1.0.0"), ("mine", "abc")])
def test_names_and_versions_are_checked(dataset: Dataset, tmp_path: Path, name: str, version: str) -> None:
    with pytest.raises(BadData, match="cannot be a model's name and version"):
        export(start(dataset, ["A"], TOY), dataset, tmp_path / name, version=version)


def test_hidden_means_hidden(model: Model, dataset: Dataset) -> None:
    """What the hidden mark's track says changes nothing; what the others say does."""
    imputed = impute_hidden(model, dataset, "A", ["H3K4me3"])
    folder = dataset.folder
    changed = np.array(dataset.values("A"))
    changed[1] = 99

    class Changed(Dataset):
        def values(self, sample: str) -> np.ndarray:
            return changed

    again = impute_hidden(model, Changed(folder, dataset.index), "A", ["H3K4me3"])
    np.testing.assert_array_equal(imputed[1], again[1])
    changed[2] = 99
    assert not np.allclose(impute_hidden(model, Changed(folder, dataset.index), "A", ["H3K4me3"])[1], imputed[1])


def test_evaluation_writes_tables_figures_and_missing_tracks(model: Model, dataset: Dataset, tmp_path: Path) -> None:
    evaluation = evaluate(model, dataset, ["C"], tmp_path, with_training=True)
    assert [result.mark for result in evaluation.samples["C"]] == list(MARKS[:4])
    imputed = impute_hidden(model, dataset, "C", ["H3K4me3"])[1]
    assert evaluation.samples["C"][1].pearson == score(dataset.values("C")[1], imputed).pearson
    assert read_evaluation(tmp_path / "evaluation.json") == evaluation
    for name in ("figure1.png", "figure2.png"):
        assert (tmp_path / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    table = (tmp_path / "table1.md").read_text().splitlines()
    assert table[0] == "| | H3K27me3 | H3K36me3 | H3K4me1 | H3K4me3 | H3K9me3 | mean |"
    assert table[2].startswith("| Training set | ")
    assert re.match(r"\| C \| -?0\.\d{4} .* \| - \| -?0\.\d{4} \|$", table[3])
    path = tmp_path / "C-H3K9me3.imputed.bigWig"
    with Tracks({"m": TrackFile(path, path.name)}, model.assembly, 25) as tracks:
        values = np.concatenate([tracks.read(region).values[0] for region in dataset.regions])
    np.testing.assert_array_equal(values, impute_hidden(model, dataset, "C", ["H3K9me3"])[4])


def test_training_values_are_the_masked_ones_of_the_same_windows(model: Model, dataset: Dataset) -> None:
    truth, predicted, which = masked_training_values(model, dataset)
    windows, masks = training_windows(dataset, ["A", "B"], TOY)
    wanted = masks[:, :, None] & ~np.isnan(windows)
    np.testing.assert_array_equal(truth, windows[wanted])
    network = start(dataset, ["A", "B"], TOY).network
    with torch.no_grad():
        seen = torch.from_numpy(np.nan_to_num(np.where(masks[:, :, None], 0, windows)))
        out = network(seen).numpy()[wanted]
    np.testing.assert_allclose(predicted, out, atol=1e-5)
    assert set(which) == set(range(5))


def test_training_values_follow_the_models_order_of_marks(model: Model, dataset: Dataset, tmp_path: Path) -> None:
    """The same tracks, prepared with the marks in another order and one more."""
    backwards = (*MARKS[::-1], "DNase")
    index = dataset.index.model_copy(update={"marks": list(backwards)})
    for sample in dataset.samples:
        values = np.concatenate([dataset.values(sample)[::-1], dataset.values(sample)[:1]])
        np.save(tmp_path / f"{sample}.npy", values)
    truth, predicted, which = masked_training_values(model, Dataset(tmp_path, index))
    windows, masks = training_windows(Dataset(tmp_path, index), ["A", "B"], TOY)
    wanted = (masks[:, :, None] & ~np.isnan(windows))[:, ::-1][:, 1:]
    np.testing.assert_array_equal(truth, windows[:, ::-1][:, 1:][wanted])
    assert len(truth) == len(predicted) == len(which)


def test_leave_one_out_never_shows_the_held_out_sample(dataset: Dataset, tmp_path: Path) -> None:
    evaluation = leave_one_out(dataset, ("A", "C"), TOY, tmp_path)
    assert set(evaluation.samples) == {"A", "C"}
    for sample, others in (("A", ["B", "C"]), ("C", ["A", "B"])):
        assert Model(tmp_path / sample / "model").manifest.provenance.samples == others
    means = mean_over_samples(evaluation)
    assert [result.mark for result in means] == list(MARKS)
    pair = [evaluation.samples[s][0].pearson or 0 for s in ("A", "C")]
    assert means[0].pearson == pytest.approx(sum(pair) / 2, abs=1e-5)
    assert means[4].bins == 2663


def test_table_has_the_papers_columns() -> None:
    marks = ["H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3", "H3K27ac", "H3K9ac", "DNase"]
    results = [
        MarkAccuracy(mark=m, pearson=i / 10, pearson_arcsinh=None, spearman=None, mse_arcsinh=None, bins=1)
        for i, m in enumerate(marks)
    ]
    lines = table_1({"E003": results}, {"DNase": 0.5}).splitlines()
    assert lines[0] == "| | H3K27me3 | H3K36me3 | H3K4me1 | H3K4me3 | H3K9ac | H3K9me3 | DNase | H3K27ac | mean |"
    assert lines[3].startswith("| E003 | 0.3000 | 0.2000 | 0.0000 | 0.1000 | 0.6000 | 0.4000 | 0.7000 | 0.5000 |")
    assert lines[2] == "| Training set | - | - | - | - | - | - | 0.5000 | - | 0.5000 |"


def test_search_scores_the_held_out_fold_and_goes_on_where_it_was(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(windows=300, batch=100, iterations=4)
    scores = search(dataset, ["A", "B"], recipe, tmp_path, [8, 16], [0.001, 0.1], folds=3)
    rows = list(csv.DictReader((tmp_path / "search.csv").read_text().splitlines()))
    assert len(rows) == 12
    mine = [float(row["pearson"]) for row in rows if (row["hidden"], row["l2"]) == ("8", "0.1")]
    assert scores[8, 0.1] == pytest.approx(np.mean(mine))
    lines = (tmp_path / "search.csv").read_text().splitlines()
    (tmp_path / "search.csv").write_text("\n".join(lines[:-3]) + "\n16,0.1,1,0.")  # cut off while it wrote a row
    fitted: list[tuple[int, int]] = []

    def counted(training: Training, windows: np.ndarray, masks: np.ndarray) -> None:
        fitted.append((training.recipe.hidden, len(windows)))
        fit(training, windows, masks)

    monkeypatch.setattr("training.paper.search.fit", counted)
    assert search(dataset, ["A", "B"], recipe, tmp_path, [8, 16], [0.001, 0.1], 3) == scores
    assert fitted == [(16, 200)] * 3, "only the lost rows are trained again, each on two thirds of the windows"
    with pytest.raises(BadCheckpoint, match="holds another search"):
        search(dataset, ["A", "B"], replace(recipe, iterations=5), tmp_path, [8], [0.001], 3)
    draw(scores, tmp_path / "search.png")
    assert (tmp_path / "search.png").stat().st_size > 5000


def test_search_prefers_what_predicts_better(dataset: Dataset, tmp_path: Path) -> None:
    """A crushing penalty must lose against a mild one where there is something to learn."""
    folder = tmp_path / "d"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for sample in ("A", "B"):
        base = np.convolve(rng.gamma(0.3, 3, dataset.n_bins + 20), np.ones(21) / 21, "valid")
        np.save(folder / f"{sample}.npy", np.stack([base * (i + 1) for i in range(5)]).astype(np.float32))
    index = dataset.index.model_copy(update={"samples": ["A", "B"]})
    recipe = Recipe(windows=1000, batch=200, iterations=60)
    scores = search(Dataset(folder, index), ["A", "B"], recipe, tmp_path, [32], [0.001, 10.0], folds=2)
    assert scores[32, 0.001] > scores[32, 10.0] + 0.2


def test_learns_from_real_marks_better_than_chance(real_data: Path, tmp_path: Path) -> None:
    """Eight real marks of the paper, 200-bp bins: train on E123, test on E116, a short run of the paper's recipe."""
    dataset = prepare_counts(real_data / "roadmap_8marks_200bp/stan_counts_200bp.npz", tmp_path / "d")
    recipe = Recipe(hidden=300, windows=10_000, batch=1000, iterations=120)
    model = export(train(dataset, ["E123"], recipe, tmp_path / "run"), dataset, tmp_path / "m")
    evaluation = evaluate(model, dataset, ["E116"], tmp_path / "e", with_training=False)
    r = {result.mark: result.pearson or 0.0 for result in evaluation.samples["E116"]}
    assert min(r[mark] for mark in ("H3K4me3", "H3K9ac", "H3K27ac")) > 0.6
    assert json.loads((tmp_path / "e/evaluation.json").read_text())["peak_memory_bytes"] > 1e8


def test_the_bundled_model_sees_something_in_real_tracks(real_data: Path) -> None:
    """One of its training samples, so this says that it works, not how well; the card has that."""
    model = Model(Path(__file__).parents[1] / "models/paper-core5")
    files = {mark: TrackFile(real_data / f"roadmap_pilot/E116-{mark}.pval.signal.bigWig", mark) for mark in model.marks}
    with Tracks(files, model.assembly, 25) as tracks:
        result = impute(tracks, model, plan(model, MARKS, ["H3K4me1"]), Region("chr21", 33_746_325, 35_442_375))
    r = pearson(result.truth.row("H3K4me1"), result.imputed.row("H3K4me1"))
    assert r is not None
    assert r > 0.15
