"""Congestion controls by the names that TCP_CONGESTION uses: up to eight letters, compared as one word."""

from __future__ import annotations

from pronghorn.compiled import fill, hot, load8, store8
from pronghorn.tcp.congestion import BBR, CUBIC, NEWRENO

RENO_NAME = int.from_bytes(b"reno", "little")
CUBIC_NAME = int.from_bytes(b"cubic", "little")
BBR_NAME = int.from_bytes(b"bbr", "little")
LETTERS = 7


@hot
def congestion_of_name(name: int, octets: int) -> int:
    """The number of the congestion control whose name is at the address `name`; -1: there is none."""
    word = 0
    for place in range(min(octets, LETTERS)):
        letter = load8(name + place)
        if letter == 0:
            break
        word |= letter << 8 * place
    if word == RENO_NAME:
        return NEWRENO
    if word == CUBIC_NAME:
        return CUBIC
    return BBR if word == BBR_NAME else -1


@hot
def name_of_congestion(number: int, target: int, octets: int) -> int:
    """Write the name to `octets` at `target`, cut or filled up with zeros; returns how many."""
    fill(target, 0, octets)
    word = CUBIC_NAME if number == CUBIC else BBR_NAME if number == BBR else RENO_NAME
    for place in range(min(octets, LETTERS)):
        store8(target + place, word >> 8 * place & 0xFF)
    return octets
