"""Which sockets an application waits for, and in which sets: what epoll(7) is in Linux, for sockets of this engine.

    set         what epoll_create makes: a list of those that may be ready, and everything that was put into it
    interest    one socket, or another set, in one set: events asked for, and the application's word
    changed     sets to which something was added since it was last asked

An interest comes onto its set's ready list when the socket says that one of the events asked for has become so. Whoever
collects looks again at each: what is not so any more is left out; what is level-triggered goes back to the end of the
list; an edge waits for the next event; ONESHOT asks for nothing until it is changed. So fs/eventpoll.c of Linux.

A set inside another is ready when something in it is. Chains of sets are at most DEPTH long and never closed, so that
going up or down them is bounded.

Here: the tables, and what a socket does to them; interest_sets.py is what the application does.

Tables have limits and cost nothing until they are used; number 0 is nobody's. A socket keeps the first of its interests
and the events that any of them asks for. Left out: EPOLLWAKEUP does nothing.
"""

from __future__ import annotations

from pronghorn.compiled import (
    Array,
    View,
    array_at,
    fill,
    fixed,
    hot,
    leaf,
    load32,
    store8,
    store32,
    u16,
    u32,
    u64,
)
from pronghorn.memory.layout import Layout, lay

# events and flags of Linux's epoll (include/uapi/linux/eventpoll.h)
EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLERR, EPOLLHUP = 1, 2, 4, 8, 0x10
EPOLLRDNORM, EPOLLWRNORM, EPOLLWRBAND, EPOLLRDHUP = 0x40, 0x100, 0x200, 0x2000
EPOLLEXCLUSIVE, EPOLLWAKEUP, EPOLLONESHOT, EPOLLET = 1 << 28, 1 << 29, 1 << 30, 1 << 31
ALWAYS = EPOLLERR | EPOLLHUP
PRIVATE = EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET

# bits of Socket.events (endpoints.py) by what Linux's tcp_poll and datagram_poll say
READABLE = 1
KINDS = 64
_MASKS = (EPOLLIN | EPOLLRDNORM, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLPRI)
MASK_IN, MASK_OUT, MASK_RDHUP, MASK_HUP, MASK_ERR, MASK_PRI = _MASKS

# places in a Socket, whose address an interest keeps, and a kind of it
KIND, EVENTS, FIRST, ASKED = 0, 4, 36, 6
DATAGRAM = 3

# Interest.flags
LISTED = 1  # stands on the ready list
NESTED = 2  # `source` is a set

DEPTH = 5
"""Sets in a chain, at most (EP_MAX_NESTS of Linux and one)."""


class Interest(View, align=64, size=64):
    """One socket or set in a set."""

    word: u64  # the application's own
    source: u64  # address of the Socket, or of the EpollSet
    handle: u64  # how the application calls it
    events: u32  # asked for, with flags
    owner: u32  # the set
    ready_next: u32  # on the ready list
    ready_before: u32
    peer_next: u32  # with the same source; or the next free record
    peer_before: u32
    own_next: u32  # in the same set
    own_before: u32
    wanted: u16  # bits of Socket.events
    flags: u16
    unused: u32


class EpollSet(View, align=64, size=64):
    """What an application waits for at once."""

    generation: u32
    open: u32
    ready_first: u32
    ready_last: u32
    ready_count: u32
    first: u32  # of its interests
    parents: u32  # first of the interests in this set
    nested: u32  # interests of its own that are sets
    sleepers: u32  # threads that sleep on it, as far as we are told
    changed: u32  # 1: stands on the list of those that changed
    changed_next: u32  # or the next free record
    work_next: Array[u32] = fixed(2)  # two lists for walks
    working: u32  # stands on the first of these
    seen: u32  # stamp of the walk that was here last


class Interests(View, align=64):
    """The root, at Endpoints.interests."""

    interests: Array[Interest]
    sets: Array[EpollSet]
    limit: u32  # records of interests, number 0 counted
    fresh: u32
    free: u32
    set_limit: u32
    set_fresh: u32
    set_free: u32
    changed_first: u32
    changed_last: u32
    changed_count: u32
    stamp: u32
    stack: Array[u32] = fixed(DEPTH + 3)
    masks: Array[u32] = fixed(KINDS, align=64)  # EPOLL* by bits of Socket.events


@hot
def interests_lay(layout: Layout, interests: int, sets: int) -> int:
    """The address of a new root for so many; 0: no room."""
    own = Interests(lay(layout, Interests.SIZE, Interests.ALIGN))
    table = lay(layout, (interests + 1) * Interest.SIZE, Interest.ALIGN)
    epolls = lay(layout, (sets + 1) * EpollSet.SIZE, EpollSet.ALIGN)
    if layout.full != 0:
        return 0
    interests_open(own, table, interests + 1, epolls, sets + 1)
    return own.address


@hot
def interests_open(own: Interests, table: int, limit: int, sets: int, set_limit: int) -> None:
    """Fill in a root whose zeroed tables lie at these addresses."""
    fill(own.address, 0, Interests.SIZE)
    own.interests, own.limit, own.fresh = array_at(Interest, table), limit, 1
    own.sets, own.set_limit, own.set_fresh = array_at(EpollSet, sets), set_limit, 1
    for bits in range(KINDS):
        mask = (
            (MASK_IN if bits & 1 != 0 else 0)
            | (MASK_OUT if bits & 2 != 0 else 0)
            | (MASK_RDHUP if bits & 4 != 0 else 0)
        )
        mask |= (
            (MASK_HUP if bits & 8 != 0 else 0)
            | (MASK_ERR if bits & 16 != 0 else 0)
            | (MASK_PRI if bits & 32 != 0 else 0)
        )
        own.masks[bits] = mask


# --- what a socket does -----------------------------------------------------------------------------------------------


@hot
def interests_event(own: Interests, first: int, events: int) -> None:
    """A socket's events have become so: its interests, from `first` on, come onto the ready lists of their sets.

    Of those that are EXCLUSIVE it ends with the first on whose set somebody sleeps.
    """
    number = first
    while number != 0:
        interest = own.interests[number]
        if interest.wanted & events != 0:
            if interest.flags & LISTED == 0:
                list_ready(own, number)
            signal_set(own, interest.owner)
            if interest.events & EPOLLEXCLUSIVE != 0 and own.sets[interest.owner].sleepers != 0:
                return
        number = interest.peer_next


@hot
def interests_forget(own: Interests, first: int) -> None:
    """The source, whose first interest this is, is no more."""
    while first != 0:
        following = own.interests[first].peer_next
        interest_remove(own, first)
        first = following


@hot
def interest_remove(own: Interests, number: int) -> None:
    """The set is not interested any more."""
    gone = own.interests[number]
    epoll, head = own.sets[gone.owner], first_of(gone.source, gone.flags)
    if gone.flags & LISTED != 0:
        unlist_ready(own, number)
    if gone.own_next != 0:
        own.interests[gone.own_next].own_before = gone.own_before
    if gone.own_before != 0:
        own.interests[gone.own_before].own_next = gone.own_next
    else:
        epoll.first = gone.own_next
    if gone.peer_next != 0:
        own.interests[gone.peer_next].peer_before = gone.peer_before
    if gone.peer_before != 0:
        own.interests[gone.peer_before].peer_next = gone.peer_next
    else:
        store32(head, gone.peer_next)
    if gone.flags & NESTED != 0:
        epoll.nested -= 1
    elif load32(head) == 0:
        store8(gone.source + ASKED, 0)
    gone.owner, gone.peer_next = 0, own.free
    own.free = number


@leaf
def first_of(source: int, flags: int) -> int:
    """Address of the first interest's number, in a Socket or an EpollSet."""
    return source + (_PARENTS if flags & NESTED != 0 else FIRST)


_PARENTS = EpollSet.offset("parents")


# --- ready lists ------------------------------------------------------------------------------------------------------


@leaf
def list_ready(own: Interests, number: int) -> None:
    """To the end of the ready list."""
    interest = own.interests[number]
    epoll = own.sets[interest.owner]
    interest.flags |= LISTED
    interest.ready_next, interest.ready_before = 0, epoll.ready_last
    if epoll.ready_count == 0:
        epoll.ready_first, interest.ready_before = number, 0
    else:
        own.interests[epoll.ready_last].ready_next = number
    epoll.ready_last = number
    epoll.ready_count += 1


@leaf
def unlist_ready(own: Interests, number: int) -> None:
    interest = own.interests[number]
    epoll, following, before = own.sets[interest.owner], interest.ready_next, interest.ready_before
    interest.flags &= ~LISTED
    if before == 0:
        epoll.ready_first = following
    else:
        own.interests[before].ready_next = following
    if following == 0:
        epoll.ready_last = before
    else:
        own.interests[following].ready_before = before
    epoll.ready_count -= 1


@leaf
def signal_set(own: Interests, number: int) -> None:
    """Something was put on the set's ready list: it has changed, and so have the sets that it is in."""
    epoll = own.sets[number]
    if epoll.changed == 0:
        _tell(own, number)
    if epoll.parents != 0:
        _go_up(own, number)


@hot
def _tell(own: Interests, number: int) -> None:
    epoll = own.sets[number]
    epoll.changed, epoll.changed_next = 1, 0
    if own.changed_count == 0:
        own.changed_first = number
    else:
        own.sets[own.changed_last].changed_next = number
    own.changed_last = number
    own.changed_count += 1


@hot
def _go_up(own: Interests, number: int) -> None:
    """Every set that the set is in, at any depth."""
    work = number
    own.sets[work].work_next[0] = 0
    while work != 0:
        below = own.sets[work]
        work, below.working = below.work_next[0], 0
        place = below.parents
        while place != 0:
            interest = own.interests[place]
            epoll = own.sets[interest.owner]
            if interest.wanted & READABLE != 0:
                if interest.flags & LISTED == 0:
                    list_ready(own, place)
                if epoll.changed == 0:
                    _tell(own, interest.owner)
                if epoll.parents != 0 and epoll.working == 0:
                    epoll.work_next[0], epoll.working = work, 1
                    work = interest.owner
            place = interest.peer_next
