"""What [tcp] and [udp] say, in a program's engine: the same ranges as the model's, all of it or nothing."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest
from annotated_types import Ge, Le

from pronghorn.compiled import bounds
from pronghorn.control.model import Tcp, Udp
from pronghorn.control.native_sockets import NUMBERS, write_tcp, write_udp
from pronghorn.engine.calls import get_option, set_option, socket
from pronghorn.engine.settings import Settings, engine_settings, engine_settings_now
from pronghorn.state import linux
from pronghorn.state.endpoints import STREAM
from tests.engine.links import Link, Program, octets_at

pytestmark = pytest.mark.skipif(bounds.ENABLED, reason="an attached engine's memory is not known to the bounds check")

EINVAL = -errno.EINVAL


class Asked:
    """One engine's settings."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.settings: Settings = program.room.view(Settings)
        engine_settings_now(program.worker, self.settings)

    def apply(self, **values: int) -> int:
        for name, value in values.items():
            setattr(self.settings, name, value)
        return engine_settings(self.program.worker, self.settings)

    def now(self) -> dict[str, int]:
        found: Settings = self.program.room.view(Settings)
        engine_settings_now(self.program.worker, found)
        return {name: getattr(found, name) for name in Settings.FIELDS}


@pytest.fixture
def asked() -> Iterator[Asked]:
    link = Link()
    program = Program(link, 0, "192.0.2.1/24")
    assert program.attach().address != 0
    yield Asked(program)
    program.detach()
    link.close()


def ranges() -> list[tuple[str, int, int]]:
    """Fields with a least and a most, from the model."""
    found = []
    for model, prefix in ((Tcp, ""), (Udp, "udp_")):
        for name, field in model.model_fields.items():
            least = [each.ge for each in field.metadata if isinstance(each, Ge)]
            most = [each.le for each in field.metadata if isinstance(each, Le)]
            if least:
                low: Any = least[0]
                high: Any = most[0]
                found.append((prefix + name, int(low), int(high)))
    return found


def test_every_range_is_the_models(asked: Asked) -> None:
    checked = ranges()
    assert len(checked) > 15
    asked.apply(memory_low=1, memory_pressure=50, memory_high=100)
    for name, least, most in checked:
        before = getattr(asked.settings, name)
        alone = not name.startswith("memory_")
        for value, good in ((least, alone), (most, alone), (most + 1, False), (least - 1, False)):
            if 0 <= value < 1 << 32 and (good or not least <= value <= most):
                assert asked.apply(**{name: value}) == (0 if good else EINVAL), (name, value)
                if not good:
                    assert asked.settings.wrong == Settings.offset(name)
        assert asked.apply(**{name: before}) == 0


def test_the_models_defaults_are_the_engines(asked: Asked) -> None:
    wanted: Settings = asked.program.room.view(Settings)
    write_tcp(wanted, Tcp())
    write_udp(wanted, Udp())
    now = asked.now()
    for name in Settings.FIELDS:
        if name not in ("size", "version", "port_low", "port_high"):
            assert now[name] == getattr(wanted, name), name
    assert now["size"] == Settings.SIZE


def test_everything_that_is_set_holds(asked: Asked) -> None:
    wanted = {
        "congestion": NUMBERS["congestion"]["bbr"], "initial_window": 20, "ecn": 1, "syncookies": 2, "fast_open": 3,
        "timestamps": 0, "sack": 0, "window_scaling": 0, "time_wait": 5, "time_wait_limit": 100, "mtu_probing": 1,
        "time_wait_reuse": 0, "receive_buffer": 5000, "receive_max": 6000, "send_buffer": 7000, "send_max": 8000,
        "memory_low": 10, "memory_pressure": 20, "memory_high": 30, "keep_idle": 1, "keep_interval": 2,
        "keep_count": 3, "syn_retries": 4, "retries": 5, "fin_timeout": 6, "challenge_limit": 7,
        "udp_receive_buffer": 9000, "udp_send_buffer": 10_000, "port_low": 2000, "port_high": 3000,
    }  # fmt: skip
    assert asked.apply(**wanted) == 0
    now = asked.now()
    assert {name: now[name] for name in wanted} == wanted
    assert set(Settings.FIELDS) - set(wanted) == {"size", "version", "wrong", "unused"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"congestion": 77},
        {"ecn": 3},
        {"port_high": 1023},
        {"port_low": 40_000, "port_high": 39_999},
        {"memory_pressure": 40, "memory_low": 41},
        {"memory_high": 60, "memory_pressure": 61},
    ],
)
def test_what_cannot_be_changes_nothing(asked: Asked, wrong: dict[str, int]) -> None:
    before = asked.now()
    assert asked.apply(keep_idle=77, **wrong) == EINVAL
    assert asked.settings.wrong == Settings.offset(next(iter(wrong)) if "port_low" not in wrong else "port_high")
    assert asked.now() == before


def test_a_socket_has_what_is_usual(asked: Asked) -> None:
    assert asked.apply(keep_idle=61) == 0
    worker, room = asked.program.worker, asked.program.room.octets(16)
    handle = socket(worker, 4, STREAM)
    assert get_option(worker, handle, linux.SOL_TCP, linux.TCP_KEEPIDLE, room, 4) == 4
    assert int.from_bytes(octets_at(room, 4), "little") == 61
    assert (
        set_option(worker, handle, linux.SOL_TCP, linux.TCP_KEEPIDLE, asked.program.room.octets(b"\x05\0\0\0"), 4) == 0
    )
