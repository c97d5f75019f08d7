"""Damaged copies of a sound bigWig: some know its structure and strike there, others are blind. The same for one seed.

Used to test the check of uploads, and whatever else must not fall over them. `Layout` finds a good file's parts, for
tests that damage one of them on purpose.
"""

import contextlib
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEADER = struct.Struct("<IHHQQQHHQQIQ")
SECTION = struct.Struct("<IIIIIBBH")
LEAF, BRANCH = struct.Struct("<IIIIQQ"), struct.Struct("<IIIIQ")
ITEM = {1: struct.Struct("<IIf"), 2: struct.Struct("<If"), 3: struct.Struct("<f")}


@dataclass(frozen=True)
class Field:
    """A little-endian unsigned integer in the file."""

    at: int
    size: int

    def get(self, data: bytes) -> int:
        return int.from_bytes(data[self.at : self.at + self.size], "little")

    def set(self, data: bytearray, value: int) -> None:
        data[self.at : self.at + self.size] = (value % 256**self.size).to_bytes(self.size, "little")


def fields(layout: struct.Struct, at: int) -> list[Field]:
    """The fields of a record at an offset."""
    sizes = [struct.calcsize(code) for code in layout.format.lstrip("<")]
    return [Field(at + sum(sizes[:i]), size) for i, size in enumerate(sizes)]


class Layout:
    """Where the parts of a sound bigWig are."""

    def __init__(self, data: bytes) -> None:
        self.header = fields(HEADER, 0)
        _, _, zooms, chromosomes_at, self.data_at, index_at, _, _, _, summary_at, self.buffer, _ = HEADER.unpack_from(
            data
        )
        self.summary = fields(struct.Struct("<QQQQQ"), summary_at)
        self.zooms = [fields(struct.Struct("<IIQQ"), 64 + 24 * i) for i in range(zooms)]
        self.tree = fields(struct.Struct("<IIIIQQ"), chromosomes_at)
        self.key = self.tree[2].get(data)
        self.nodes: list[list[Field]] = []
        """Of each node of any tree: is it a leaf, reserved, number of items."""
        self.chromosomes: list[tuple[int, Field, Field]] = []
        """Offset of the name, id, length."""
        self._walk_chromosomes(data, chromosomes_at + 32)
        self.branches: list[list[Field]] = []
        self.index = fields(struct.Struct("<IIQIIIIQII"), index_at)
        self.leaves = self._walk_index(data, index_at + 48)
        self.zoom_leaves = [leaf for zoom in self.zooms for leaf in self._walk_index(data, zoom[3].get(data) + 48)]
        self.offsets = [
            *(field.at for node in self.nodes for field in node[:1]),
            *(leaf[4].get(data) for leaf in self.leaves),
            *(zoom[3].get(data) for zoom in self.zooms),
            chromosomes_at,
            index_at,
            self.data_at,
        ]

    def _node(self, data: bytes, at: int) -> tuple[int, int]:
        node = fields(struct.Struct("<BBH"), at)
        self.nodes.append(node)
        return node[0].get(data), node[2].get(data)

    def _walk_chromosomes(self, data: bytes, at: int) -> None:
        is_leaf, count = self._node(data, at)
        for i in range(count):
            entry = at + 4 + i * (self.key + 8)
            if is_leaf:
                self.chromosomes.append((entry, Field(entry + self.key, 4), Field(entry + self.key + 4, 4)))
            else:
                self._walk_chromosomes(data, Field(entry + self.key, 8).get(data))

    def _walk_index(self, data: bytes, at: int) -> list[list[Field]]:
        is_leaf, count = self._node(data, at)
        kind = LEAF if is_leaf else BRANCH
        items = [fields(kind, at + 4 + i * kind.size) for i in range(count)]
        if is_leaf:
            return items
        self.branches += items
        return [leaf for item in items for leaf in self._walk_index(data, item[4].get(data))]

    def block(self, data: bytes, leaf: list[Field]) -> bytearray:
        """A block, unpacked."""
        packed = data[leaf[4].get(data) :][: leaf[5].get(data)]
        return bytearray(zlib.decompress(packed) if self.buffer else packed)

    def put(self, data: bytearray, leaf: list[Field], block: bytes) -> None:
        """Replace a block: in its place if it fits there, else at the end, before the closing magic."""
        packed = zlib.compress(block) if self.buffer else bytes(block)
        at = leaf[4].get(data)
        if len(packed) > leaf[5].get(data):
            at = len(data) - 4
            data[at:at] = packed
        else:
            data[at : at + len(packed)] = packed
        leaf[4].set(data, at)
        leaf[5].set(data, len(packed))


def mutants(original: bytes, seed: int, count: int) -> Iterator[bytes]:
    """`count` damaged copies of a sound bigWig."""
    rng = random.Random(seed)
    layout = Layout(original)
    for _ in range(count):
        data = bytearray(original)
        for _ in range(1 if rng.random() < 0.8 else rng.randint(2, 4)):
            # After another mutator, a part may no longer be where the layout says.
            with contextlib.suppress(zlib.error, IndexError, ValueError):
                rng.choice(_MUTATORS)(data, layout, rng)
        yield bytes(data)


def _change(data: bytearray, field: Field, layout: Layout, rng: random.Random) -> None:
    old, top = field.get(data), 256**field.size
    field.set(
        data,
        rng.choice(
            [
                0,
                1,
                rng.randrange(4),
                old + rng.choice([-1, 1]),
                old + rng.randint(-100, 100),
                old * 2,
                old // 2,
                old ^ (1 << rng.randrange(8 * field.size)),
                rng.randrange(top),
                top - 1,
                top // 2,
                len(data) - rng.randint(-4, 64),
                rng.choice(layout.offsets),
            ]
        ),
    )


def _header(data: bytearray, layout: Layout, rng: random.Random) -> None:
    _change(data, rng.choice(layout.header + layout.summary), layout, rng)


def _zoom_header(data: bytearray, layout: Layout, rng: random.Random) -> None:
    _change(data, rng.choice([f for zoom in layout.zooms for f in zoom] or layout.header), layout, rng)


def _chromosome(data: bytearray, layout: Layout, rng: random.Random) -> None:
    name, number, length = rng.choice(layout.chromosomes)
    what = rng.randrange(4)
    if what == 0:
        data[name + rng.randrange(layout.key)] = rng.choice([0, 9, 10, 13, 32, 60, 127, 255, rng.randrange(256)])
    elif what == 1:
        other = rng.choice(layout.chromosomes)[0]
        data[name : name + layout.key] = data[other : other + layout.key]
    else:
        _change(data, number if what == 2 else length, layout, rng)


def _tree_header(data: bytearray, layout: Layout, rng: random.Random) -> None:
    _change(data, rng.choice(layout.tree + layout.index[:3]), layout, rng)


def _node(data: bytearray, layout: Layout, rng: random.Random) -> None:
    _change(data, rng.choice(rng.choice(layout.nodes)), layout, rng)


def _index_item(data: bytearray, layout: Layout, rng: random.Random) -> None:
    _change(data, rng.choice(rng.choice(layout.leaves + layout.branches + layout.zoom_leaves)), layout, rng)


def _swap_leaves(data: bytearray, layout: Layout, rng: random.Random) -> None:
    (one, other), (first, last) = rng.choices(layout.leaves, k=2), rng.choice([(0, 6), (4, 6), (0, 4)])
    for a, b in zip(one[first:last], other[first:last], strict=True):
        kept = a.get(data)
        a.set(data, b.get(data))
        b.set(data, kept)


def _drop_leaf(data: bytearray, layout: Layout, rng: random.Random) -> None:
    """The last block of the index is left out, and all counts say so."""
    _, _, count = next(node for node in layout.nodes if node[0].at + 4 <= layout.leaves[-1][0].at <= node[0].at + 2**21)
    for field in (count, layout.index[2], Field(layout.data_at, 8)):
        field.set(data, field.get(data) - 1)


def _section(data: bytearray, layout: Layout, rng: random.Random) -> None:
    """A field of a block's own header, or of an item, or the block's length."""
    leaf = rng.choice(layout.leaves)
    block = layout.block(data, leaf)
    what = rng.randrange(4)
    if what == 0:
        _change(block, rng.choice(fields(SECTION, 0)), layout, rng)
    elif what == 1 and len(block) > SECTION.size:
        _change(block, Field(24 + 4 * rng.randrange((len(block) - 24) // 4), 4), layout, rng)
    elif what == 2:
        del block[rng.randrange(len(block)) :]
    else:
        block += bytes(rng.choice([1, 4, 8, 12, 40_000, 3_000_000]))
    layout.put(data, leaf, block)


def _zoom_record(data: bytearray, layout: Layout, rng: random.Random) -> None:
    if not layout.zoom_leaves:
        return
    leaf = rng.choice(layout.zoom_leaves)
    block = layout.block(data, leaf)
    if rng.random() < 0.8:
        _change(block, Field(4 * rng.randrange(len(block) // 4), 4), layout, rng)
    else:
        del block[rng.randrange(len(block)) :]
    layout.put(data, leaf, block)


def _flip(data: bytearray, layout: Layout, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _range(data: bytearray, rng: random.Random) -> tuple[int, int]:
    size = min(len(data) // 4, rng.choice([1, 4, 8, 32, 512, 4096]))
    at = rng.randrange(len(data) - size)
    return at, at + size


def _zero(data: bytearray, layout: Layout, rng: random.Random) -> None:
    first, last = _range(data, rng)
    data[first:last] = bytes(last - first)


def _copy(data: bytearray, layout: Layout, rng: random.Random) -> None:
    first, last = _range(data, rng)
    at = rng.randrange(len(data) - (last - first))
    data[at : at + last - first] = data[first:last]


def _swap(data: bytearray, layout: Layout, rng: random.Random) -> None:
    first, last = _range(data, rng)
    at = rng.randrange(len(data) - (last - first))
    data[at : at + last - first], data[first:last] = data[first:last], data[at : at + last - first]


def _insert(data: bytearray, layout: Layout, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice([1, 4, 8, 100]))


def _cut_out(data: bytearray, layout: Layout, rng: random.Random) -> None:
    first, last = _range(data, rng)
    del data[first:last]


def _truncate(data: bytearray, layout: Layout, rng: random.Random) -> None:
    del data[rng.choice([rng.randrange(len(data)), len(data) - rng.randint(1, 64)]) :]


_MUTATORS: list[Callable[[bytearray, Layout, random.Random], None]] = [
    _header,
    _zoom_header,
    _chromosome,
    _tree_header,
    _node,
    _index_item,
    _index_item,
    _swap_leaves,
    _drop_leaf,
    _section,
    _section,
    _section,
    _zoom_record,
    _flip,
    _zero,
    _copy,
    _swap,
    _insert,
    _cut_out,
    _truncate,
]
