"""Does the check of uploads let a damaged file through that pyBigWig then crashes on, or misreads?

By hand: `python -m tests.fuzz_structure COUNT [SEED]` prints how many mutants were refused, accepted and read as the
original, accepted and read as what they say, crashed or lied.
"""

import collections
import itertools
import json
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pybigtools
import pyBigWig

from app.core.bigwig.structure import check_structure
from app.core.errors import EpifillError
from tests.mutants import BRANCH, HEADER, ITEM, LEAF, SECTION, Layout, mutants

MEMORY_BYTES = 2 * 2**30
SECONDS = 10
Track = dict[str, list[tuple[int, int, float]]]


def originals(folder: Path) -> list[Path]:
    """Small sound bigWigs: every kind of section, deep trees, many zoom levels, not compressed, another writer's."""
    rng = np.random.default_rng(0)
    paths = []

    def create(name: str, chromosomes: dict[str, int]) -> object:
        paths.append(folder / name)
        file = pyBigWig.open(str(paths[-1]), "w")
        file.addHeader(list(chromosomes.items()))
        return file

    with create("fixed.bw", {"chr1": 249_250_621, "chrM": 16_571}) as file:
        file.addEntries("chr1", 1000, values=rng.gamma(0.5, 2, 12_000).astype("f4"), span=25, step=25)
        file.addEntries("chrM", 0, values=rng.random(662).astype("f4"), span=25, step=25)
    names = {f"chr{i}": 5000 for i in range(1, 91)}
    with create("deep.bw", names) as file:
        for name in names:
            starts = np.cumsum(rng.integers(10, 60, 80))
            file.addEntries(
                [name] * 80, starts.tolist(), ends=(starts + rng.integers(1, 11, 80)).tolist(), values=rng.random(80)
            )
    with create("mixed.bw", {"1": 100_000, "2": 50_000, "Un_x.1": 200}) as file:
        file.addEntries("1", np.arange(0, 50_000, 50), values=rng.random(1000), span=30)
        file.addEntries("1", 60_000, values=rng.random(300), span=10, step=20)
        file.addEntries(["2"] * 3, [5, 10, 20], ends=[10, 12, 21], values=[1.0, float("nan"), -3.0])
    paths.append(folder / "bigtools.bw")
    starts = np.cumsum(rng.integers(5, 40, 3000)).tolist()
    rows = [("chrX", start, start + 5, float(value)) for start, value in zip(starts, rng.random(3000), strict=True)]
    pybigtools.open(str(paths[-1]), "w").write({"chrX": 200_000, "chrY": 100}, rows)
    data = bytearray(paths[0].read_bytes())
    paths.append(folder / "uncompressed.bw")
    paths[-1].write_bytes(uncompressed(data))
    return paths


def uncompressed(data: bytearray) -> bytes:
    """A sound bigWig with all its blocks unpacked."""
    layout = Layout(data)
    blocks = [(leaf, layout.block(data, leaf)) for leaf in layout.leaves + layout.zoom_leaves]
    layout.header[10].set(data, 0)
    layout.buffer = 0
    for leaf, block in blocks:
        layout.put(data, leaf, block)
    return bytes(data)


def decode(data: bytes) -> Track:
    """What a sound bigWig says, by a plain reading of the format."""
    (_, _, _, tree_at, _, index_at, _, _, _, _, buffer, _), names = HEADER.unpack_from(data), {}
    key = struct.unpack_from("<I", data, tree_at + 8)[0]

    def items(at: int, branch: int, leaf: int) -> Iterable[bytes]:
        is_leaf, _, count = struct.unpack_from("<BBH", data, at)
        size = leaf if is_leaf else branch
        for item in (data[at + 4 + i * size : at + 4 + (i + 1) * size] for i in range(count)):
            if is_leaf:
                yield item
            else:
                yield from items(struct.unpack_from("<Q", item, branch - 8)[0], branch, leaf)

    for item in items(tree_at + 32, key + 8, key + 8):
        names[struct.unpack_from("<I", item, key)[0]] = item[:key].rstrip(b"\0").decode()
    track: Track = {name: [] for _, name in sorted(names.items())}
    for item in items(index_at + 48, BRANCH.size, LEAF.size):
        *_, offset, size = LEAF.unpack(item)
        block = data[offset : offset + size]
        block = zlib.decompress(block) if buffer else block
        chrom, start, _, step, span, kind, _, count = SECTION.unpack_from(block)
        for i, row in enumerate(ITEM[kind].iter_unpack(block[24 : 24 + count * ITEM[kind].size])):
            if kind == 1:
                track[names[chrom]].append(row)
            else:
                first = row[0] if kind == 2 else start + i * step
                track[names[chrom]].append((first, first + span, row[-1]))
    return track


def bits(intervals: Iterable[tuple[int, int, float]]) -> bytes:
    """Intervals as bytes, every NaN the same."""
    return b"".join(
        struct.pack("<IIf", start, end, value if value == value else float("nan")) for start, end, value in intervals
    )


def same(one: Track, other: Track) -> bool:
    """Do two tracks hold the same intervals, bit for bit? Chromosomes without any do not count."""
    filled = [{name: bits(rows) for name, rows in track.items() if rows} for track in (one, other)]
    return filled[0] == filled[1]


def read_whole(path: Path) -> Track:
    """What pyBigWig reads, a chromosome at a time."""
    with pyBigWig.open(str(path)) as file:
        return {name: list(file.intervals(name) or []) for name in file.chroms()}


def misread(path: Path, track: Track) -> str | None:
    """What pyBigWig says of pieces, base by base, that the track does not."""
    with pyBigWig.open(str(path)) as file:
        for name, length in file.chroms().items():
            rows = track[name]
            if not rows:
                continue
            first, last = max(0, rows[0][0] - 50), min(length, rows[-1][1] + 50)
            last = min(last, first + 2_000_000)
            bases = np.full(last - first, np.nan, np.float32)
            for start, end, value in rows:
                bases[max(0, start - first) : max(0, end - first)] = value
            edges = np.unique(np.linspace(first, last, 8).astype(int)).tolist()
            for start, end in itertools.pairwise(edges):
                expected = bases[start - first : end - first]
                if not np.array_equal(file.values(name, start, end, numpy=True), expected, equal_nan=True):
                    return f"values of {name}:{start}-{end}"
    return None


def verdict(original: Track, data: bytes, path: Path) -> str:
    """`refused`, `identical`, `consistent`, or `LIE` and what about."""
    path.write_bytes(data)
    try:
        structure = check_structure(path, "mutant.bw")
    except EpifillError as error:
        named = str(error).startswith("'mutant.bw' ") and error.subject == "mutant.bw"
        return "refused" if named else f"ERROR: {error} does not name the file"
    decoded = decode(data)
    if list(structure.chromosomes) != list(decoded):
        return "LIE: chromosomes"
    if not same(read_whole(path), decoded):
        return "LIE: intervals"
    said = misread(path, decoded)
    if said:
        return f"LIE: {said}"
    return "identical" if same(decoded, original) else "consistent"


def judge(original: Path, seed: int, first: int, last: int) -> None:
    """Print the verdicts of some mutants, one a line, each announced before it is tried."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    data = original.read_bytes()
    track = decode(data)
    with tempfile.TemporaryDirectory() as folder:
        for number, mutant in itertools.islice(enumerate(mutants(data, seed, last)), first, None):
            print(number, end=" ", flush=True)
            signal.alarm(SECONDS)
            try:
                print(verdict(track, mutant, Path(folder) / "mutant.bw"), flush=True)
            except Exception as error:
                print(f"ERROR: {error!r}", flush=True)
            signal.alarm(0)


def run(original: Path, seed: int, count: int) -> list[str]:
    """The verdict of every mutant; `CRASH` and the signal where the process that read it died."""
    verdicts: list[str] = []
    while len(verdicts) < count:
        child = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.fuzz_structure",
                "judge",
                original,
                str(seed),
                str(len(verdicts)),
                str(count),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).parents[1],
            check=False,
        )
        verdicts += [line.split(" ", 1)[1] for line in child.stdout.splitlines() if line.split(" ", 1)[1:] > [""]]
        if child.returncode:
            verdicts.append(f"CRASH: {child.returncode}")
    return verdicts


def main(count: int, seed: int = 0) -> None:
    """Judge `count` mutants of the originals together and print the counts."""
    total: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        files = originals(Path(folder))
        for original in files:
            verdicts = run(original, seed, count // len(files))
            for number, said in enumerate(verdicts):
                if said.split(":")[0].isupper():
                    print(original.name, number, said)
            counts = collections.Counter(said.split(":")[0] for said in verdicts)
            print(original.name, json.dumps(counts))
            total += counts
    print("all", json.dumps(total))


if __name__ == "__main__":
    if sys.argv[1] == "judge":
        judge(Path(sys.argv[2]), *map(int, sys.argv[3:]))
    else:
        main(*map(int, sys.argv[1:]))
