"""Small ordered arrays against Python lists."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pronghorn.compiled import Array, array_at, load32, u32
from pronghorn.memory import Arena
from pronghorn.memory.blocks import Blocks, blocks_insert, blocks_open, blocks_remove


def contents(blocks: Blocks, first: int, length: int) -> list[int]:
    elements: Array[int] = array_at(u32, blocks.base)
    return [elements[first + k] for k in range(length)]


def free_elements(blocks: Blocks) -> int:
    total = 0
    for size in range(7):
        number = blocks.free[size]
        while number:
            total += 1 << size
            number = load32(blocks.base + number * blocks.octets)
    return total


@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 63)), max_size=300),
    limit=st.sampled_from([1, 2, 40, 5000]),
)
def test_against_lists(steps: list[tuple[bool, int, int]], limit: int) -> None:
    with Arena.create(limit=1 << 26) as arena:
        blocks: Blocks = arena.table("blocks", Blocks, 1)[0]
        elements = arena.table("elements", u32, limit)
        blocks_open(blocks, elements.address, 4, limit)
        firsts, models = [0] * 4, [list[int]() for _ in range(4)]
        for number, (insert, which, place) in enumerate(steps):
            model, first = models[which], firsts[which]
            if insert and len(model) < 64:
                place = min(place, len(model))
                first = blocks_insert(blocks, first, len(model), place)
                if first:
                    assert elements[first + place] == 0
                    elements[first + place] = number + 1
                    model.insert(place, number + 1)
                    firsts[which] = first
                else:
                    assert limit < 5000, "there is room"
            elif model and not insert:
                place = min(place, len(model) - 1)
                firsts[which] = blocks_remove(blocks, first, len(model), place)
                del model[place]
            for model, first in zip(models, firsts, strict=True):
                assert contents(blocks, first, len(model)) == model
        for model, first in zip(models, firsts, strict=True):
            while model:
                first = blocks_remove(blocks, first, len(model), len(model) - 1)
                model.pop()
            assert first == 0
        assert free_elements(blocks) == blocks.fresh - 1, "nothing is lost"


def test_array_that_cannot_move_shrinks_in_place(arena: Arena) -> None:
    blocks: Blocks = arena.table("blocks", Blocks, 1)[0]
    elements = arena.table("elements", u32, 9)
    blocks_open(blocks, elements.address, 4, 9)
    first = 0
    for length in range(4):
        first = blocks_insert(blocks, first, length, length)
        elements[first + length] = length
    assert blocks_insert(blocks, first, 4, 4) == 0, "no room for 8"
    singles = [blocks_insert(blocks, 0, 0, 0) for _ in range(5)]
    assert sorted(singles) == [0, 1, 2, 3, 8], "everything else is used up"
    assert blocks_remove(blocks, first, 4, 0) == first
    assert blocks_remove(blocks, first, 3, 0) == first
    assert contents(blocks, first, 2) == [2, 3]
    assert sorted(blocks_insert(blocks, 0, 0, 0) for _ in range(3)) == [0, first + 2, first + 3]
