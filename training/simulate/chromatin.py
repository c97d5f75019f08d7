"""What the simulated genome is made of: chromatin states, their marks, and the libraries that measure them.

Every number of the simulation stands here. Those of the five core marks are fitted to four real samples
(docs/simulation.md); H3K27ac, H3K9ac and DNase are set by their known likeness to H3K4me3 and H3K4me1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MARKS = ("H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3", "H3K27ac", "H3K9ac", "DNase")
CORE_MARKS = MARKS[:5]

BIN_BP = 25
STRETCH_BINS = 8
"""A nucleosome and its linker, 200 bp: the smallest piece with a state and an intensity of its own."""


@dataclass(frozen=True)
class State:
    """A chromatin state.

    Attributes
    ----------
    mean_bp
        Mean length of a segment; lengths are 200 bp plus a gamma variable of shape 2.
    kept
        Share of the samples in which a segment has this state; in the others it is quiescent.
    enrichment
        Mean signal of each mark of `MARKS`, in units of what `Library.strength` scales.
    """

    name: str
    mean_bp: float
    kept: float
    enrichment: tuple[float, ...]


# fmt: off
STATES = (
    #                                        K4me1  K4me3  K36me3 K27me3 K9me3  K27ac  K9ac   DNase
    State("active promoter",      1800, 0.95, ( 0.80,  7.00,  0.08,   0.0,   0.0,  16.0,  15.0,  12.0)),
    State("flanking promoter",    1400, 0.85, ( 4.00,  4.50,  0.46,  0.12,   0.0,  7.00,  5.00,  3.00)),
    State("bivalent promoter",    1800, 0.75, ( 1.76,  1.50,   0.0,  4.00,  0.71,  1.00,  1.00,  4.00)),
    State("strong enhancer",      2600, 0.50, ( 6.00,  0.80,  0.36,   0.0,   0.0,  8.00,  4.00,  8.00)),
    State("weak enhancer",        2200, 0.40, ( 3.00,  0.20,  0.30,  0.11,  0.04,  1.00,  0.60,  2.00)),
    State("genic enhancer",       2400, 0.50, ( 5.00,  0.27,  3.68,   0.0,   0.0,  5.00,  3.00,  4.00)),
    State("transcribed",          9000, 0.97, ( 0.30,   0.0,  3.84,   0.0,  0.20,  0.20,  0.10,  0.10)),
    State("weakly transcribed",   9000, 0.95, ( 0.60,   0.0,  1.20,  0.07,  0.11,  0.20,  0.10,  0.10)),
    State("zinc-finger genes",    4000, 0.90, ( 0.10,   0.0,  2.48,  0.51,  2.50,  0.10,  0.10,  0.10)),
    State("polycomb",             8000, 0.80, ( 0.20,  0.06,  0.10,  3.20,  0.90,  0.10,  0.10,  0.10)),
    State("heterochromatin",      6000, 0.70, (  0.0,   0.0,  0.03,  1.00,  2.00,   0.0,   0.0,   0.0)),
    State("quiescent",            8000, 1.00, (  0.0,   0.0,  0.10,  0.65,  0.45,   0.0,   0.0,   0.0)),
)
# fmt: on

QUIESCENT = len(STATES) - 1
PROMOTER, FLANK = 0, 1


@dataclass(frozen=True)
class Domain:
    """A stretch of the genome that prefers certain states.

    Attributes
    ----------
    share
        Share of all domains.
    mean_bp
        Mean length; lengths are gamma variables of shape 2.
    states
        Weight of each state among its segments. An active promoter comes with a flank on either side.
    """

    name: str
    share: float
    mean_bp: float
    states: dict[str, float]


DOMAINS = (
    Domain(
        "active genes",
        0.40,
        60_000,
        {
            "active promoter": 0.12,
            "strong enhancer": 0.22,
            "weak enhancer": 0.14,
            "genic enhancer": 0.10,
            "transcribed": 0.30,
            "weakly transcribed": 0.20,
            "quiescent": 0.10,
        },
    ),
    Domain(
        "silent genes",
        0.22,
        70_000,
        {"bivalent promoter": 0.10, "polycomb": 0.70, "weak enhancer": 0.05, "quiescent": 0.15},
    ),
    Domain(
        "heterochromatic",
        0.15,
        70_000,
        {"heterochromatin": 0.65, "zinc-finger genes": 0.05, "quiescent": 0.30},
    ),
    Domain(
        "quiet",
        0.23,
        80_000,
        {"strong enhancer": 0.02, "weak enhancer": 0.15, "polycomb": 0.03, "heterochromatin": 0.05, "quiescent": 0.75},
    ),
)


@dataclass(frozen=True)
class Spread:
    """How unequal the intensities of one mark are: shapes of gamma variables with mean 1, small = unequal.

    Attributes
    ----------
    domain, segment, stretch
        Of the factors that a domain, a segment and a 200-bp stretch have in every sample.
    own
        Of the factor that a segment has in one sample alone.
    """

    domain: float
    segment: float
    stretch: float
    own: float


SPREAD = {
    "H3K4me1": Spread(20.0, 12.0, 25.0, 5.0),
    "H3K4me3": Spread(8.0, 5.0, 5.0, 8.0),
    "H3K36me3": Spread(12.0, 12.0, 30.0, 10.0),
    "H3K27me3": Spread(10.0, 24.0, 30.0, 2.0),
    "H3K9me3": Spread(5.0, 14.0, 28.0, 4.0),
    "H3K27ac": Spread(8.0, 4.0, 5.0, 4.0),
    "H3K9ac": Spread(8.0, 4.0, 5.0, 6.0),
    "DNase": Spread(8.0, 3.0, 3.0, 3.0),
}


@dataclass(frozen=True)
class Library:
    """How well a sample is measured. Real samples differ more in this than in their biology.

    Attributes
    ----------
    fragment_bp
        Length of a fragment.
    depth
        Per mark, fragments over a base genome-wide, after the control is scaled to the mark: lambda_genome.
    background
        Per mark, fragments outside of the enriched places, relative to `depth`.
    strength
        Per mark, the factor on `State.enrichment` that turns it into fragments relative to `depth`.
    """

    fragment_bp: int
    depth: tuple[float, ...]
    background: tuple[float, ...]
    strength: tuple[float, ...]


# fmt: off
LIBRARIES = (
    #        bp    K4me1 K4me3 K36me3 K27me3 K9me3 K27ac K9ac DNase
    Library(200, (1.56, 1.62, 1.70, 1.45, 1.77, 1.45, 1.45, 1.45),
                 (0.60, 0.49, 0.57, 0.58, 0.72, 0.50, 0.50, 0.50),
                 (1.70, 7.20, 1.13, 1.10, 0.96, 1.00, 1.00, 1.00)),
    Library(150, (0.75, 1.20, 0.80, 0.78, 0.98, 0.90, 0.90, 0.90),
                 (0.75, 0.26, 0.58, 0.27, 0.54, 0.40, 0.40, 0.40),
                 (0.31, 1.70, 0.48, 0.36, 0.53, 0.60, 0.60, 0.60)),
    Library(150, (1.00, 0.83, 0.96, 0.79, 1.11, 0.85, 0.85, 0.85),
                 (0.62, 0.33, 0.56, 0.38, 0.92, 0.40, 0.40, 0.40),
                 (0.97, 1.07, 0.57, 0.32, 0.48, 0.80, 0.80, 0.80)),
    Library(150, (2.37, 3.32, 1.40, 2.26, 1.74, 2.00, 2.00, 2.00),
                 (0.60, 0.83, 0.88, 0.41, 0.63, 0.75, 0.75, 0.75),
                 (1.25, 2.70, 0.40, 0.34, 0.45, 1.00, 1.00, 1.00)),
)
# fmt: on

CONTROL_DEPTH = 0.6
"""Fragments of the control over a base."""

COVERABLE_SHAPE = 2.5
UNCOVERED_SHARE = 0.05
COVERABLE_STRETCHES = 8
"""How easily a place is sequenced and mapped, the same in every library: constant over 1600 bp, gamma with mean 1
of this shape, except for a share of places (repeats) that no fragment maps to."""


@dataclass(frozen=True)
class Segments:
    """The segments of one block of the genome, in order.

    Attributes
    ----------
    stretches
        int (segments,), length of each in stretches of 200 bp.
    state
        int (segments,), index into `STATES`.
    domain
        int (segments,), the domain of the block that it lies in, counted from 0.
    """

    stretches: NDArray[np.int64]
    state: NDArray[np.int64]
    domain: NDArray[np.int64]


_MEAN_STRETCHES = np.array([state.mean_bp for state in STATES]) / (STRETCH_BINS * BIN_BP)
_CHANCES = np.array([[domain.states.get(state.name, 0.0) for state in STATES] for domain in DOMAINS])
_CUMULATED = (_CHANCES / _CHANCES.sum(axis=1, keepdims=True)).cumsum(axis=1)


def draw_segments(rng: np.random.Generator, n_stretches: int) -> Segments:
    """Cut a block of `n_stretches` into domains, and these into segments."""
    lengths, states, domains = [], [], []
    left, domain = n_stretches, 0
    while left > 0:
        kind = int(rng.choice(len(DOMAINS), p=[d.share for d in DOMAINS]))
        size = min(left, 1 + int(rng.gamma(2.0, DOMAINS[kind].mean_bp / 2 / (STRETCH_BINS * BIN_BP))))
        length, state = _fill(rng, kind, size)
        lengths.append(length)
        states.append(state)
        domains.append(np.full(len(length), domain))
        left, domain = left - size, domain + 1
    return Segments(np.concatenate(lengths), np.concatenate(states), np.concatenate(domains))


def _fill(rng: np.random.Generator, kind: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lengths and states of the segments of one domain; the last is cut so that they fill it exactly."""
    state = np.searchsorted(_CUMULATED[kind], rng.random(size))  # more than enough: one per stretch
    state = np.minimum(state, QUIESCENT)
    promoters = np.flatnonzero(state == PROMOTER)
    state = np.insert(state, np.concatenate([promoters, promoters + 1]), FLANK)
    length = 1 + rng.gamma(2.0, np.maximum(_MEAN_STRETCHES[state] - 1, 0) / 2).astype(np.int64)
    ends = length.cumsum()
    count = int(np.searchsorted(ends, size)) + 1
    length = length[:count].copy()
    length[-1] -= int(ends[count - 1]) - size
    return length, state[:count]
