"""A hierarchical timer wheel (Varghese & Lauck, SOSP 1987, scheme 7): any number of timers, O(1) to add and to cancel.

Time is counted in ticks of the owner's choice, normally a millisecond. Level 0 has a slot for each of the next 256
ticks, level 1 one for each of the next 256 stretches of 256 ticks, and so on; four levels reach 2**32 ticks, 49 days,
and what is further away waits in the last slot and is placed again when that is reached. When time enters a stretch,
its slot's timers move down a level ("cascade"); each timer moves at most three times in its life.

A timer is a view inside the owner's records, at a fixed distance from each other, and is named by the record's index.
Timers of a slot form a doubly linked list of such names.

    wheel_advance(wheel, tick, expired, room)      # once per turn: indexes of expired timers, at most `room`

Rules:
* A turn is never stalled: a call does at most `room` expiries and `room` + 64 moves, and the next call goes on from
  there. The wheel is then behind the clock, never wrong: timers may be added and cancelled in between.
* The clock may jump. Empty slots are skipped by a bitmap, so an hour of nothing costs as much as one tick.
* A timer does not expire early. Within a tick there is no order.
* A timer that is moved with every packet is better left where it is: when it expires, the owner looks at its record
  and adds it again.
* After a restart the owner adds its timers again (`create_wheel` starts empty; `timer.previous = 0` marks an idle
  timer).
"""

from __future__ import annotations

from typing import Any

from pronghorn.compiled import Array, View, fill, fixed, hot, leaf, trailing_zeros, u32, u64
from pronghorn.memory.arena import Arena
from pronghorn.memory.layout import Layout, lay

SLOTS = 256
LEVELS = 4
REACH = 1 << 8 * LEVELS
_HEAD = 0x80000000
_MOVES = 64
_WORDS = SLOTS // 32


class Timer(View, align=8, size=16):
    """Embedded in the owner's record. All zero when idle."""

    expires: u64  # tick
    next: u32  # timer after this one in its slot, plus 1; 0 at the end
    previous: u32  # timer before it, plus 1, or 2**31 + the slot when it is the first; 0 when the timer is idle


class Wheel(View, align=64, size=4288):
    """One wheel. Written by its owner alone."""

    timers: u64  # address of timer 0
    stride: u64  # octets from one timer to the next
    tick: u64  # every timer up to this tick has been given out
    count: u64  # timers that wait
    words: Array[u32] = fixed(LEVELS * _WORDS, align=64)  # one bit per slot: it holds timers
    slots: Array[u32] = fixed(LEVELS * SLOTS, align=64)  # first timer, plus 1; 0 when empty


@leaf
def timer_at(wheel: Wheel, index: int) -> Timer:
    """The timer of record `index`."""
    return Timer(wheel.timers + index * wheel.stride)


@leaf
def timer_waits(wheel: Wheel, index: int) -> bool:
    """Whether the timer has been added and has neither expired nor been cancelled."""
    return timer_at(wheel, index).previous != 0


@hot
def timer_add(wheel: Wheel, index: int, tick: int) -> None:
    """Let the idle timer of record `index` expire at `tick`; at the next one when that is past."""
    timer_at(wheel, index).expires = tick
    wheel.count += 1
    _place(wheel, index, tick)


@hot
def timer_cancel(wheel: Wheel, index: int) -> bool:
    """Make the timer idle; False when it was."""
    if timer_at(wheel, index).previous == 0:
        return False
    _unlink(wheel, index)
    wheel.count -= 1
    return True


@hot
def timer_move(wheel: Wheel, index: int, tick: int) -> None:
    """Let the timer expire at `tick`, whether it waits already or not."""
    timer_cancel(wheel, index)
    timer_add(wheel, index, tick)


@hot
def wheel_advance(wheel: Wheel, tick: int, expired: Array[u32], room: int) -> int:
    """Go on to `tick`. Puts the indexes of up to `room` timers that expired into `expired`; returns how many."""
    count, moves = 0, room + _MOVES
    while wheel.tick < tick:
        now = min(wheel_next(wheel), tick)
        wheel.tick = now - 1  # nothing lies before it
        moves = _cascade(wheel, now, moves)
        if moves < 0:
            return count
        slot = now & (SLOTS - 1)
        while wheel.slots[slot] != 0:
            if count == room:
                return count
            index = wheel.slots[slot] - 1
            _unlink(wheel, index)
            wheel.count -= 1
            expired[count] = index
            count += 1
        wheel.tick = now
    return count


@hot
def wheel_next(wheel: Wheel) -> int:
    """The next tick at which there is something to do: no timer expires before it. Far away when none waits."""
    base = wheel.tick + 1
    nearest = base + REACH
    if wheel.count == 0:
        return nearest
    for level in range(LEVELS):
        shift = 8 * level
        aligned = (base >> shift) << shift == base
        # A stretch that has begun was cascaded; its slot now stands for the stretch 256 later.
        first = (base >> shift) + (0 if aligned else 1)
        distance = _distance(wheel, level, first & (SLOTS - 1))
        if distance < SLOTS:
            nearest = min(nearest, (first + distance) << shift)
    return nearest


@hot
def _distance(wheel: Wheel, level: int, slot: int) -> int:
    """Slots from `slot` to the first one on this level that holds timers, round the wheel; 256 when all are empty."""
    for step in range(_WORDS + 1):
        number = ((slot >> 5) + step) & (_WORDS - 1)
        word = wheel.words[level * _WORDS + number]
        if step == 0:
            word = word >> (slot & 31) << (slot & 31)
        if word != 0:
            distance = (number << 5) + trailing_zeros(word) - slot
            return distance if distance >= 0 else distance + SLOTS
    return SLOTS


@hot
def _cascade(wheel: Wheel, now: int, moves: int) -> int:
    """Place anew all timers of the stretches that begin at `now`. Returns the moves that are left; -1: not done yet."""
    level = LEVELS - 1
    while level > 0:
        if now & ((1 << 8 * level) - 1) == 0:
            slot = level * SLOTS + ((now >> 8 * level) & (SLOTS - 1))
            while wheel.slots[slot] != 0:
                if moves == 0:
                    return -1
                moves -= 1
                index = wheel.slots[slot] - 1
                _unlink(wheel, index)
                _place(wheel, index, timer_at(wheel, index).expires)
        level -= 1
    return moves


@hot
def _place(wheel: Wheel, index: int, tick: int) -> None:
    """Link the timer into the slot for `tick`, seen from the wheel's own time."""
    base = wheel.tick + 1
    tick = min(max(tick, base), base + REACH - 1)
    distance = tick - base
    level = 0
    while distance >= SLOTS:
        distance >>= 8
        level += 1
    slot = level * SLOTS + ((tick >> 8 * level) & (SLOTS - 1))
    first = wheel.slots[slot]
    timer = timer_at(wheel, index)
    timer.next = first
    timer.previous = _HEAD + slot
    if first != 0:
        timer_at(wheel, first - 1).previous = index + 1
    else:
        wheel.words[slot >> 5] |= 1 << (slot & 31)
    wheel.slots[slot] = index + 1


@hot
def _unlink(wheel: Wheel, index: int) -> None:
    """Take the timer out of its slot and make it idle."""
    timer = timer_at(wheel, index)
    following, previous = timer.next, timer.previous
    if following != 0:
        timer_at(wheel, following - 1).previous = previous
    if previous < _HEAD:
        timer_at(wheel, previous - 1).next = following
    else:
        slot = previous - _HEAD
        wheel.slots[slot] = following
        if following == 0:
            wheel.words[slot >> 5] &= ~(1 << (slot & 31))
    timer.next, timer.previous = 0, 0


@hot
def wheel_open(wheel: Wheel, timers: int, stride: int, tick: int) -> None:
    """Make the wheel empty, at `tick`, for the idle timers that begin at the address `timers`, `stride` apart."""
    fill(wheel.address, 0, Wheel.SIZE)
    wheel.timers, wheel.stride, wheel.tick = timers, stride, tick


@hot
def wheel_lay(layout: Layout, timers: int, stride: int, tick: int) -> int:
    """The address of a new wheel, opened with these; 0: no room."""
    wheel = lay(layout, Wheel.SIZE, Wheel.ALIGN)
    if layout.full != 0:
        return 0
    wheel_open(Wheel(wheel), timers, stride, tick)
    return wheel


def create_wheel(arena: Arena, name: str, timers: int, stride: int, tick: int, owner: int = -1) -> Wheel:
    """An empty wheel at `tick` in table `name`, for the timers that begin at the address `timers`, `stride` apart.

    All timers must be idle: a fresh table is; one of an earlier process needs `previous = 0` in each.
    """
    table: Array[Any] = arena.table(name, Wheel, 1, owner)
    wheel: Wheel = table[0]
    wheel_open(wheel, timers, stride, tick)
    return wheel
