"""The default kind of model, from tracks to an exported graph, on random tracks of other marks."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from app.core.assemblies import HG19
from app.core.bigwig.write import BigWigWriter
from app.core.binned import BinnedTracks
from app.core.impute import impute, run_model
from app.core.marks import plan
from app.core.model import Model
from app.core.regions import Region
from app.store.ingest import Limits, take_in
from tests.conftest import random_tracks
from training.__main__ import command_line
from training.common.errors import BadData
from training.data.dataset import Dataset, open_dataset
from training.epifill.examples import normalise, panel_channels
from training.epifill.layers import BOXES, HALO_BINS, Normaliser, interp, surroundings
from training.epifill.method import EpifillImputer
from training.epifill.network import Ensemble, RankNetwork, Readout, decode, rescale, smooth_height
from training.epifill.panel import STEP, channel_names, write_panel
from training.epifill.reference import KNOT_LEVELS, Reference, knot_quantiles, knots
from training.epifill.train import draw_visible, train_epifill
from training.epifill.training import EpifillRecipe, load_epifill

MARKS = ("H3K27ac", "DNase", "H4K20me1")
REGION = Region("chr21", 33_000_000, 33_300_000)
"""12,000 bins; nothing else is covered."""


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four samples as bigWigs; the third lacks DNase."""
    folder = tmp_path_factory.mktemp("epifill-tracks")
    rng = np.random.default_rng(3)
    shared = random_tracks(rng, len(MARKS), REGION.n_bins(25))
    for i, sample in enumerate(("S1", "S2", "S3", "S4")):
        for row, mark in enumerate(MARKS):
            if (sample, mark) != ("S3", "DNase"):
                with BigWigWriter(folder / f"{sample}-{mark}.bigWig", HG19, 25) as writer:
                    noise = random_tracks(rng, 1, REGION.n_bins(25))[0]
                    writer.add(REGION, (shared[row] + noise) * np.float32(1 + i))
    return folder


def call(*arguments: object) -> None:
    result = CliRunner().invoke(command_line(), [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.output, result.exception)


@pytest.fixture(scope="module")
def run(tracks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, `run/epifill.pt`, `panel` and `models/mine`, made by the commands of the documentation."""
    folder = tmp_path_factory.mktemp("epifill-run")
    call("prepare", tracks, "--out", folder / "data", *(word for mark in MARKS for word in ("--mark", mark)))
    call("train-epifill", folder / "data", "--out", folder / "run", "--members", 2, "--steps", 40, "--batch", 512)
    call("panel", folder / "run/epifill.pt", tracks, "--out", folder)
    call(
        "export-epifill", folder / "run/epifill.pt", folder / "data", "--panel", folder, "--out", folder / "models/mine"
    )
    return folder


@pytest.fixture(scope="module")
def data(run: Path) -> Dataset:
    return open_dataset(run / "data")


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    return Model(run / "models/mine", threads=1)


def test_normaliser_maps_quantiles_to_the_reference() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(0.5, 1.0, (1, 5000)).astype(np.float32)
    quantiles = knot_quantiles(values)
    reference = Reference.of(["H3K4me3"], [quantiles, 4 * quantiles])
    mapped, scores = Normaliser(reference)(torch.from_numpy(values)[None], torch.from_numpy(quantiles)[None])
    xs = knots(quantiles)[0]
    inside = np.arcsinh(values[0]) <= xs[-1]
    expected = np.interp(np.arcsinh(values[0]), xs, reference.knots[0])
    assert np.allclose(mapped[0, 0].numpy()[inside], expected[inside], atol=1e-3)
    assert (np.diff(scores[0, 0].numpy()[np.argsort(values[0])]) >= -1e-4).all()
    beyond = mapped[0, 0].numpy()[~inside] - reference.knots[0, -1]
    assert np.allclose(beyond, np.arcsinh(values[0][~inside]) - xs[-1], atol=1e-3)


def test_knots_rise_though_many_bins_share_a_value() -> None:
    level = np.full((1, len(KNOT_LEVELS)), 0.27, dtype=np.float32)
    assert (np.diff(knots(level)) > 0).all()


def test_surroundings_are_means_of_the_bins_that_have_a_value() -> None:
    rng = np.random.default_rng(1)
    values, there = rng.random((1, 2, 3000)).astype(np.float32), (rng.random((1, 2, 3000)) < 0.5).astype(np.float32)
    found = surroundings(torch.from_numpy(values * there), torch.from_numpy(there))
    for width, mean in zip(BOXES, found, strict=True):
        for bin_ in (0, 1500, 2999):
            part = slice(max(0, bin_ - width // 2), bin_ + width // 2 + 1)
            count = there[0, 1, part].sum()
            expected = (values * there)[0, 1, part].sum() / count if count else 0
            assert mean[0, 1, bin_].item() == pytest.approx(expected, abs=1e-4)


def test_a_committee_averages_the_logits_of_its_members() -> None:
    torch.manual_seed(0)
    networks = [RankNetwork(3, (8, 6), True, 0.1).eval() for _ in range(3)]
    for network in networks:
        network.mean.normal_()
        network.scale.uniform_(0.5, 2)
    features = torch.randn(50, networks[0].skip.in_features)
    with torch.no_grad():
        expected = torch.sigmoid(torch.stack([network(features) for network in networks]).mean(dim=0))
        found = Ensemble(networks)(features.T[None])
    assert torch.allclose(found[0].permute(2, 0, 1), expected, atol=1e-5)


def test_bounds_hold_the_value_and_its_probability() -> None:
    torch.manual_seed(1)
    heights = torch.linspace(0, 3, len(KNOT_LEVELS)).repeat(1, 2, 1)
    above = torch.rand(1, 2, len(KNOT_LEVELS) - 1, 40)
    ranks, nothing = torch.linspace(0, 1, len(KNOT_LEVELS)), torch.zeros(1, 2, 40)
    imputed, lower, upper = decode(above, heights, ranks, nothing, nothing, Readout())
    assert (lower <= imputed).all()
    assert (imputed <= upper).all()
    straight = (1 - torch.linspace(0, 1, len(KNOT_LEVELS) + 1))[1:-1]
    one = torch.zeros(1, 1, 1)
    _, lower, upper = decode(straight[None, None, :, None], heights[:, :1], ranks, one, one, Readout(tail=0.25))
    edges = torch.cat([heights[0, 0], heights[0, 0, -1:] + 0.6])
    assert torch.asinh(lower).item() == pytest.approx(np.interp(0.25, np.linspace(0, 1, 25), edges), abs=1e-4)
    assert torch.asinh(upper).item() == pytest.approx(np.interp(0.75, np.linspace(0, 1, 25), edges), abs=1e-4)


def test_the_panel_counts_by_its_weight_and_at_the_hidden_marks_strength() -> None:
    torch.manual_seed(2)
    heights = torch.linspace(0, 3, len(KNOT_LEVELS)).repeat(1, 1, 1)
    above, ranks = torch.rand(1, 1, len(KNOT_LEVELS) - 1, 40), torch.linspace(0, 1, len(KNOT_LEVELS))
    raw, there = torch.rand(1, 1, 40) * 9, torch.ones(1, 1, 40)
    (peers,) = interp(smooth_height(raw, there), heights / 2, heights)
    assert torch.allclose(peers[0, 0, 10], (2 * torch.asinh(raw[0, 0, 8:13].mean())).clamp(max=3), atol=1e-5)
    without, with_it, alone = (
        torch.asinh(decode(above, heights, ranks, peers, share * there, Readout())[0]) for share in (0, 0.12, 1)
    )
    assert torch.allclose(alone, peers, atol=1e-5)
    assert torch.allclose(with_it, 0.88 * without + 0.12 * peers, atol=1e-5)


def test_a_hidden_mark_is_taken_to_be_as_strong_as_the_visible_ones() -> None:
    reference = torch.linspace(0, 2, len(KNOT_LEVELS)).repeat(2, 1)
    quantiles = torch.zeros(1, 2, len(KNOT_LEVELS))
    quantiles[0, 0] = torch.sinh(reference[0] + 0.4)
    heights = rescale(reference, quantiles, 0.5)
    assert torch.allclose(heights[0, 0], reference[0] + 0.4, atol=1e-4)
    assert torch.allclose(heights[0, 1], reference[1] + 0.2, atol=1e-4)


def test_whole_marks_are_hidden_and_one_is_always_visible() -> None:
    visible = draw_visible(2000, 5, 0.5)
    assert set(visible.sum(dim=1).tolist()) == {1.0, 2.0, 3.0, 4.0}
    assert (visible.sum(dim=1) == 4).float().mean() > 0.5


def test_the_panel_holds_means_over_the_samples(run: Path, tracks: Path, data: Dataset) -> None:
    training = load_epifill(run / "run/epifill.pt")
    samples = [normalise(training.reference, data.values(s), knot_quantiles(data.values(s))) for s in training.samples]
    expected = panel_channels(samples).reshape(-1, data.n_bins)
    model = Model(run / "models/mine")
    assert model.panel is not None
    found = model.panel.read(REGION)
    assert model.manifest.panel is not None
    assert model.manifest.panel.channels == channel_names(MARKS)
    assert np.abs(found - expected).max() <= STEP
    raw = channel_names(MARKS).index("DNase.raw")
    three = np.mean([data.values(sample)[1] for sample in ("S1", "S2", "S4")], axis=0)
    assert np.abs(found[raw] - three).max() <= STEP
    assert np.isnan(model.panel.read(Region("chr21", 20_000_000, 20_001_000))).all()
    few = {s: {"DNase": tracks / f"{s}-DNase.bigWig"} for s in ("S1", "S2")}
    with pytest.raises(BadData, match="A panel of 2 samples would show each of them; give 4 or more"):
        write_panel(few, training.reference, {}, HG19, 25, run / "few")


def test_the_exported_model_gives_what_the_method_gives(run: Path, model: Model, data: Dataset) -> None:
    """One path: the benchmark's torch graph, with its own panel, against the service's core with bigWigs."""
    imputed = EpifillImputer(load_epifill(run / "run/epifill.pt"), Readout(), True).impute(data, "S1", MARKS[1:])
    values = np.array(data.values("S1"))
    values[0] = np.nan
    quantiles = knot_quantiles(values)
    assert model.panel is not None
    found = run_model(model, values, quantiles, model.panel.read(REGION))
    for mine, theirs in zip(found[:, 0], (imputed.values, imputed.lower, imputed.upper), strict=True):
        assert theirs is not None
        assert np.abs(np.arcsinh(mine) - np.arcsinh(theirs[0])).mean() < 0.01
    narrow = run_model(model, values, quantiles, model.panel.read(REGION), tile_bins=1500)
    assert np.allclose(narrow, found, rtol=1e-3, atol=1e-3)


def test_it_imputes_from_files_with_and_without_a_panel(model: Model, tracks: Path, tmp_path: Path) -> None:
    folders = {mark: tmp_path / mark for mark in ("H3K27ac", "H4K20me1")}
    for mark, folder in folders.items():
        folder.mkdir()
        asyncio.run(take_in(tracks / f"S3-{mark}.bigWig", folder, mark, None, 25, Limits()))
    settled = plan(model, list(folders))
    result = impute(BinnedTracks(folders), model, settled, Region("chr21", 33_100_000, 33_150_000))
    assert settled.targets == ("DNase",)
    assert result.gaps is not None
    assert result.gaps.bins == 0
    assert result.lower is not None
    assert result.upper is not None
    assert np.isfinite(result.imputed.values).all()
    assert (result.lower.values <= result.upper.values).all()
    nowhere = np.full((len(channel_names(MARKS)), 500), np.nan, dtype=np.float32)
    values = np.full((3, 500), np.nan, dtype=np.float32)
    values[0] = 1
    blind = run_model(model, values, knot_quantiles(values), nowhere)
    assert np.isfinite(blind).all()


def test_a_run_goes_on_and_repeats_itself(data: Dataset, tmp_path: Path) -> None:
    recipe = EpifillRecipe(members=1, steps=6, batch=64, seed=5)
    first = train_epifill(data, ["S1", "S2", "S3"], recipe, tmp_path / "a")
    again = train_epifill(data, ["S1", "S2", "S3"], recipe, tmp_path / "a")
    other = train_epifill(data, ["S1", "S2", "S3"], recipe, tmp_path / "b")
    for network, read_back, repeated in zip(first.networks, again.networks, other.networks, strict=True):
        for name, weight in network.state_dict().items():
            assert torch.equal(weight, read_back.state_dict()[name])
            assert torch.equal(weight, repeated.state_dict()[name])
    assert [network.panel for network in first.networks] == [True, False]


def test_one_sample_is_too_few_and_a_mark_must_be_somewhere(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="at least two training samples"):
        train_epifill(data, ["S1"], EpifillRecipe(), tmp_path)
    nothing = [np.full((1, len(KNOT_LEVELS)), np.nan, dtype=np.float32)] * 2
    with pytest.raises(BadData, match="None of the training samples has DNase"):
        Reference.of(["DNase"], nothing)


def test_the_halo_is_what_the_widest_mean_needs() -> None:
    assert BOXES[-1] // 2 == HALO_BINS == 1012
