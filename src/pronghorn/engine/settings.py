"""What [tcp], [udp] and the ports of [sockets] say in a configuration, for one worker: the same for Python and for C.

    engine_settings_now(worker, settings)          # all that holds
    settings.keep_idle = 60
    engine_settings(worker, settings)              # all at once, or nothing: -EINVAL, and settings.wrong

Fields are named as the keys of control/model.py, and have the same ranges and units; what is a name there is a number
here. A change holds for new sockets and connections; keep-alive, retries, `fin_timeout` and `time_wait` also for open
ones that have set none of their own. How many sockets there may be is decided when an engine is made.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import View, constants, entry, hot, leaf, load32, u32
from pronghorn.memory.buddy import Buddy
from pronghorn.state.endpoints import endpoints_of
from pronghorn.state.worker import Worker
from pronghorn.tcp.congestion import BBR, CUBIC, NEWRENO
from pronghorn.tcp.tcb import SECOND, Tcp, tcp_of
from pronghorn.udp.endpoint import udp_of

EINVAL = errno.EINVAL
VERSION = 1

constants("Of Settings.", "SETTINGS", VERSION=VERSION)
constants("Congestion controls, in Settings.", "CONGESTION", CUBIC=CUBIC, RENO=NEWRENO, BBR=BBR)


class Settings(View, align=8):
    """How an engine's endpoints behave unless a socket asks otherwise."""

    size: u32  # of this structure; written by engine_settings_now, with `version`
    version: u32
    wrong: u32  # written by engine_settings: offset of the field that is out of range
    congestion: u32  # PRONGHORN_CONGESTION_CUBIC, ..._RENO or ..._BBR
    initial_window: u32  # segments, 1 to 1000
    ecn: u32  # 0 off, 1 on, 2 passive
    syncookies: u32  # 0 off, 1 when a backlog is full, 2 always
    fast_open: u32  # 0 off, 1 client, 2 server, 3 both
    timestamps: u32  # 0 or 1; the following two likewise
    sack: u32
    window_scaling: u32
    time_wait: u32  # s, 1 to 3600
    time_wait_limit: u32  # connections, at most 262144
    mtu_probing: u32  # 0 or 1; the following likewise
    time_wait_reuse: u32
    receive_buffer: u32  # octets, 2304 to 8388608; the following three likewise
    receive_max: u32
    send_buffer: u32
    send_max: u32
    memory_low: u32  # percent of the buffer memory, 1 to 100; the following two likewise
    memory_pressure: u32
    memory_high: u32
    keep_idle: u32  # s, 1 to 32767
    keep_interval: u32  # s, 1 to 32767
    keep_count: u32  # 1 to 127
    syn_retries: u32  # 1 to 127
    retries: u32  # 1 to 255
    fin_timeout: u32  # s, 1 to 2000000
    challenge_limit: u32  # a second, 1 to 1000000000
    udp_receive_buffer: u32  # octets, 2304 to 8388608
    udp_send_buffer: u32  # the same
    port_low: u32  # ports of sockets that ask for none, 1024 to 65535
    port_high: u32
    unused: u32


@entry
def engine_settings_now(worker: Worker, settings: Settings) -> None:
    """Write what holds."""
    tcp, udp = tcp_of(worker), udp_of(worker)
    usual, octets = tcp.tunings[0], Buddy(endpoints_of(worker).buddy).limit
    settings.size, settings.version, settings.wrong, settings.unused = Settings.SIZE, VERSION, 0, 0
    settings.congestion, settings.initial_window = tcp.congestion, tcp.initial_window
    settings.ecn, settings.syncookies, settings.fast_open = tcp.ecn, tcp.syncookies, tcp.fast_open & 3
    settings.timestamps, settings.sack, settings.window_scaling = tcp.timestamps, tcp.sack, tcp.window_scaling
    settings.time_wait, settings.time_wait_limit = tcp.time_wait_ns // SECOND, tcp.waiting_limit
    settings.mtu_probing, settings.time_wait_reuse = tcp.mtu_probing, tcp.time_wait_reuse
    settings.receive_buffer, settings.receive_max = usual.receive_limit, tcp.receive_max
    settings.send_buffer, settings.send_max = usual.send_limit, tcp.send_max
    settings.memory_low = _percent(tcp.memory_low, octets)
    settings.memory_pressure = _percent(tcp.memory_pressure, octets)
    settings.memory_high = _percent(tcp.memory_high, octets)
    settings.keep_idle, settings.keep_interval = usual.keep_idle, usual.keep_interval
    settings.keep_count, settings.syn_retries, settings.retries = usual.keep_count, usual.syn_retries, usual.retries
    settings.fin_timeout, settings.challenge_limit = usual.fin_timeout, tcp.challenge_limit
    settings.udp_receive_buffer, settings.udp_send_buffer = udp.receive_limit, udp.send_limit
    settings.port_low, settings.port_high = tcp.port_low, tcp.port_high


@leaf
def _percent(part: int, whole: int) -> int:
    return (100 * part + whole // 2) // max(whole, 1)


@entry
def engine_settings(worker: Worker, settings: Settings) -> int:
    """Let all of it hold from now on. -EINVAL: a field is out of range, `wrong` says which, and nothing has changed."""
    return settings_apply(worker, settings, Buddy(endpoints_of(worker).buddy).limit)


@entry
def settings_apply(worker: Worker, settings: Settings, octets: int) -> int:
    """The same; percents are of so many octets of buffers, and those limits stay as they are when it is 0."""
    settings.wrong = _look(settings)
    if settings.wrong != 0:
        return -EINVAL
    _apply(worker, settings, octets)
    return 0


# --- ranges -------------------------------------------------------------------------------------------------------

_LEAST, _MOST = 2304, 8_388_608  # octets of a buffer
_SIZE, _VERSION, _CONGESTION = map(Settings.offset, ("size", "version", "congestion"))
_INITIAL_WINDOW, _ECN, _SYNCOOKIES, _FAST_OPEN, _TIMESTAMPS = map(
    Settings.offset, ("initial_window", "ecn", "syncookies", "fast_open", "timestamps")
)
_SACK, _WINDOW_SCALING, _TIME_WAIT, _TIME_WAIT_LIMIT, _MTU_PROBING = map(
    Settings.offset, ("sack", "window_scaling", "time_wait", "time_wait_limit", "mtu_probing")
)
_TIME_WAIT_REUSE, _RECEIVE_BUFFER, _RECEIVE_MAX, _SEND_BUFFER, _SEND_MAX = map(
    Settings.offset, ("time_wait_reuse", "receive_buffer", "receive_max", "send_buffer", "send_max")
)
_MEMORY_LOW, _MEMORY_PRESSURE, _MEMORY_HIGH, _KEEP_IDLE, _KEEP_INTERVAL = map(
    Settings.offset, ("memory_low", "memory_pressure", "memory_high", "keep_idle", "keep_interval")
)
_KEEP_COUNT, _SYN_RETRIES, _RETRIES, _FIN_TIMEOUT, _CHALLENGE_LIMIT = map(
    Settings.offset, ("keep_count", "syn_retries", "retries", "fin_timeout", "challenge_limit")
)
_UDP_RECEIVE_BUFFER, _UDP_SEND_BUFFER, _PORT_LOW, _PORT_HIGH = map(
    Settings.offset, ("udp_receive_buffer", "udp_send_buffer", "port_low", "port_high")
)


@hot
def _look(settings: Settings) -> int:
    """Offset of the last field that is out of range; 0: none is."""
    wrong = 0
    if settings.port_high < settings.port_low:
        wrong = _PORT_HIGH
    if settings.memory_pressure < settings.memory_low:
        wrong = _MEMORY_PRESSURE
    if settings.memory_high < settings.memory_pressure:
        wrong = _MEMORY_HIGH
    wrong = _check(settings, wrong, _INITIAL_WINDOW, 1, 1000)
    wrong = _check(settings, wrong, _ECN, 0, 2)
    wrong = _check(settings, wrong, _SYNCOOKIES, 0, 2)
    wrong = _check(settings, wrong, _FAST_OPEN, 0, 3)
    wrong = _check(settings, wrong, _TIMESTAMPS, 0, 1)
    wrong = _check(settings, wrong, _SACK, 0, 1)
    wrong = _check(settings, wrong, _WINDOW_SCALING, 0, 1)
    wrong = _check(settings, wrong, _TIME_WAIT, 1, 3600)
    wrong = _check(settings, wrong, _TIME_WAIT_LIMIT, 0, 262144)
    wrong = _check(settings, wrong, _MTU_PROBING, 0, 1)
    wrong = _check(settings, wrong, _TIME_WAIT_REUSE, 0, 1)
    wrong = _check(settings, wrong, _RECEIVE_BUFFER, _LEAST, _MOST)
    wrong = _check(settings, wrong, _RECEIVE_MAX, _LEAST, _MOST)
    wrong = _check(settings, wrong, _SEND_BUFFER, _LEAST, _MOST)
    wrong = _check(settings, wrong, _SEND_MAX, _LEAST, _MOST)
    wrong = _check(settings, wrong, _MEMORY_LOW, 1, 100)
    wrong = _check(settings, wrong, _MEMORY_PRESSURE, 1, 100)
    wrong = _check(settings, wrong, _MEMORY_HIGH, 1, 100)
    wrong = _check(settings, wrong, _KEEP_IDLE, 1, 32767)
    wrong = _check(settings, wrong, _KEEP_INTERVAL, 1, 32767)
    wrong = _check(settings, wrong, _KEEP_COUNT, 1, 127)
    wrong = _check(settings, wrong, _SYN_RETRIES, 1, 127)
    wrong = _check(settings, wrong, _RETRIES, 1, 255)
    wrong = _check(settings, wrong, _FIN_TIMEOUT, 1, 2000000)
    wrong = _check(settings, wrong, _CHALLENGE_LIMIT, 1, 1000000000)
    wrong = _check(settings, wrong, _UDP_RECEIVE_BUFFER, _LEAST, _MOST)
    wrong = _check(settings, wrong, _UDP_SEND_BUFFER, _LEAST, _MOST)
    wrong = _check(settings, wrong, _PORT_LOW, 1024, 65535)
    wrong = _check(settings, wrong, _PORT_HIGH, 1024, 65535)
    if settings.congestion != CUBIC and settings.congestion != NEWRENO and settings.congestion != BBR:
        wrong = _CONGESTION
    if settings.version != VERSION:
        wrong = _VERSION
    return wrong


@leaf
def _check(settings: Settings, wrong: int, place: int, least: int, most: int) -> int:
    value = load32(settings.address + place)
    return place if value < least or value > most else wrong


# --- what they change ---------------------------------------------------------------------------------------------


@hot
def _apply(worker: Worker, settings: Settings, octets: int) -> None:
    tcp, udp = tcp_of(worker), udp_of(worker)
    tcp.congestion, tcp.initial_window = settings.congestion, settings.initial_window
    tcp.ecn, tcp.syncookies, tcp.fast_open = settings.ecn, settings.syncookies, settings.fast_open
    tcp.timestamps, tcp.sack, tcp.window_scaling = settings.timestamps, settings.sack, settings.window_scaling
    tcp.time_wait_ns, tcp.time_wait_reuse = settings.time_wait * SECOND, settings.time_wait_reuse
    tcp.waiting_limit = min(settings.time_wait_limit, tcp.waiting_mask + 1)
    tcp.mtu_probing, tcp.challenge_limit = settings.mtu_probing, settings.challenge_limit
    tcp.receive_max, tcp.send_max = settings.receive_max, settings.send_max
    if octets != 0:
        tcp.memory_low = octets // 100 * settings.memory_low
        tcp.memory_pressure = octets // 100 * settings.memory_pressure
        tcp.memory_high = octets // 100 * settings.memory_high
    _apply_usual(tcp, settings)
    udp.receive_limit, udp.send_limit = settings.udp_receive_buffer, settings.udp_send_buffer
    tcp.port_low, tcp.port_high = settings.port_low, settings.port_high
    udp.port_low, udp.port_high = settings.port_low, settings.port_high


@hot
def _apply_usual(tcp: Tcp, settings: Settings) -> None:
    """What connections have that have set nothing of their own."""
    usual = tcp.tunings[0]
    usual.congestion = settings.congestion
    usual.receive_limit, usual.send_limit = settings.receive_buffer, settings.send_buffer
    usual.keep_idle, usual.keep_interval = settings.keep_idle, settings.keep_interval
    usual.keep_count, usual.syn_retries = settings.keep_count, settings.syn_retries
    usual.retries, usual.fin_timeout = settings.retries, settings.fin_timeout
