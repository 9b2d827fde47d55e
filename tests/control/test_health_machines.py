"""The state machines of health on a virtual clock: checks, traffic, quorum; and the texts that they are told in."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.control.endpoint import parse_address
from pronghorn.control.health.agents import read_words, valid_words, weight_of
from pronghorn.control.health.dest_check import read_dest_check
from pronghorn.control.health.durations import duration, milliseconds
from pronghorn.control.health.messages import Order, orders, read_orders, read_tracks, tracks
from pronghorn.control.health.passive import Counters, Watch
from pronghorn.control.health.quorum import is_enough
from pronghorn.control.health.settings import Check, Passive
from pronghorn.control.health.track import Track, begun, pace_of, read_track


def check(**values: Any) -> Check:
    return Check.model_validate({"type": "tcp", **values})


def states(one: Check, results: str) -> str:
    """The state after each result, "+" passed and "-" failed; U up, D down."""
    track, pace, found = begun(one, 0.0), pace_of(one), ""
    for second, passed in enumerate(results):
        track.result(pace, second, passed == "+", "refused")
        found += "U" if track.up else "D"
    return found


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ("++-+--+---+-+++", "UUUUUUUUUDDDDUU"),  # fall 3, rise 2: only in a row
        ("-+-++--+---", "UUUUUUUUUUD"),
        ("---+-++", "UUDDDDU"),
    ],
)
def test_results_in_a_row_change_the_state(results: str, expected: str) -> None:
    assert states(check(rise=2, fall=3), results) == expected


def test_an_agent_counts_at_once() -> None:
    assert states(check(type="agent", rise=5, fall=5), "+-+-") == "UDUD"


def test_what_is_counted() -> None:
    track, pace = begun(check(), 100.0), pace_of(check())
    assert states(check(start="down", rise=3), "+-+") == "UUU"  # a first good result decides alone
    assert states(check(start="down", rise=3), "-+++") == "DDDU"
    assert (track.up, track.since, begun(check(start="down"), 0.0).up) == (True, 100.0, False)
    for second, passed in enumerate((True, False, False, False, False, True, True)):
        track.result(pace, 101.0 + second, passed, "refused", 0.5)
    assert (track.ok, track.failed, track.ups, track.downs) == (3, 4, 1, 1)
    assert (track.since, track.checked, track.took, track.error) == (107.0, 107.0, 0.5, "")
    track.result(pace, 108.0, False, "x" * 10_000)
    assert (track.up, track.streak, len(track.error)) == (True, 1, 200)


def test_what_strangers_say_is_fit_to_be_shown() -> None:
    track = begun(check(), 0.0)
    track.result(pace_of(check()), 0.0, False, "status 500 \x1b[2Jgone\n")
    assert track.error == "status 500 ?[2Jgone?"
    assert read_track({"error": "a\x07b" + "c" * 500}).error == "a?b" + "c" * 197


def test_intervals_follow_the_state() -> None:
    one = check(interval="4s", fast_interval="1s", down_interval="5s", down_interval_max="1m", rise=2, fall=2)
    track, pace, found = begun(one, 0.0), pace_of(one), []
    for passed in (True, False, False, False, False, False, False, False, True, True, True):
        track.result(pace, 0.0, passed)
        found.append(track.delay(pace))
    assert found == [4, 1, 5, 10, 20, 40, 60, 60, 1, 4, 4]


def test_a_success_ends_the_doubling() -> None:
    one = check(interval="1s", down_interval_max="1h", rise=3, fall=1)
    track, pace = begun(one, 0.0), pace_of(one)
    for passed in (False, False, False, True, False):
        track.result(pace, 0.0, passed)
    assert track.delay(pace) == pace.interval * 8  # a lonely success changes nothing


def test_an_interval_is_the_same_without_more_settings() -> None:
    pace = pace_of(check(interval="3s"))
    assert (pace.interval, pace.fast, pace.down, pace.down_max) == (3, 3, 3, 3)


@given(st.lists(st.booleans()), st.integers(1, 4), st.integers(1, 4))
def test_a_track_agrees_with_the_words(results: list[bool], rise: int, fall: int) -> None:
    """The last results in a row, taken literally."""
    track, pace = begun(check(rise=rise, fall=fall), 0.0), pace_of(check(rise=rise, fall=fall))
    up = True
    for count, passed in enumerate(results, 1):
        track.result(pace, 0.0, passed)
        before = results[:count]
        if not up and before[-rise:] == [True] * rise:
            up = True
        elif up and before[-fall:] == [False] * fall:
            up = False
        assert track.up == up
        assert read_track(json.loads(json.dumps(asdict(track)))) == track


# --- traffic ----------------------------------------------------------------------------------------------------------


def looks(watch: Watch, *steps: tuple[float, int, int]) -> list[str]:
    """The state after each look: time, connections and failures so far."""
    found = []
    for now, connections, failures in steps:
        watch.look(now, Counters(connections, refused=failures))
        found.append(watch.state)
    return found


def passive(**values: Any) -> Watch:
    return Watch(Passive.model_validate({"inhibit": "5s", "inhibit_max": "20s", **values}))


def test_failures_within_the_window_make_it_down() -> None:
    watch = passive(failures=3, window="10s")
    assert looks(watch, (0, 5, 5), (1, 7, 7), (12, 8, 8), (13, 9, 9), (14, 10, 10)) == ["up", "up", "up", "up", "down"]
    assert (watch.downs, watch.until) == (1, 19)
    assert "3 connections failed (10 refused" in watch.error


def test_inhibition_doubles_and_halves() -> None:
    watch, connections, failures, now, found = passive(), 0, 0, 0.0, []
    watch.look(now, Counters())
    for _ in range(4):  # it fails each time that it is tried
        failures += 1
        watch.look(now, Counters(connections, failures))
        assert watch.state == "down"
        found.append(watch.until - now)
        assert not watch.look(watch.until - 0.1, Counters(connections, failures))
        now = watch.until
        assert watch.look(now, Counters(connections, failures))
        assert (watch.state, watch.is_up) == ("probation", True)
    assert found == [5, 10, 20, 20]
    watch.look(now, Counters(connections + 1, failures))
    assert (watch.state, watch.inhibition, watch.downs, watch.ups) == ("up", 10, 4, 1)


def test_good_connections_confirm() -> None:
    watch = passive(confirm=3)
    assert looks(watch, (0, 0, 0), (1, 1, 1), (6, 1, 1), (7, 3, 1), (8, 4, 1)) == [
        "up",
        "down",
        "probation",
        "probation",
        "up",
    ]


def test_counters_that_begin_anew_are_no_failures() -> None:
    assert looks(passive(), (0, 100, 50), (1, 0, 0), (2, 10, 0)) == ["up", "up", "up"]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 5), st.integers(0, 3))))
def test_an_inhibition_is_kept_within_its_limits(steps: list[tuple[int, int, int]]) -> None:
    watch, now, connections, failures = passive(), 0.0, 0, 0
    for wait, opened, failed in steps:
        now, connections, failures = now + wait, connections + opened, failures + failed
        before = watch.until
        watch.look(now, Counters(connections, failures))
        assert 5 <= watch.inhibition <= 20
        assert watch.until == before or 5 <= watch.until - now <= 20


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([3, 2, 1, 0, 1, 2, 3, 1], [True, True, True, False, False, False, True, True])],
)
def test_quorum_has_hysteresis(weights: list[int], expected: list[bool]) -> None:
    found, enough = [], True
    for weight in weights:
        enough = is_enough(enough, weight, quorum=2, hysteresis=1)
        found.append(enough)
    assert found == expected


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("up\n", {"state": "up"}),
        ("down #maintenance of disks\r\n", {"state": "down", "note": "maintenance of disks"}),
        ("stopped", {"state": "down"}),
        ("FAIL", {"state": "down"}),
        ("75%", {"percent": 75}),
        ("ready, up\t120%", {"state": "up", "admin": "ready", "percent": 120}),
        ("drain maxconn:30", {"admin": "drain"}),
        ("maint", {"admin": "maint"}),
    ],
)
def test_agents_are_understood(line: str, words: dict[str, Any]) -> None:
    assert read_words(line) == words == valid_words(words)


@pytest.mark.parametrize("line", ["", "\n", "sideways", "-5%", "1000000%", "up sideways", "#only words"])
def test_agents_that_say_something_else_are_not(line: str) -> None:
    with pytest.raises(ValueError, match="the agent"):
        read_words(line)


@pytest.mark.parametrize("words", [{"percent": True}, {"percent": -1}, {"state": "x"}, {"more": 1}, {"note": 1}])
def test_words_over_the_border_are_checked(words: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no answer"):
        valid_words(words)


def test_percents_of_a_weight() -> None:
    assert [weight_of(10, percent) for percent in (None, 0, 1, 50, 100, 200)] == [10, 0, 1, 5, 10, 20]
    assert (weight_of(0, 100), weight_of(65_535, 200)) == (0, 65_535)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("disable", None),
        ("default", Passive()),
        ("tcp", Check(type="tcp")),
        ("ping", Check(type="ping")),
        (
            "3,2,10s,5-60s",
            Passive(
                failures=3, window=duration(10_000), confirm=2, inhibit=duration(5_000), inhibit_max=duration(60_000)
            ),
        ),
        ("2,4", Passive(failures=2, window=duration(4_000))),
    ],
)
def test_dest_check_words(text: str, expected: Any) -> None:
    assert read_dest_check(text) == expected


@pytest.mark.parametrize("text", ["", "sctp", "1,2,3", "1,1,3s,60-5s", "x,2"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"inhibition|DOWN_RETRY"):
        read_dest_check(text)


@given(st.integers(1, 10**9))
def test_durations_have_a_shortest_form(value: int) -> None:
    text = duration(value)
    assert milliseconds(text) == value
    assert duration(milliseconds(text)) == text


def test_orders_and_tracks_come_back() -> None:
    order = Order(check(expect="x", headers=[]), parse_address("fd00::1"), 80, "web", "a")
    track = Track(up=False, known=True, error="why", words={"percent": 5})
    given = dict.fromkeys(range(600), (order, track))
    lines = [read_orders(line) for line in orders(given, [3]).splitlines()]
    assert [unwanted for _, unwanted in lines] == [[3], [], [], []]
    assert {number: one for wanted, _ in lines for number, one in wanted.items()} == given
    told = [read_tracks(line) for line in tracks(dict.fromkeys(range(300), track)).splitlines()]
    assert [len(line) for line in told] == [256, 44]
    assert read_tracks(tracks({})) == {}
    assert read_tracks(tracks({7: track})) == {7: track}


BAD = [
    b"",
    b"[]",
    b"{}",
    b'{"tracks": 5}',
    b'{"tracks": [5]}',
    b'{"tracks": [["a", {}]]}',
    b'{"tracks": [[true, {}]]}',
    b'{"tracks": [[1, {"up": 1}]]}',
    b'{"tracks": [[1, {"ok": true}]]}',
    b'{"tracks": [[1, {"ok": -1}]]}',
    b'{"tracks": [[1, {"since": NaN}]]}',
    b'{"tracks": [[1, {"since": 1e300}]]}',
    b'{"tracks": [[1, {"error": 5}]]}',
    b'{"tracks": [[1, {"other": 5}]]}',
    b'{"tracks": [[1, 5]]}',
]


@pytest.mark.parametrize("line", BAD)
def test_what_cannot_be_true_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_tracks(line)
