"""Memory of streams that is lent to the application: octets to be sent, written where they will wait, and octets that
have come, read where they lie.

A socket has one loan of each direction at most. A loan that is out when its socket is closed stays good until it is
given back by its address, or the engine ends: the memory is nobody else's for so long (memory/stream.py).
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, array_at, fill, hot, leaf, u32, u64
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.layout import Layout, lay
from pronghorn.memory.stream import Stream, stream_lend, stream_piece, stream_returned

PAIRS = 65_535
"""Sockets that can have loans out at the same time, at most: a socket's 16 bits name its pair."""

SENDING, READING = 0, 1


class Loan(View, align=8, size=48):
    """Octets that lie in one piece."""

    start: u64  # address of the first; 0: nothing is lent
    stream: u64  # address of the Stream
    block: u32  # of its memory then
    order: u32
    position: u32  # of the first octet in the stream
    octets: u32
    skipped: u32  # octets before them that the application is not to see
    next: u32  # of a pair's first: pair after this one among the free, or of those whose sockets are closed
    unused: u64


class Loans(View, align=64, size=64):
    """The root, at Endpoints.loans."""

    loans: Array[Loan]  # pairs: SENDING, READING; pair 0 is nobody's
    limit: u32  # pairs
    fresh: u32
    free: u32
    left: u32  # first pair whose socket is closed
    count: u32  # loans that are out


@hot
def loans_lay(layout: Layout, pairs: int) -> int:
    """The address of a new root for so many; 0: no room."""
    own = Loans(lay(layout, Loans.SIZE, Loans.ALIGN))
    table = lay(layout, 2 * (pairs + 1) * Loan.SIZE, 64)
    if layout.full != 0:
        return 0
    loans_open(own, table, pairs)
    return own.address


@hot
def loans_open(own: Loans, table: int, pairs: int) -> None:
    """Fill in a root whose table, of one pair more, lies at the address."""
    fill(own.address, 0, Loans.SIZE)
    own.loans, own.limit, own.fresh = array_at(Loan, table), pairs + 1, 1


@leaf
def loan_at(own: Loans, pair: int, side: int) -> Loan:
    """The loan of one side; its `start` says whether it is out."""
    return own.loans[2 * pair + side]


@leaf
def is_lent(own: Loans, pair: int, side: int) -> bool:
    """Whether the pair (0: none) has a loan of the side out."""
    return pair != 0 and own.loans[2 * pair + side].start != 0


@hot
def pair_take(own: Loans) -> int:
    """A pair with nothing lent; 0: there are too many."""
    number = own.free
    if number != 0:
        own.free = own.loans[2 * number].next
    else:
        number = own.fresh
        if number >= own.limit:
            return 0
        own.fresh = number + 1
    own.loans[2 * number].start, own.loans[2 * number + 1].start = 0, 0
    return number


@hot
def loan_begin(
    own: Loans, buddy: Buddy, pair: int, side: int, stream: Stream, position: int, octets: int, skipped: int
) -> int:
    """Lend up to `octets` at `position` of the stream, as many as lie in one piece: how many."""
    loan = own.loans[2 * pair + side]
    start, piece = stream_piece(buddy, stream, position, octets)
    loan.start, loan.octets, loan.position, loan.skipped = start, piece, position, skipped
    loan.stream, loan.block, loan.order = stream.address, stream.block, stream_lend(stream)
    own.count += 1
    return piece


@hot
def loan_end(own: Loans, buddy: Buddy, pair: int, side: int) -> int:
    """The loan is given back. The pair; 0: nothing of it is out any more, and it is nobody's."""
    loan = own.loans[2 * pair + side]
    stream_returned(buddy, Stream(loan.stream), loan.block, loan.order)
    loan.start = 0
    own.count -= 1
    if own.loans[2 * pair + 1 - side].start != 0:
        return pair
    own.loans[2 * pair].next = own.free
    own.free = pair
    return 0


@leaf
def loan_is_here(loan: Loan) -> bool:
    """Whether the stream still has the memory that was lent."""
    return Stream(loan.stream).block == loan.block


@hot
def loans_leave(own: Loans, pair: int) -> None:
    """The pair's socket is closed."""
    own.loans[2 * pair].next = own.left
    own.left = pair


@hot
def loan_left(own: Loans, buddy: Buddy, start: int) -> bool:
    """Give back the loan at this address, whose socket is closed. False: there is none."""
    before, pair = 0, own.left
    while pair != 0:
        following = own.loans[2 * pair].next
        for side in range(2):
            if own.loans[2 * pair + side].start == start:
                if own.loans[2 * pair + 1 - side].start == 0:
                    if before == 0:
                        own.left = following
                    else:
                        own.loans[2 * before].next = following
                loan_end(own, buddy, pair, side)
                return True
        before, pair = pair, following
    return False
