"""What a model takes from its training samples at a region: bigWig tracks in its folder, one per channel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from app.core.assemblies import Assembly
from app.core.bigwig.read import TrackFile, Tracks
from app.core.regions import Region, join_regions
from app.core.signal import runs

_SHOWN = 20
"""Most stretches that `Gaps` names."""


class Panel:
    """The channels of a model's panel, open for reading. Safe for several threads.

    Parameters
    ----------
    folder
        The model's folder.
    channels
        In the order of the rows that `read` gives.
    assembly, bin_size_bp
        The model's.

    Raises
    ------
    NotABigWig, EmptyTrack, BadTrackValues, AssemblyMismatch
        Of the first file that is wrong.
    """

    def __init__(self, folder: Path, channels: Sequence[str], assembly: Assembly, bin_size_bp: int) -> None:
        files = {channel: TrackFile(folder / panel_file(channel), panel_file(channel)) for channel in channels}
        self._tracks = Tracks(files, assembly, bin_size_bp)
        self._reading = Lock()

    def read(self, region: Region) -> NDArray[np.float32]:
        """The channels over a region that starts on a bin border, float32 (channels, bins); NaN = nothing there."""
        with self._reading:
            return self._tracks.read(region).values


def panel_file(channel: str) -> str:
    """Where a channel's bigWig lies in the model's folder."""
    return f"panel/{channel}.bigWig"


@dataclass(frozen=True)
class Gaps:
    """Imputed bins where the panel has nothing.

    Attributes
    ----------
    bins
        Where it has nothing of any target.
    regions
        The first stretches of these.
    by_target
        Where it has nothing of a target.
    """

    bins: int = 0
    regions: tuple[Region, ...] = ()
    by_target: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, missing: Mapping[str, NDArray[np.bool_]], region: Region, bin_size_bp: int) -> "Gaps":
        """The gaps of one region; `missing` is bool (bins,) for each target."""
        everywhere = np.logical_and.reduce(list(missing.values()))
        stretches = [
            Region(region.chrom, region.start + first * bin_size_bp, min(region.start + last * bin_size_bp, region.end))
            for first, last in runs(everywhere)[:_SHOWN]
        ]
        return cls(int(everywhere.sum()), tuple(stretches), {mark: int(row.sum()) for mark, row in missing.items()})

    def then(self, others: "Gaps", assembly: Assembly) -> "Gaps":
        """These and others that lie behind them."""
        regions = tuple(join_regions(self.regions + others.regions, assembly)[:_SHOWN])
        targets = dict.fromkeys([*self.by_target, *others.by_target])
        by_target = {mark: self.by_target.get(mark, 0) + others.by_target.get(mark, 0) for mark in targets}
        return Gaps(self.bins + others.bins, regions, by_target)
