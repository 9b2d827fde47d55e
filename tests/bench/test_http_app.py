"""The HTTP server of the benchmarks: requests end where they end however they are cut, and clients are served."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.tcp.engines import Served, served
from bench.tcp.http_app import ENDING, RESPONSE, find_end, http_step
from bench.tcp.scenarios import clients, healthy
from pronghorn.compiled import mode

pieces = st.lists(st.text("\r\nax", max_size=9).map(str.encode), max_size=5)


@given(pieces)
def test_the_end_of_a_request_is_found_however_it_is_cut(cut: list[bytes]) -> None:
    seen, found, text = 0, [], b""
    for piece in cut:
        buffer = ctypes.create_string_buffer(piece, len(piece) + 1)
        place = 0
        while place < len(piece):
            place, seen = find_end(ctypes.addressof(buffer), place, len(piece), seen)
            if seen == ENDING:
                found.append(len(text) + place)
                seen = 0
        text += piece
    expected, start = [], 0
    while (place := text.find(b"\r\n\r\n", start)) >= 0:
        start = place + 4
        expected.append(start)
    assert found == expected


def test_the_response_is_whole() -> None:
    head, body = RESPONSE.split(b"\r\n\r\n")
    assert len(RESPONSE) == 148
    assert f"Content-Length: {len(body)}".encode() in head


def run(stage: Served, turns: int) -> None:
    for now in range(turns):
        stage.engine.turn(1_000_000_000 + now * 10_000)
        http_step(stage.worker, stage.app)


@pytest.mark.parametrize("closing", [0, 1])
def test_clients_are_served(closing: int) -> None:
    stage = served([clients(3, closing=closing, verify=1)], packets=512, conns=1024)
    with stage.engine:
        run(stage, 60 if mode() == "interpreted" else 300)
        healthy(stage)
        assert stage.app.requests > 20
        own = stage.clients[0].queue(0)
        if closing:
            assert own.begun == own.completed + 3
        else:
            assert own.responses == own.requests - 3
