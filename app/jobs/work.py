"""What an imputation is made of: its folder, its chunks, and all that decides its result.

An imputation's folder holds `work.json`, written once and never changed; `inputs/`, the tracks; `strength.npz`;
`chunks/`, one file per piece that is done; `result.partial/` while the result is put together; and `result/` when it is
there. Whoever finds `work.json` gone stops: the imputation was cancelled.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydantic import BaseModel, ConfigDict

from app.core.assemblies import Assembly
from app.core.binned import BinnedTracks
from app.core.errors import EpifillError, NoOverlap, RegionTooShort
from app.core.impute import long_enough, too_short
from app.core.marks import Plan
from app.core.model import Model
from app.core.regions import PIECE_BINS, Region, join_regions, parse_region
from app.core.strength import Strength

PROBE_BINS, MOST_PROBES = 4 * PIECE_BINS, 12
"""Bins of a stretch on which observed marks are hidden and scored, and the number of stretches at most."""

WORK, STRENGTH, JUDGED, CHUNKS, RESULT, INPUTS = "work.json", "strength.npz", "judged", "chunks", "result", "inputs"


class Cancelled(EpifillError):
    """The imputation was cancelled or deleted while a piece of it was worked on."""


class Input(BaseModel):
    """A track that is imputed from.

    Attributes
    ----------
    path
        Folder of the binned form.
    file, sha256
        Name and hash of the file as it came.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    file: str
    sha256: str


class Work(BaseModel):
    """All that decides an imputation's result, and where its parts are.

    Attributes
    ----------
    sample
        Its name, for people.
    contact
        Whom the track hub names; empty = nobody.
    models, model, model_sha256
        Folder of models, name, and hash of the model.
    threads
        Per run of the model; 1 where there is a worker per core.
    inputs
        By mark.
    observed, masked, targets
        As in `Plan`.
    regions
        What was asked for; None = all that the tracks cover.
    warnings
        What was set aside: tracks, regions without a value, chromosomes that are too short; one sentence each.
    chunks, probes
        Chromosome, start and end of every piece to impute, in genome order, and of those on which observed marks are
        hidden and scored.
    """

    model_config = ConfigDict(frozen=True)

    sample: str
    contact: str = ""
    models: str
    model: str
    model_sha256: str
    threads: int
    inputs: dict[str, Input]
    observed: tuple[str, ...]
    masked: tuple[str, ...]
    targets: tuple[str, ...]
    regions: list[str] | None
    warnings: tuple[str, ...] = ()
    chunks: list[tuple[str, int, int]]
    probes: list[tuple[str, int, int]]

    @property
    def plan(self) -> Plan:
        """Which marks are imputed from which."""
        return Plan(self.observed, self.masked, self.targets, self.warnings)

    @property
    def pieces(self) -> list[Region]:
        """The chunks as regions."""
        return [Region(*chunk) for chunk in self.chunks]

    def bins(self, bin_size_bp: int) -> int:
        """Bins to impute."""
        return sum(piece.n_bins(bin_size_bp) for piece in self.pieces)

    def open(self) -> BinnedTracks:
        """The tracks."""
        return BinnedTracks({mark: Path(given.path) for mark, given in self.inputs.items()})


def make_work(
    sample: str, model: Model, models: Path, inputs: dict[str, Input], plan: Plan, regions: Sequence[str] | None,
    with_probes: bool,
    chunk_bins: int,
    threads: int = 1,
    contact: str = "",
) -> Work:  # fmt: skip
    """Cut an imputation into chunks of at most `chunk_bins` bins.

    Raises
    ------
    BadRegion, AssemblyMismatch
    NoOverlap
        No track that is imputed from has a value where it was asked for.
    RegionTooShort
        Every chromosome that was asked for has fewer bins than the model's window.
    """
    work = Work(
        sample=sample,
        contact=contact,
        models=str(models.absolute()),
        model=model.name,
        model_sha256=model.sha256,
        threads=threads,
        inputs=inputs,
        observed=plan.observed,
        masked=plan.masked,
        targets=plan.targets,
        regions=None if regions is None else list(regions),
        chunks=[],
        probes=[],
    )
    size, assembly = model.manifest.bin_size_bp, model.assembly
    observed = work.open().select(plan.observed)
    warnings: list[str] = []
    if regions is None:
        covered = list(observed.covered_regions(chunk_bins * size))
        if not covered:
            raise NoOverlap(f"No track has a value on any chromosome of {assembly.name}; give tracks with data.")
    else:
        covered, warnings = _asked(regions, assembly, size, observed)
    short = dict.fromkeys(region.chrom for region in covered if not long_enough(region.chrom, model))
    warnings += [f"{chrom} was left out: {too_short(chrom, model)}" for chrom in short]
    chunks = [piece for r in covered if r.chrom not in short for piece in r.pieces(chunk_bins * size)]
    if not chunks:
        raise RegionTooShort(" ".join(too_short(chrom, model) for chrom in short), next(iter(short)))
    probes = _spread(chunks, size) if with_probes and len(plan.observed) > 1 else []
    cut = {"chunks": _plain(chunks), "probes": _plain(probes), "warnings": (*plan.warnings, *warnings)}
    return work.model_copy(update=cut)


def _asked(
    regions: Sequence[str], assembly: Assembly, size: int, observed: BinnedTracks
) -> tuple[list[Region], list[str]]:
    """The regions in whole bins, without those where no track has a value; and a sentence on these."""
    parsed = (parse_region(text, assembly) for text in regions)
    wanted = [region.snap(size, assembly.length(region.chrom)) for region in parsed]
    empty = [text for text, region in zip(regions, wanted, strict=True) if not observed.covers(region)]
    listed = f"{', '.join(empty[:3])}{' ...' if len(empty) > 3 else ''}"
    if len(empty) == len(regions):
        raise NoOverlap(
            f"No unmasked track has a value in {listed}; choose tracks or a region with values.", listed[:80]
        )
    covered = [region for text, region in zip(regions, wanted, strict=True) if text not in empty]
    warnings = [f"No unmasked track has a value in {len(empty)} of {len(regions)} regions: {listed}."] if empty else []
    return join_regions(covered, assembly), warnings


def _spread(chunks: Sequence[Region], size: int) -> list[Region]:
    """Evenly spread stretches of the chunks."""
    stretches = [stretch for chunk in chunks for stretch in chunk.pieces(PROBE_BINS * size)]
    return stretches[:: -(-len(stretches) // MOST_PROBES)]


def _plain(regions: Iterable[Region]) -> list[tuple[str, int, int]]:
    return [(region.chrom, region.start, region.end) for region in regions]


@dataclass(frozen=True)
class Folder:
    """An imputation's folder."""

    path: Path

    @property
    def result(self) -> Path:
        """Where the finished result lies."""
        return self.path / RESULT

    def create(self, work: Work) -> None:
        """Write what is to be done."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.path / CHUNKS).mkdir(exist_ok=True)
        write_atomically(self.path / WORK, lambda file: file.write(work.model_dump_json().encode()))

    def work(self) -> Work:
        """What is to be done; raises Cancelled."""
        try:
            return Work.model_validate_json((self.path / WORK).read_bytes())
        except FileNotFoundError:
            raise Cancelled("The imputation is gone.") from None

    def check(self) -> None:
        """Raise Cancelled if the imputation is gone."""
        if not (self.path / WORK).exists():
            raise Cancelled("The imputation was cancelled.")

    def tidy(self) -> None:
        """Remove what a finished result does not need."""
        for name in (CHUNKS, INPUTS):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def chunk(self, number: int) -> Path:
        """Where a chunk's values are."""
        return self.path / CHUNKS / f"{number:06d}.npz"

    def probe(self, number: int, mark: str) -> Path:
        """Where a hidden mark's values on a stretch are."""
        return self.path / CHUNKS / f"probe-{number:02d}-{mark}.npz"

    def keep_strength(self, strength: Strength) -> None:
        """Write how strong the tracks are."""
        shares = [np.nan if share is None else share for share in strength.judged.values()]

        def write(file: BinaryIO) -> None:
            np.savez(file, quantiles=strength.quantiles, marks=list(strength.judged), shares=shares)

        write_atomically(self.path / STRENGTH, write)

    def strength(self) -> Strength | None:
        """How strong the tracks are; None if the model does not look at it."""
        try:
            with np.load(self.path / STRENGTH) as kept:
                shares = (None if np.isnan(share) else float(share) for share in kept["shares"])
                return Strength(kept["quantiles"], dict(zip(map(str, kept["marks"]), shares, strict=True)))
        except FileNotFoundError:
            return None


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file whole or not at all, and so that it lasts through a loss of power."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
