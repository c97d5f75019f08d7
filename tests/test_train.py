from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.common.errors import BadCheckpoint, BadData
from training.data.dataset import Dataset
from training.data.windows import draw_masks, draw_windows
from training.paper.network import PaperAutoencoder, flop_per_bin
from training.paper.recipe import PRESETS, Recipe, chosen_recipe
from training.paper.train import cost, fit, load, save, start, train, training_windows

SMALL = Recipe(hidden=24, windows=500, batch=300, iterations=6)


def test_the_preset_is_the_papers_recipe() -> None:
    assert PRESETS["paper"] == Recipe(
        window=41,
        hidden=2000,
        windows=100_000,
        mask_probability=0.3,
        l2=0.001,
        learning_rate=0.01,
        batch=9000,
        iterations=200,
    )


def test_the_papers_network_has_328_inputs_and_2000_units() -> None:
    network = PaperAutoencoder(marks=8, window=41, hidden=2000)
    assert network.encode.weight.shape == (2000, 328)
    assert network.decode.weight.shape == (328, 2000)
    assert network.encode.weight.std().item() == pytest.approx(0.05, rel=0.01)
    assert network.encode.bias.std().item() == pytest.approx(0.1, rel=0.1)
    assert flop_per_bin(8, 41, 2000) == 2_624_000


def test_windows_are_flattened_row_by_row() -> None:
    network = PaperAutoencoder(2, 3, 6)
    with torch.no_grad():
        network.encode.weight.copy_(torch.eye(6))
        network.decode.weight.copy_(torch.diag(torch.arange(1.0, 7)))
        network.encode.bias.zero_()
        network.decode.bias.zero_()
    out = network(torch.ones(1, 2, 3))
    torch.testing.assert_close(out, torch.tensor([[[1.0, 2, 3], [4, 5, 6]]]))


def test_cost_is_the_formula_of_the_paper() -> None:
    torch.manual_seed(0)
    network = PaperAutoencoder(3, 4, 5)
    windows = torch.rand(6, 3, 4)
    masked = torch.rand(6, 3) < 0.5
    given = windows.clone()
    given[masked] = 0
    flat = given.reshape(6, 12) @ network.encode.weight.T + network.encode.bias
    out = torch.relu(flat) @ network.decode.weight.T + network.decode.bias
    rmse = torch.sqrt(((windows.reshape(6, 12) - out) ** 2).mean())
    penalty = 0.5 * (network.encode.weight**2).sum() + 0.5 * (network.decode.weight**2).sum()
    value = cost(network, windows, torch.ones_like(windows), masked, 0.01)
    torch.testing.assert_close(value, rmse + 0.01 * penalty)


def test_what_was_never_measured_is_left_out_of_the_cost() -> None:
    torch.manual_seed(0)
    network = PaperAutoencoder(2, 4, 5)
    windows, masked = torch.rand(3, 2, 4), torch.zeros(3, 2, dtype=torch.bool)
    measured = torch.ones_like(windows)
    measured[0, 1], windows[0, 1] = 0, 0
    errors = ((windows - network(windows)) ** 2)[measured.bool()]
    torch.testing.assert_close(cost(network, windows, measured, masked, 0.0), errors.mean().sqrt())


def test_windows_lie_within_one_region_of_one_sample(dataset: Dataset) -> None:
    windows = draw_windows(dataset, ("A", "C"), 41, 3000, np.random.default_rng(0))
    places = set()
    for window in windows:
        sample = "C" if np.isnan(window[4]).all() else "A"
        first = np.flatnonzero(dataset.values(sample)[0] == window[0, 0])
        (at,) = [i for i in first if np.array_equal(dataset.values(sample)[0, i : i + 41], window[0])]
        assert at + 41 <= 663 or at >= 663, "a window crosses from one region into the next"
        np.testing.assert_array_equal(dataset.values(sample)[:, at : at + 41], window)
        places.add((sample, at < 663))
    assert places == {("A", True), ("A", False), ("C", True), ("C", False)}


def test_every_start_is_drawn_the_last_one_too(dataset: Dataset) -> None:
    """chrM is too short for this window; on chr21, 2000 bins, it has 11 places."""
    windows = draw_windows(dataset, ("A",), 1990, 200, np.random.default_rng(0))
    row = dataset.values("A")[0]
    assert {float(window[0, 0]) for window in windows} == {float(value) for value in row[663 : 663 + 11]}


def test_a_window_longer_than_every_region_is_refused(dataset: Dataset) -> None:
    with pytest.raises(BadData, match="No region of the data set has 5000 bins"):
        draw_windows(dataset, ("A",), 5000, 10, np.random.default_rng(0))


def test_marks_are_masked_with_the_given_probability() -> None:
    masks = draw_masks(100_000, 8, 0.3, np.random.default_rng(0))
    np.testing.assert_allclose(masks.mean(axis=0), 0.3, atol=0.01)
    assert masks.sum(axis=1).mean() == pytest.approx(2.4, abs=0.02)


def test_batches_are_taken_in_turn_and_wrap_around(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    windows, masks = training_windows(dataset, ["A"], SMALL)
    seen: list[torch.Tensor] = []

    def spy(network: PaperAutoencoder, batch: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(batch)
        return network.encode.bias.sum()

    monkeypatch.setattr("training.paper.train.cost", spy)
    fit(start(dataset, ["A"], SMALL), windows, masks)
    everything = torch.from_numpy(windows)
    assert [len(batch) for batch in seen] == [300] * 6
    torch.testing.assert_close(seen[0], everything[:300])
    torch.testing.assert_close(seen[1], torch.cat([everything[300:], everything[:100]]))


def test_the_same_seed_gives_the_same_network_and_another_another(dataset: Dataset, tmp_path: Path) -> None:
    states = [
        train(dataset, ["A", "B"], replace(SMALL, seed=seed), tmp_path / name).network.state_dict()
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    for name, weights in states[0].items():
        assert torch.equal(weights, states[1][name])
        assert not torch.equal(weights, states[2][name])


def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(dataset: Dataset, tmp_path: Path) -> None:
    whole = train(dataset, ["A", "B"], SMALL, tmp_path / "whole")

    class Cut(Exception):
        pass

    def stop(training: object, value: float) -> None:
        save(part, tmp_path / "part" / "checkpoint.pt")
        if part.iteration == 4:
            raise Cut

    (tmp_path / "part").mkdir()
    part = start(dataset, ["A", "B"], SMALL)
    with pytest.raises(Cut):
        fit(part, *training_windows(dataset, ["A", "B"], SMALL), stop)
    resumed = train(dataset, ["A", "B"], SMALL, tmp_path / "part")
    assert resumed.iteration == whole.iteration == 6
    for name, weights in whole.network.state_dict().items():
        assert torch.equal(weights, resumed.network.state_dict()[name])


def test_training_lowers_the_cost_and_is_logged(dataset: Dataset, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(dataset, ["A", "B"], replace(SMALL, iterations=40), tmp_path)
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    values = [event.value for event in log.Scalars("cost")]
    assert [event.step for event in log.Scalars("cost")] == list(range(1, 41))
    assert np.mean(values[-5:]) < 0.9 * values[0]


def test_a_folder_with_another_run_is_not_overwritten(dataset: Dataset, tmp_path: Path) -> None:
    train(dataset, ["A"], SMALL, tmp_path)
    with pytest.raises(BadCheckpoint, match="holds another run"):
        train(dataset, ["A", "B"], SMALL, tmp_path)
    coarser = Dataset(dataset.folder, dataset.index.model_copy(update={"assembly": "hg38"}))
    with pytest.raises(BadCheckpoint, match="holds another run"):
        train(coarser, ["A"], SMALL, tmp_path)


def test_bad_checkpoints_and_presets_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="does not exist"):
        load(tmp_path / "checkpoint.pt")
    (tmp_path / "checkpoint.pt").write_bytes(b"junk")
    with pytest.raises(BadCheckpoint, match="is no checkpoint"):
        load(tmp_path / "checkpoint.pt")
    with pytest.raises(BadData, match="Preset 'fast' is not known; the known ones are paper"):
        chosen_recipe("fast")
    assert chosen_recipe("paper", hidden=10, seed=None) == replace(PRESETS["paper"], hidden=10)
