"""What an application does with its interests (interests.py): sets, what is put into them, and what is ready.

A set has a handle, as a socket has one: SET, generation << 24, number. Chains of sets that are in each other are at
most DEPTH long and never closed.
"""

from __future__ import annotations

from pronghorn.compiled import fill, hot, leaf, load8, load32, store8, store32, store64
from pronghorn.state.interests import (
    ALWAYS,
    ASKED,
    DATAGRAM,
    DEPTH,
    EPOLLET,
    EPOLLIN,
    EPOLLONESHOT,
    EPOLLRDNORM,
    EPOLLWRBAND,
    EVENTS,
    KIND,
    KINDS,
    LISTED,
    MASK_IN,
    MASK_OUT,
    MASK_PRI,
    MASK_RDHUP,
    NESTED,
    PRIVATE,
    READABLE,
    EpollSet,
    Interest,
    Interests,
    first_of,
    interest_remove,
    interests_forget,
    list_ready,
    signal_set,
    unlist_ready,
)

SET = 1 << 60
"""What marks the handle of a set."""

_GENERATIONS = 24
_NUMBER = (1 << _GENERATIONS) - 1


# --- sets -------------------------------------------------------------------------------------------------------------


@leaf
def set_handle(own: Interests, number: int) -> int:
    """How an application calls the set."""
    return SET | own.sets[number].generation << _GENERATIONS | number


@leaf
def set_number(own: Interests, handle: int) -> int:
    """The number of an open set; 0: there is none."""
    number = handle & _NUMBER
    if handle & SET == 0 or handle < 0 or number >= own.set_fresh or number == 0:
        return 0
    found = own.sets[number]
    return number if found.open != 0 and found.generation == (handle & ~SET) >> _GENERATIONS else 0


@hot
def set_open(own: Interests) -> int:
    """A new set's number; 0: there are too many."""
    number = own.set_free
    if number != 0:
        own.set_free = own.sets[number].changed_next
    else:
        number = own.set_fresh
        if number >= own.set_limit:
            return 0
        own.set_fresh = number + 1
    made = own.sets[number]
    generation = made.generation
    fill(made.address, 0, EpollSet.SIZE)
    made.generation, made.open = generation, 1
    return number


@hot
def set_close(own: Interests, number: int) -> None:
    """The set is no more, in whichever sets it was; its handle is invalid from now on."""
    closed = own.sets[number]
    while closed.first != 0:
        interest_remove(own, closed.first)
    interests_forget(own, closed.parents)
    closed.open, closed.generation = 0, (closed.generation + 1) & 0x7FFF_FFFF
    if closed.changed == 0:
        _free_set(own, number)


@leaf
def _free_set(own: Interests, number: int) -> None:
    own.sets[number].changed_next = own.set_free
    own.set_free = number


@hot
def set_changed(own: Interests) -> int:
    """Take the next set that has changed off their list: its number; 0: none has."""
    while own.changed_count != 0:
        number = own.changed_first
        found = own.sets[number]
        own.changed_first = found.changed_next
        own.changed_count -= 1
        found.changed = 0
        if found.open != 0:
            return number
        _free_set(own, number)
    return 0


# --- interests --------------------------------------------------------------------------------------------------------


@hot
def interest_find(own: Interests, source: int, flags: int, owner: int, handle: int) -> int:
    """The interest of the set `owner` in the source; 0: it has none."""
    number = load32(first_of(source, flags))
    while number != 0:
        found = own.interests[number]
        if found.owner == owner and found.handle == handle:
            return number
        number = found.peer_next
    return 0


@leaf
def _wanted(events: int) -> int:
    """Bits of Socket.events that are asked for; ONESHOT, when it has been reported, asks for nothing."""
    if events & ~PRIVATE == 0:
        return 0
    wanted = (
        (1 if events & MASK_IN != 0 else 0)
        | (2 if events & MASK_OUT != 0 else 0)
        | (4 if events & MASK_RDHUP != 0 else 0)
    )
    return wanted | 8 | 16 | (32 if events & MASK_PRI != 0 else 0)


@hot
def interest_add(own: Interests, source: int, flags: int, owner: int, handle: int) -> int:
    """A new interest that asks for nothing yet; 0: there are too many."""
    number = own.free
    if number != 0:
        own.free = own.interests[number].peer_next
    else:
        number = own.fresh
        if number >= own.limit:
            return 0
        own.fresh = number + 1
    made, epoll = own.interests[number], own.sets[owner]
    fill(made.address, 0, Interest.SIZE)
    made.source, made.handle, made.owner, made.flags = source, handle, owner, flags
    made.own_next = epoll.first
    if epoll.first != 0:
        own.interests[epoll.first].own_before = number
    epoll.first = number
    epoll.nested += 1 if flags & NESTED != 0 else 0
    return number


@hot
def interest_place(own: Interests, number: int, last: bool) -> None:
    """Put a new interest among those of its source: first, or, if it is EXCLUSIVE, last, as Linux's queues have it."""
    made = own.interests[number]
    head = first_of(made.source, made.flags)
    following, before = load32(head), 0
    while last and following != 0:
        before = following
        following = own.interests[following].peer_next
    made.peer_next, made.peer_before = following, before
    if following != 0:
        own.interests[following].peer_before = number
    if before != 0:
        own.interests[before].peer_next = number
    else:
        store32(head, number)


@hot
def interest_change(own: Interests, number: int, events: int, word: int) -> None:
    """Ask for these events, always for errors too. What is so already is reported."""
    interest = own.interests[number]
    if interest.flags & NESTED != 0 or load8(interest.source + KIND) < DATAGRAM:
        events &= ~EPOLLWRBAND
    interest.events, interest.word = events | ALWAYS, word
    interest.wanted = _wanted(events | ALWAYS)
    if interest.flags & NESTED == 0:
        asked = interest.source + ASKED
        store8(asked, load8(asked) | interest.wanted)
    if interest_events(own, interest) != 0 and interest.flags & LISTED == 0:
        list_ready(own, number)
        signal_set(own, interest.owner)


# --- what is ready ----------------------------------------------------------------------------------------------------


@leaf
def interest_events(own: Interests, interest: Interest) -> int:
    """EPOLL* of what is so and asked for."""
    if interest.flags & NESTED != 0:
        ready = interest.wanted & READABLE != 0 and set_ready(own, _set_at(own, interest.source))
        return (EPOLLIN | EPOLLRDNORM) & interest.events if ready else 0
    return _socket_events(own, interest)


@leaf
def _socket_events(own: Interests, interest: Interest) -> int:
    return own.masks[load8(interest.source + EVENTS) & interest.wanted & (KINDS - 1)] & interest.events


@leaf
def _set_at(own: Interests, address: int) -> int:
    return (address - own.sets.address) // EpollSet.SIZE


@hot
def set_ready(own: Interests, number: int) -> bool:
    """Whether something in the set is ready; what is not, any more, leaves the ready list."""
    depth = 0
    own.stack[0] = number
    while True:
        epoll = own.sets[own.stack[depth]]
        if epoll.ready_count == 0:
            if depth == 0:
                return False
            depth -= 1
            unlist_ready(own, own.sets[own.stack[depth]].ready_first)
            continue
        interest = own.interests[epoll.ready_first]
        if interest.flags & NESTED != 0 and interest.wanted & READABLE != 0:
            depth += 1  # if something in there is ready, so is every set on the way
            own.stack[depth] = _set_at(own, interest.source)
        elif interest.flags & NESTED == 0 and _socket_events(own, interest) != 0:
            return True
        else:
            unlist_ready(own, epoll.ready_first)


@hot
def set_collect(own: Interests, number: int, target: int, room: int, stride: int) -> int:
    """Write what is ready to `target`: EPOLL* in the first 4 octets of every `stride`, and the word in the last 8.

    Those that are kept form a list of their own, which ends up behind those that there was no room for.
    """
    epoll, count, looked = own.sets[number], 0, 0
    place, kept_first, kept_last, kept = epoll.ready_first, 0, 0, 0
    while place != 0 and count < room:
        interest = own.interests[place]
        following, keep = interest.ready_next, False
        events = interest_events(own, interest)
        if events != 0:
            at = target + count * stride
            store32(at, events)
            store64(at + stride - 8, interest.word)
            count += 1
            keep = interest.events & (EPOLLET | EPOLLONESHOT) == 0
            if interest.events & EPOLLONESHOT != 0:
                interest.events &= PRIVATE
                interest.wanted = 0
        if keep:
            interest.ready_before, interest.ready_next = kept_last, 0
            if kept_last != 0:
                own.interests[kept_last].ready_next = place
            else:
                kept_first = place
            kept_last, kept = place, kept + 1
        else:
            interest.flags &= ~LISTED
        looked += 1
        place = following
    _put_back(own, epoll, place, epoll.ready_count - looked, kept_first, kept_last, kept)
    return count


@leaf
def _put_back(
    own: Interests, epoll: EpollSet, rest: int, left: int, kept_first: int, kept_last: int, kept: int
) -> None:
    """The ready list is now what is left of it, from `rest` on, and then what was kept."""
    epoll.ready_count = left + kept
    if left == 0:
        epoll.ready_first, epoll.ready_last = kept_first, kept_last
        return
    own.interests[rest].ready_before = 0
    epoll.ready_first = rest
    if kept != 0:
        last = epoll.ready_last
        own.interests[last].ready_next, own.interests[kept_first].ready_before = kept_first, last
        epoll.ready_last = kept_last


# --- chains of sets ---------------------------------------------------------------------------------------------------


@hot
def chain_above(own: Interests, number: int) -> int:
    """Sets in the longest chain from the set upwards, itself counted; no more than DEPTH + 1 are looked for."""
    return _chain(own, number, 0, 1)


@hot
def chain_below(own: Interests, number: int, avoid: int) -> int:
    """The same downwards; DEPTH + 1, too, if the set `avoid` is among them."""
    return _chain(own, number, avoid, 0)


@hot
def _chain(own: Interests, number: int, avoid: int, up: int) -> int:
    """Level by level: each set is looked at once on each."""
    level, current = 0, number
    own.sets[number].work_next[0] = 0
    while current != 0 and level <= DEPTH:
        following, side = 0, level & 1
        own.stamp = own.stamp + 1 & 0xFFFF_FFFF
        while current != 0:
            if current == avoid:
                return DEPTH + 1
            epoll = own.sets[current]
            place = epoll.parents if up != 0 else epoll.first if epoll.nested != 0 else 0
            while place != 0:
                interest = own.interests[place]
                other = interest.owner if up != 0 else 0
                if up == 0 and interest.flags & NESTED != 0:
                    other = _set_at(own, interest.source)
                if other != 0 and own.sets[other].seen != own.stamp:
                    own.sets[other].seen = own.stamp
                    own.sets[other].work_next[1 - side] = following
                    following = other
                place = interest.peer_next if up != 0 else interest.own_next
            current = epoll.work_next[side]
        current = following
        level += 1
    return level
