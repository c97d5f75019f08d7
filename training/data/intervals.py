"""Copy chromosomes from one bigWig to another, interval by interval."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pybigtools
from numpy.typing import NDArray

from app.core.assemblies import HG19, match_chromosomes
from app.core.errors import EpifillError
from training.data.download import FetchFailed
from training.data.ranges import HttpFile

_INTERVAL = np.dtype([("start", np.uint32), ("end", np.uint32), ("value", np.float32)])
_INTERVALS_AT_ONCE = 100_000


def read_intervals(remote: HttpFile, chromosomes: Sequence[str]) -> dict[str, NDArray[np.void]]:
    """The intervals of some chromosomes of a bigWig of hg19, as they are stored.

    Returns
    -------
    dict
        Per chromosome that has any: start, end (bp, uint32) and value (float32), (intervals,); sorted by name.

    Raises
    ------
    FetchFailed, AssemblyMismatch
        It cannot be read, is no bigWig, has nothing on these chromosomes, or is in another assembly.
    """
    with _parser_errors(f"{remote.url} cannot be read as a bigWig", remote):
        bigwig = pybigtools.open(remote)
        names = match_chromosomes(dict(bigwig.chroms()), HG19, remote.url).names
        present = sorted(chrom for chrom in chromosomes if chrom in names)
        read = {chrom: _in_order([_intervals(bigwig, name) for name in names[chrom]]) for chrom in present}
    tables = {chrom: table for chrom, table in read.items() if len(table)}
    if not tables:
        raise FetchFailed(f"{remote.url} has no values on {', '.join(chromosomes)}.")
    return tables


def _intervals(bigwig: Any, chrom: str) -> NDArray[np.void]:
    """The intervals of a chromosome as they are stored: start, end, value; 12 bytes each."""
    return np.fromiter(bigwig.records(chrom), dtype=_INTERVAL)


def _in_order(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """The intervals of a chromosome that may stand under several names."""
    joined = np.concatenate(parts)
    return joined[np.argsort(joined["start"], kind="stable")]


def write_intervals(tables: Mapping[str, NDArray[np.void]], path: Path) -> None:
    """Write intervals as a bigWig of hg19 and compare what it then holds.

    Its header has only the chromosomes with intervals: pybigtools leaves out the others.

    Parameters
    ----------
    tables
        As `read_intervals` gives them; chromosomes sorted by name, as the index of a bigWig has them.
    path
        Ends with .bigWig: the writer goes by that.

    Raises
    ------
    FetchFailed
        The intervals overlap or pass a chromosome's end, or the file does not read back.
    """

    def in_order() -> Iterator[tuple[str, int, int, float]]:
        for chrom, table in tables.items():
            for first in range(0, len(table), _INTERVALS_AT_ONCE):
                for start, end, value in table[first : first + _INTERVALS_AT_ONCE].tolist():
                    yield chrom, start, end, value

    with _parser_errors(f"'{path}' cannot be written"):
        # Absolute, lest a name be taken for a URL.
        pybigtools.open(str(path.absolute()), "w").write(dict(HG19.chromosomes), in_order())
        with pybigtools.open(str(path.absolute())) as written:
            # The writer raises nothing when the disk is full, for one.
            for chrom, table in tables.items():
                if _intervals(written, chrom).tobytes() != table.tobytes():
                    raise FetchFailed(f"'{path}' did not read back as written; is the disk full?")


@contextmanager
def _parser_errors(what: str, remote: HttpFile | None = None) -> Iterator[None]:
    """Name the fault when pybigtools fails; its PanicException derives from BaseException."""
    try:
        yield
    except (EpifillError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if remote and remote.failure:
            raise remote.failure from None
        raise FetchFailed(f"{what}: {error}.") from None
