"""What is hidden from the methods: a sample's marks, one alone or several, and whole chromosomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.common.errors import BadData
from training.data.dataset import Dataset, create_dataset, finish, open_dataset


class Protocol(StrEnum):
    """What a benchmark hides from the methods."""

    LEAVE_ONE_OUT = "leave-one-out"
    SUBSETS = "subsets"
    CHROMOSOMES = "chromosomes"


@dataclass(frozen=True)
class Case:
    """One imputation: the marks of a sample that are not observed, by a method fitted on the other samples.

    Attributes
    ----------
    sample
        Held out of the fit.
    observed
        The marks that may be looked at, in the data set's order.
    chromosomes
        Held out of the fit too, and the only ones that are scored; if empty, all are fitted and scored.
    """

    sample: str
    observed: tuple[str, ...]
    chromosomes: tuple[str, ...] = ()


def leave_one_out(dataset: Dataset, samples: Sequence[str], chromosomes: tuple[str, ...] = ()) -> list[Case]:
    """Every measured mark of every sample hidden alone."""
    cases = []
    for sample in samples:
        marks = measured_marks(dataset, sample)
        if len(marks) > 1:
            cases += [Case(sample, tuple(m for m in marks if m != hidden), chromosomes) for hidden in marks]
    return cases


def random_subsets(dataset: Dataset, samples: Sequence[str], draws: int, seed: int) -> list[Case]:
    """For every sample and every number of marks, from one to all but one, some sets of observed marks.

    Parameters
    ----------
    draws
        Sets per sample and number of marks, all different; fewer if there are not as many.
    seed
        Decides the sets, of each sample by itself.
    """
    cases = []
    for sample in samples:
        rng = np.random.default_rng([seed, *sample.encode()])
        marks = measured_marks(dataset, sample)
        for size in range(1, len(marks)):
            sets = list(combinations(marks, size))
            chosen = sorted(rng.permutation(len(sets))[:draws])
            cases += [Case(sample, sets[i]) for i in chosen]
    return cases


def chromosome_folds(dataset: Dataset, folds: int, seed: int) -> list[tuple[str, ...]]:
    """Share out the chromosomes at random into folds of about equally many bins; raises BadData for too few."""
    bins: dict[str, int] = {}
    for region in dataset.regions:
        bins[region.chrom] = bins.get(region.chrom, 0) + region.n_bins(dataset.bin_size_bp)
    if folds < 2 or len(bins) < folds:
        raise BadData(
            f"{folds} folds of chromosomes need at least two folds and as many chromosomes; the data set has"
            f" {', '.join(bins)}."
        )
    shared: list[set[str]] = [set() for _ in range(folds)]
    for i in np.random.default_rng(seed).permutation(len(bins)):
        chrom = list(bins)[i]
        min(shared, key=lambda fold: sum(bins[c] for c in fold)).add(chrom)
    return [tuple(chrom for chrom in bins if chrom in fold) for fold in shared]


def check_chromosomes(dataset: Dataset, chromosomes: Sequence[str]) -> tuple[str, ...]:
    """Chromosomes to hold out, each once; raises BadData where one is not there or none would be left."""
    there = dict.fromkeys(region.chrom for region in dataset.regions)
    for chrom in chromosomes:
        if chrom not in there:
            raise BadData(f"Chromosome '{chrom}' is not in the data set, which has {', '.join(there)}.")
    if set(there) == set(chromosomes):
        raise BadData("With every chromosome held out there is nothing to learn from; hold out fewer.")
    return tuple(chrom for chrom in there if chrom in chromosomes)


def measured_marks(dataset: Dataset, sample: str) -> tuple[str, ...]:
    """The marks of which a sample has a value."""
    values = dataset.values(sample)
    return tuple(mark for mark, track in zip(dataset.marks, values, strict=True) if not np.isnan(track).all())


def columns_on(dataset: Dataset, chromosomes: Sequence[str]) -> NDArray[np.bool_]:
    """Which bins lie on some chromosomes; bool (bins,)."""
    on = [region.chrom in chromosomes for region in dataset.regions]
    return np.repeat(on, np.diff(dataset.offsets))


def without_chromosomes(dataset: Dataset, chromosomes: Sequence[str], folder: Path) -> Dataset:
    """A data set of the regions on other chromosomes, copied into a folder unless it is there."""
    kept = [region for region in dataset.index.regions if region[0] not in chromosomes]
    index = dataset.index.model_copy(update={"regions": kept})
    wanted = Dataset(folder, index)
    try:
        if open_dataset(folder).fingerprint == wanted.fingerprint:
            return wanted
    except BadData:
        pass
    arrays = create_dataset(folder, index)
    there = ~columns_on(dataset, chromosomes)
    for sample, array in arrays.items():
        array[:] = dataset.values(sample)[:, there]
    return finish(folder, index, arrays)
