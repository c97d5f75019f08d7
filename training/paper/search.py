"""The paper's hyper-parameter search: a grid, cross-validated over the training windows."""

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from matplotlib.figure import Figure
from numpy.typing import NDArray

from app.core.scores import pearson
from training.common.errors import BadCheckpoint, BadData
from training.common.progress import console, progress
from training.data.dataset import Dataset, check_samples, open_dataset
from training.paper.recipe import Batch, Iterations, Preset, Recipe, Seed, Windows, chosen_recipe
from training.paper.train import fit, start, training_windows

HIDDEN, L2 = (1000, 2000, 3000), (1e-3, 1e-2, 1e-1)
"""The paper's grid."""

RESULT_FILE, RUN_FILE = "search.csv", "search.json"
_COLUMNS = ("hidden", "l2", "fold", "pearson", "seconds")


def search(
    dataset: Dataset,
    samples: Sequence[str],
    recipe: Recipe,
    out: Path,
    hidden: Sequence[int] = HIDDEN,
    l2: Sequence[float] = L2,
    folds: int = 5,
    advance: Callable[[], None] = lambda: None,
) -> dict[tuple[int, float], float]:
    """Cross-validate every point of the grid.

    The score is the Pearson r over the masked entries of the held-out fold's windows. Rows of search.csv that exist
    are kept, so a search that was cut off goes on.

    Returns
    -------
    Mean score of every (hidden, l2).
    """
    out.mkdir(parents=True, exist_ok=True)
    _check_same_run(out / RUN_FILE, {"recipe": asdict(recipe), "samples": list(samples), "data": dataset.fingerprint})
    windows, masks = training_windows(dataset, samples, recipe)
    fold_of = np.random.default_rng(recipe.seed + 1).permutation(len(windows)) % folds
    path = out / RESULT_FILE
    done = {(int(row["hidden"]), float(row["l2"]), int(row["fold"])): row for row in _read(path)}
    for units, weight, fold in product(hidden, l2, range(folds)):
        if (units, weight, fold) not in done:
            began = time.perf_counter()
            point = replace(recipe, hidden=units, l2=weight)
            r = _score(dataset, samples, point, windows, masks, fold_of == fold)
            row = dict(
                zip(_COLUMNS, map(str, (units, weight, fold, r, round(time.perf_counter() - began, 1))), strict=True)
            )
            done[units, weight, fold] = row
            _append(path, row)
        advance()
    return {
        (units, weight): float(np.mean([float(done[units, weight, fold]["pearson"]) for fold in range(folds)]))
        for units, weight in product(hidden, l2)
    }


def _score(
    dataset: Dataset,
    samples: Sequence[str],
    recipe: Recipe,
    windows: NDArray[np.float32],
    masks: NDArray[np.bool_],
    held_out: NDArray[np.bool_],
) -> float:
    """Train on the other folds; Pearson r over the masked entries of the held-out one. 0 if nothing was learned."""
    training = start(dataset, samples, recipe)
    fit(training, windows[~held_out], masks[~held_out])
    truth, masked = windows[held_out], masks[held_out]
    seen = torch.from_numpy(np.nan_to_num(truth) * ~masked[:, :, None])
    with torch.no_grad():
        predicted = np.concatenate([training.network(part).numpy() for part in torch.split(seen, 4096)])
    wanted = masked[:, :, None] & ~np.isnan(truth)
    return pearson(truth[wanted], predicted[wanted]) or 0.0


def _check_same_run(path: Path, run: dict[str, Any]) -> None:
    """Record what decides a search, or refuse to resume another one; hidden units and L2 are in the rows."""
    for searched in ("hidden", "l2"):
        run["recipe"].pop(searched)
    if path.exists() and json.loads(path.read_text()) != run:
        raise BadCheckpoint(
            f"'{path.parent}' holds another search (other data, samples or recipe); choose a new folder."
        )
    path.write_text(json.dumps(run, indent=2) + "\n")


def _read(path: Path) -> list[dict[str, str]]:
    """The complete rows; one that was interrupted while it was written is left out."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [row for row in csv.DictReader(line for line in lines if line.endswith("\n")) if None not in row.values()]


def _append(path: Path, row: dict[str, str]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def draw(scores: dict[tuple[int, float], float], path: Path) -> None:
    """A picture of the grid: mean score of every point, the best one framed."""
    hidden, l2 = sorted({units for units, _ in scores}), sorted({weight for _, weight in scores})
    grid = np.array([[scores[units, weight] for weight in l2] for units in hidden])
    figure = Figure(figsize=(1.6 * len(l2) + 2.4, 1.1 * len(hidden) + 1.4), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(grid, cmap="viridis", aspect="auto")
    for i, j in np.ndindex(grid.shape):
        dark = grid[i, j] < (grid.min() + grid.max()) / 2
        best = grid[i, j] == grid.max()
        axis.text(j, i, f"{grid[i, j]:.3f}", ha="center", va="center", color="white" if dark else "black",
                  fontweight="bold" if best else "normal")  # fmt: skip
    axis.set(xticks=range(len(l2)), xticklabels=[f"{w:g}" for w in l2], xlabel="L2 weight")
    axis.set(yticks=range(len(hidden)), yticklabels=[str(n) for n in hidden], ylabel="hidden units")
    axis.set_title("Pearson r, masked entries of the held-out fold", fontsize=10)
    figure.colorbar(image, ax=axis)
    figure.savefig(path, dpi=110)


def command(
    folder: Annotated[Path, typer.Argument(help="Data set made by prepare.")],
    out: Annotated[Path, typer.Option(help="Folder for search.csv and search.png; a search that was cut off goes on.")],
    sample: Annotated[list[str] | None, typer.Option(help="Search on this sample (repeatable; default: all).")] = None,
    hidden: Annotated[list[int] | None, typer.Option(help="Units to try (default: 1000, 2000, 3000).")] = None,
    l2: Annotated[list[float] | None, typer.Option(help="L2 weights to try (default: 0.001, 0.01, 0.1).")] = None,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.", min=2)] = 5,
    preset: Preset = "paper",
    windows: Windows = None,
    batch: Batch = None,
    iterations: Iterations = None,
    seed: Seed = None,
) -> None:
    """Search the paper's grid by cross-validation."""
    dataset = open_dataset(folder)
    recipe = chosen_recipe(preset, windows=windows, batch=batch, iterations=iterations, seed=seed)
    if recipe.windows < folds:
        raise BadData(f"{recipe.windows} windows cannot make {folds} folds; draw more windows.")
    units, weights = hidden or list(HIDDEN), l2 or list(L2)
    with progress("Searching", len(units) * len(weights) * folds) as advance:
        scores = search(dataset, check_samples(dataset, sample or []), recipe, out, units, weights, folds, advance)
    draw(scores, out / "search.png")
    best = max(scores, key=lambda point: scores[point])
    console.print(f"Best: {best[0]} hidden units, L2 {best[1]:g}, r = {scores[best]:.3f}; all in {out / RESULT_FILE}")
