"""The two trees of a bigWig: chromosomes by name, and data blocks by position.

Walked without recursion and with bounds on depth and on bytes, so that circles and bombs end.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.core.bigwig.source import Source

_MAX_DEPTH = 16  # 65,536 blocks even if every node had but two children; libBigWig recurses as deep
_MAX_CHROMOSOMES = 250_000
_MAX_NAME_BYTES = 255
_MAX_LENGTH = 2**31 - 1  # positions are C ints in parts of libBigWig
MAX_BLOCK_BYTES = 2**24
POSITION_BITS = 32
"""Of a base within its chromosome, in `positions`."""

_CHROMOSOMES_MAGIC, _INDEX_MAGIC = 0x78CA8C91, 0x2468ACE0
_CHROMOSOMES = np.dtype(
    [("magic", "<u4"), ("block", "<u4"), ("key", "<u4"), ("value", "<u4"), ("count", "<u8"), ("reserved", "<u8")]
)
_INDEX = np.dtype([("magic", "<u4"), ("block", "<u4"), ("count", "<u8"), ("rest", "V32")])
_NODE = np.dtype([("is_leaf", "u1"), ("reserved", "u1"), ("count", "<u2")])
_EXTENT = [("chrom", "<u4"), ("start", "<u4"), ("last_chrom", "<u4"), ("end", "<u4")]
_BRANCH = np.dtype([*_EXTENT, ("child", "<u8")])
_LEAF = np.dtype([*_EXTENT, ("offset", "<u8"), ("size", "<u8")])

# Printable ASCII without what could be markup, quoting or escape where a name is shown.
_NAME = re.compile(rb"[!#-%(-;=?-\[\]-_a-~]+")


@dataclass(frozen=True)
class _Node:
    is_leaf: bool
    items: NDArray[np.void]
    parent: np.void | None
    """The item of the node above that leads here; None for the root."""


def read_chromosomes(source: Source, at: int) -> dict[str, int]:
    """Names and lengths in bp, in the order of their ids; raises NotABigWig."""
    tree = source.array(at, _CHROMOSOMES, 1, "list of chromosomes")[0]
    count, key = int(tree["count"]), int(tree["key"])
    if tree["magic"] != _CHROMOSOMES_MAGIC or tree["value"] != 8 or not 0 < key <= _MAX_NAME_BYTES:
        raise source.damaged("its list of chromosomes does not begin as one")
    if not 0 < count <= min(_MAX_CHROMOSOMES, source.size // (key + 8)):
        raise source.damaged(f"it claims to have {count:,} chromosomes")
    branch = np.dtype([("name", f"S{key}"), ("child", "<u8")])
    leaf = np.dtype([("name", f"S{key}"), ("id", "<u4"), ("length", "<u4")])
    names: list[bytes | None] = [None] * count
    lengths = [0] * count
    for node in _walk(source, at + _CHROMOSOMES.itemsize, branch, leaf, "list of chromosomes"):
        if len(node.items) > tree["block"]:
            raise source.damaged("its list of chromosomes has a part larger than it says")
        if not node.is_leaf:
            continue
        for name, number, length in node.items.tolist():
            if number >= count or names[number] is not None:
                raise source.damaged("its chromosomes are not numbered one by one")
            if not _NAME.fullmatch(name):
                raise source.damaged("a chromosome's name has characters that no name can have")
            if not 0 < length <= _MAX_LENGTH:
                raise source.damaged(f"a chromosome is {length:,} bp long")
            names[number], lengths[number] = name, length
    found = {name.decode("ascii"): length for name, length in zip(names, lengths, strict=True) if name is not None}
    if len(found) < count:
        raise source.damaged(f"it lists {len(found):,} different chromosomes but says it has {count:,}")
    return found


def read_index(source: Source, at: int, chromosomes: int) -> NDArray[np.void]:
    """Where the blocks of an index are and what they span.

    Parameters
    ----------
    source
        The file.
    at
        Offset of the index.
    chromosomes
        How many there are.

    Returns
    -------
    Records with fields chrom, start, last_chrom, end (ids and bp), offset and size (bytes), (blocks,),
    sorted by chrom and start.

    Raises
    ------
    NotABigWig
    """
    tree = source.array(at, _INDEX, 1, "index")[0]
    if tree["magic"] != _INDEX_MAGIC:
        raise source.damaged("its index does not begin as one")
    leaves = [np.empty(0, _LEAF)]
    for node in _walk(source, at + _INDEX.itemsize, _BRANCH, _LEAF, "index"):
        items, parent = node.items, node.parent
        if (items["chrom"] >= chromosomes).any() or (items["last_chrom"] >= chromosomes).any():
            raise source.damaged("its index has a chromosome that it does not list")
        if (
            (first_bases(items) > last_bases(items)).any()
            or (parent is not None and (first_bases(items) < first_bases(parent)).any())
            or (parent is not None and (last_bases(items) > last_bases(parent)).any())
        ):
            raise source.damaged("its index contradicts itself")
        if node.is_leaf:
            leaves.append(items)
    blocks = np.concatenate(leaves)
    if len(blocks) != tree["count"]:
        raise source.damaged(f"its index lists {len(blocks):,} blocks but says it has {tree['count']:,}")
    if (first_bases(blocks[1:]) < first_bases(blocks[:-1])).any():
        raise source.damaged("its index is not sorted")
    size = np.uint64(source.size)
    if (blocks["size"] > MAX_BLOCK_BYTES).any() or (blocks["offset"] > size).any():
        raise source.damaged(f"its index points past its {source.size:,} bytes")
    if (blocks["offset"] + blocks["size"] > size).any():
        raise source.damaged(f"its index points past its {source.size:,} bytes")
    return blocks


def first_bases(extents: NDArray[np.void] | np.void) -> NDArray[np.int64]:
    """`positions` of the starts of some extents."""
    return positions(extents["chrom"], extents["start"])


def last_bases(extents: NDArray[np.void] | np.void) -> NDArray[np.int64]:
    """`positions` of the ends of some extents."""
    return positions(extents["last_chrom"], extents["end"])


def positions(chrom: ArrayLike, base: ArrayLike) -> NDArray[np.int64]:
    """Id of a chromosome (below 2**31) and base in it as one number that sorts like them."""
    return np.left_shift(np.asarray(chrom, np.int64), POSITION_BITS) + np.asarray(base, np.int64)


def _walk(source: Source, root: int, branch: np.dtype[np.void], leaf: np.dtype[np.void], what: str) -> Iterator[_Node]:
    """The nodes of a tree, depth first, children in their order."""
    bytes_left = source.size  # a tree in which no part counts twice is no larger than its file
    ahead: list[Iterator[tuple[int, np.void | None]]] = [iter([(root, None)])]
    while ahead:
        following = next(ahead[-1], None)
        if following is None:
            ahead.pop()
            continue
        at, parent = following
        head = source.array(at, _NODE, 1, what)[0]
        is_leaf, count = int(head["is_leaf"]), int(head["count"])
        if is_leaf > 1 or (not count and at != root):
            raise source.damaged(f"its {what} has a part that is none")
        items = source.array(at + _NODE.itemsize, leaf if is_leaf else branch, count, what)
        bytes_left -= items.nbytes + _NODE.itemsize
        if bytes_left < 0 or len(ahead) > _MAX_DEPTH:
            raise source.damaged(f"its {what} leads in a circle")
        yield _Node(bool(is_leaf), items, parent)
        if not is_leaf:
            ahead.append((int(item["child"]), item) for item in items)
