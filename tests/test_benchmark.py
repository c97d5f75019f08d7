"""The benchmark: what is hidden, what is kept, going on where it was cut off, the report."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.conftest import MARKS
from training.__main__ import command_line
from training.baselines.boosting import Boosting
from training.baselines.ridge import Ridge
from training.baselines.samples import NearestSample, PanelMean
from training.benchmark.command import benchmark, open_bench
from training.benchmark.comparison import compare
from training.benchmark.protocols import (
    Case,
    Protocol,
    check_chromosomes,
    chromosome_folds,
    columns_on,
    leave_one_out,
    random_subsets,
    without_chromosomes,
)
from training.benchmark.registry import METHODS, choose_methods
from training.benchmark.report import table
from training.benchmark.run import panel_variance
from training.common.errors import BadData
from training.common.method import Imputed, Method
from training.common.metrics import COMPARED, Measures, measure
from training.common.results import Benchmark, Result, average
from training.data.dataset import Dataset

PNG = b"\x89PNG\r\n\x1a\n"
APP = command_line(["benchmark"])

QUICK: list[Method] = [
    PanelMean("panel-mean"),
    NearestSample("nearest-sample"),
    Ridge("ridge-mean", with_mean=True),
    Boosting("boosting", rows=300, trees=3),
]


@dataclass(frozen=True)
class Truth(Method):
    """Gives the truth plus an offset, with an interval around it, and notes every call; it cheats."""

    offset: float = 0.5
    shape: tuple[int, int] | None = None

    def fit(self, dataset: Dataset, samples: Sequence[str], folder: Path) -> "Truth":
        fits.append((dataset.n_bins, tuple(samples), folder))
        return self

    def impute(self, dataset: Dataset, sample: str, observed: Sequence[str]) -> Imputed:
        calls.append((dataset.n_bins, sample, tuple(observed)))
        values = dataset.values(sample) + np.float32(self.offset)
        given = np.zeros(self.shape, dtype=np.float32) if self.shape else values
        return Imputed(given, values - 1, values, nominal=0.8)


fits: list[tuple[int, tuple[str, ...], Path]] = []
calls: list[tuple[int, str, tuple[str, ...]]] = []


@pytest.fixture(autouse=True)
def nothing_noted() -> None:
    fits.clear()
    calls.clear()


def all_cases(dataset: Dataset) -> dict[Protocol, list[Case]]:
    folds = chromosome_folds(dataset, 2, 0)
    return {
        Protocol.LEAVE_ONE_OUT: leave_one_out(dataset, dataset.samples),
        Protocol.SUBSETS: random_subsets(dataset, dataset.samples, 2, 0),
        Protocol.CHROMOSOMES: [case for fold in folds for case in leave_one_out(dataset, ["A"], fold)],
    }


def timeless(measured: Benchmark) -> Benchmark:
    """Without the wall times."""
    fields = ("leave_one_out", "subsets", "chromosomes")
    return measured.model_copy(
        update={
            name: [r.model_copy(update={"fit_seconds": 0, "impute_seconds": 0}) for r in getattr(measured, name)]
            for name in fields
        }
    )


def test_each_measured_mark_is_hidden_alone(dataset: Dataset) -> None:
    cases = leave_one_out(dataset, ["A", "C"])
    assert len(cases) == 5 + 4
    assert cases[1] == Case("A", ("H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3"))
    assert all("H3K9me3" not in case.observed for case in cases[5:])


def test_subsets_are_drawn_by_the_seed_for_each_sample_alone(dataset: Dataset) -> None:
    cases = random_subsets(dataset, ["A", "C"], 3, 1)
    sizes = [len(case.observed) for case in cases]
    assert sizes == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert len(set(cases)) == len(cases)
    assert random_subsets(dataset, ["C"], 3, 1) == cases[12:]
    assert random_subsets(dataset, ["A", "C"], 3, 2) != cases
    assert len(random_subsets(dataset, ["C"], 100, 1)) == 4 + 6 + 4
    assert all(list(case.observed) == [mark for mark in MARKS if mark in case.observed] for case in cases)


def test_chromosomes_are_shared_out(dataset: Dataset, tmp_path: Path) -> None:
    folds = chromosome_folds(dataset, 2, 0)
    assert sorted(folds) == [("chr21",), ("chrM",)]
    rest = without_chromosomes(dataset, ("chr21",), tmp_path / "rest")
    assert [region.chrom for region in rest.regions] == ["chrM"]
    np.testing.assert_array_equal(rest.values("B"), dataset.values("B")[:, :663])
    assert columns_on(dataset, ["chr21"]).tolist() == [False] * 663 + [True] * 2000
    before = (tmp_path / "rest/B.npy").stat().st_mtime_ns
    assert without_chromosomes(dataset, ("chr21",), tmp_path / "rest").fingerprint == rest.fingerprint
    assert (tmp_path / "rest/B.npy").stat().st_mtime_ns == before
    with pytest.raises(BadData, match="3 folds of chromosomes need"):
        chromosome_folds(dataset, 3, 0)
    with pytest.raises(BadData, match="Chromosome 'chr9' is not in the data set, which has chrM, chr21"):
        check_chromosomes(dataset, ["chr9"])
    with pytest.raises(BadData, match="nothing to learn from"):
        check_chromosomes(dataset, ["chr21", "chrM"])


def test_scores_are_of_the_hidden_marks_on_the_held_out_chromosomes(dataset: Dataset, tmp_path: Path) -> None:
    bench = open_bench(dataset, tmp_path)
    case = Case("B", ("H3K4me1", "H3K4me3", "H3K9me3"), ("chr21",))
    result = bench.run(Truth("truth"), [case])[case]
    assert list(result.marks) == ["H3K36me3", "H3K27me3"]
    truth = dataset.values("B")[2, 663:]
    variance = np.stack([dataset.values(sample)[2, 663:] for sample in "AC"]).var(axis=0)
    assert result.marks["H3K36me3"].bins == 2000 - 10
    expected = measure(truth, truth + np.float32(0.5), variance)
    assert result.marks["H3K36me3"].msevar == pytest.approx(expected.msevar, rel=1e-5)
    assert replace(result.marks["H3K36me3"], msevar=None) == replace(expected, msevar=None)
    assert [group.coverage for group in result.reliability["H3K27me3"]] == [1.0] * 10
    assert [(n_bins, samples) for n_bins, samples, _ in fits] == [(663, ("A", "C"))]
    assert calls == [(dataset.n_bins, "B", case.observed)]


def test_the_variance_is_over_the_samples_that_have_a_value(dataset: Dataset) -> None:
    variance = panel_variance(dataset, ["A", "B", "C"])
    everything = np.stack([dataset.values(sample) for sample in "ABC"])
    np.testing.assert_allclose(variance, np.nanvar(everything, axis=0), rtol=1e-4, atol=1e-6)
    assert np.isnan(panel_variance(dataset, ["C"])[4]).all()


def test_one_fit_serves_all_cases_of_a_sample_and_none_is_made_in_vain(dataset: Dataset, tmp_path: Path) -> None:
    cases = all_cases(dataset)
    benchmark(open_bench(dataset, tmp_path), [Truth("truth")], cases)
    assert len(fits) == 3 + 2
    assert len({folder for _, _, folder in fits}) == 5
    assert len(calls) == len({case for some in cases.values() for case in some})
    benchmark(open_bench(dataset, tmp_path), [Truth("truth")], cases)
    assert len(fits) == 5
    benchmark(open_bench(dataset, tmp_path), [Truth("truth", offset=1)], cases)
    assert len(fits) == 10


def test_a_run_that_was_cut_off_goes_on_to_the_same_result(dataset: Dataset, tmp_path: Path) -> None:
    cases = all_cases(dataset)
    whole = benchmark(open_bench(dataset, tmp_path / "whole"), QUICK, cases, [("chr21",), ("chrM",)])
    done = 0

    class Cut(Exception):
        pass

    def advance() -> None:
        nonlocal done
        done += 1
        if done == 7:
            raise Cut

    everything = list(dict.fromkeys(case for some in cases.values() for case in some))
    for method in QUICK[2:]:
        done = 0
        with pytest.raises(Cut):
            open_bench(dataset, tmp_path / "cut").run(method, everything, advance)
    damaged = next((tmp_path / "cut/results/ridge-mean").iterdir())
    damaged.write_text(damaged.read_text()[:100])
    again = benchmark(open_bench(dataset, tmp_path / "cut"), QUICK, cases, [("chr21",), ("chrM",)])
    assert timeless(again) == timeless(whole)
    assert not list(tmp_path.rglob("*.partial"))
    assert Benchmark.model_validate_json((tmp_path / "cut/benchmark.json").read_bytes()) == again


def test_other_promoters_are_another_result(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "tss.bed").write_text("chr21\t33760000\t33760001\n")
    case = leave_one_out(dataset, ["A"])[0]
    without = open_bench(dataset, tmp_path / "out").run(QUICK[0], [case])[case].marks["H3K4me1"]
    with_them = open_bench(dataset, tmp_path / "out", tmp_path / "tss.bed").run(QUICK[0], [case])[case].marks["H3K4me1"]
    assert without.mseprom is None
    assert with_them.mseprom is not None
    assert replace(with_them, mseprom=None) == without


def test_a_method_must_fit_the_data(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"'truth' gave an array of \(5, 3\); the data set has \(5, 2663\)"):
        open_bench(dataset, tmp_path).run(Truth("truth", shape=(5, 3)), leave_one_out(dataset, ["A"]))
    alone = Dataset(dataset.folder, dataset.index.model_copy(update={"samples": ["A"]}))
    with pytest.raises(BadData, match="at least two samples"):
        open_bench(alone, tmp_path).run(QUICK[0], leave_one_out(alone, ["A"]))
    with pytest.raises(BadData, match="nothing to hide"):
        benchmark(open_bench(dataset, tmp_path), QUICK, {Protocol.LEAVE_ONE_OUT: []})


def result(method: str, sample: str, **marks: dict[str, float]) -> Result:
    none = dict.fromkeys(COMPARED)
    measures = {mark: Measures(bins=9, **{**none, **values}) for mark, values in marks.items()}  # type: ignore[arg-type]
    return Result(
        method=method, sample=sample, observed=("x",), chromosomes=(), marks=measures, fit_seconds=0, impute_seconds=0
    )


def test_averages_weigh_samples_alike() -> None:
    results = [result("m", "A", a={"auc": 0.1}, b={"auc": 0.3}), result("m", "B", a={"auc": 0.6}, b={})]
    assert average(results, "auc") == pytest.approx(0.4)
    assert average(results, "auc", "b") == pytest.approx(0.3)
    assert average(results, "pearson") is None


def test_a_method_is_compared_with_the_best_of_the_others() -> None:
    good = dict.fromkeys(COMPARED, 0.5)
    results = {
        "new": [result("new", "A", a=good), result("new", "B", a=good)],
        "old": [
            result("old", "A", a={**good, "auc": 0.1}),
            result("old", "B", a={**good, "mse_arcsinh": 0.4, "auc": 0.4}),
        ],
        "mute": [result("mute", "A", a={}), result("mute", "B", a={})],
    }
    comparison = compare(results, "new")
    assert comparison.beaten_by == {**dict.fromkeys(COMPARED, "old"), "auc": None}
    assert comparison.lost == {"A": 4, "B": 4}
    assert not comparison.beats_all
    assert compare({"new": results["new"], "mute": results["mute"]}, "new").beats_all
    assert compare({"new": results["new"]}, "new").beats_all
    assert not compare(results, "mute").beats_all


def test_the_best_of_a_column_is_bold() -> None:
    lines = table(["a", "b", "c"], {"x": [1.0, 2.0, None], "y": [3.0, None, None]}, [False, True, True]).splitlines()
    assert lines == ["| | a | b |", "|---|---|---|", "| x | 1.000 | **2.000** |", "| y | **3.000** | - |"]


def test_the_command_writes_everything(dataset: Dataset, tmp_path: Path) -> None:
    options = [
        "--method",
        "panel-mean",
        "--method",
        "panel-mean-raw",
        "--sample",
        "A",
        "--sample",
        "C",
        "--subsets",
        "1",
    ]
    run = CliRunner().invoke(APP, ["benchmark", str(dataset.folder), "--out", str(tmp_path), *options])
    assert run.exit_code == 0, run.output
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"benchmark.json", "benchmark.md", "marks.png", "sizes.png", "results", "data"}
    for name in ("marks.png", "sizes.png"):
        assert (tmp_path / name).read_bytes()[:8] == PNG
    text = (tmp_path / "benchmark.md").read_text()
    for heading in (
        "## One sample left out",
        "### Which method beats",
        "### Sample C",
        "### Mark H3K9me3",
        "## Random",
        "## Chromosomes",
    ):
        assert heading in text
    assert re.search(r"^\| panel-mean \| (yes|no) \|", text, re.M)
    assert "Intervals" not in text


def test_intervals_are_reported(dataset: Dataset, tmp_path: Path) -> None:
    benchmark(open_bench(dataset, tmp_path), [Truth("truth")], {Protocol.LEAVE_ONE_OUT: leave_one_out(dataset, ["A"])})
    text = (tmp_path / "benchmark.md").read_text()
    assert "### Intervals of truth" in text
    assert "hold 100.0%; in the tenth of bins with the highest predictions 100.0%" in text
    assert (tmp_path / "truth-reliability.png").read_bytes()[:8] == PNG


def test_tracks_of_a_held_out_sample_are_drawn(dataset: Dataset, tmp_path: Path) -> None:
    options = ["--method", "panel-mean", "--protocol", "leave-one-out", "--example", "panel-mean", "A"]
    run = CliRunner().invoke(APP, ["benchmark", str(dataset.folder), "--out", str(tmp_path), *options])
    assert run.exit_code == 0, run.output
    for name in ("panel-mean-scatter.png", "panel-mean-loci.png"):
        assert (tmp_path / name).read_bytes()[:8] == PNG
    wrong = CliRunner().invoke(APP, ["benchmark", str(dataset.folder), "--out", str(tmp_path), *options[:-1], "Z"])
    assert isinstance(wrong.exception, BadData)
    assert "Sample 'Z' is not in the data set" in str(wrong.exception)


def test_explicit_chromosomes_are_one_fold(dataset: Dataset, tmp_path: Path) -> None:
    options = ["--method", "panel-mean", "--protocol", "chromosomes", "--chromosome", "chrM"]
    run = CliRunner().invoke(APP, ["benchmark", str(dataset.folder), "--out", str(tmp_path), *options])
    assert run.exit_code == 0, run.output
    measured = Benchmark.model_validate_json((tmp_path / "benchmark.json").read_bytes())
    assert measured.folds == [["chrM"]]
    assert {result.marks[mark].bins for result in measured.chromosomes for mark in result.marks} == {663}
    assert not measured.leave_one_out


def test_methods_are_chosen_by_name() -> None:
    assert [method.name for method in choose_methods([], 3)] == list(METHODS)
    assert all(method.seed == 3 for method in choose_methods([], 3))
    with pytest.raises(BadData, match="Method 'magic' is not known; the known ones are panel-mean, "):
        choose_methods(["magic"], 0)
