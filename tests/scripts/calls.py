"""The socket calls of a script: arguments as written to a host's calls, and TCP_INFO as Linux lays it out.

Sockets never wait. Octets that are written and read follow the pattern of octets.py by their position in the stream.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from typing import TYPE_CHECKING

from tests.scripts.dialect import Call
from tests.scripts.octets import pattern

if TYPE_CHECKING:
    from tests.scripts.player import Player

NUMBERS: dict[str, int] = {
    name: int(value)
    for module in (socket, select)
    for name, value in vars(module).items()
    if name.startswith(("SO", "TCP_", "IP_", "IPV6_", "MSG_", "SHUT_", "POLL", "IPPROTO_", "AF_"))
    and isinstance(value, int)
}
NUMBERS |= {name: number for number, name in errno.errorcode.items()}
NUMBERS |= {"SOL_TCP": 6, "SOL_IP": 0, "SOL_IPV6": 41, "TCP_REPAIR": 19, "TCP_TIMESTAMP": 24, "TCP_INQ": 36}
NUMBERS |= {"TCP_FASTOPEN_CONNECT": 30, "TCP_FASTOPEN_NO_COOKIE": 34, "TCP_FASTOPEN_KEY": 33, "MSG_FASTOPEN": 1 << 29}
NUMBERS |= {"TCP_RTO_MAX_MS": 44, "TCP_RTO_MIN_US": 45, "TCP_DELACK_MAX_US": 46, "MSG_ZEROCOPY": 1 << 26}
# tcp_states.h and tcp_ca_state, for assertions
NUMBERS |= {"TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4, "TCP_FIN_WAIT2": 5}
NUMBERS |= {"TCP_TIME_WAIT": 6, "TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9, "TCP_LISTEN": 10}
NUMBERS |= {"TCP_CLOSING": 11, "CA_OPEN": 0, "CA_DISORDER": 1, "CA_CWR": 2, "CA_RECOVERY": 3, "CA_LOSS": 4}
NUMBERS |= {"TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8}
NUMBERS |= {"TCPI_OPT_ECN_SEEN": 16, "TCPI_OPT_SYN_DATA": 32}

TCP_INFO = (6, 11, 280)
"""Level, option, octets."""

_LAYOUT = """
B state ca_state retransmits probes backoff options scales limited
I rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv last_ack_recv
I pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans
Q pacing_rate max_pacing_rate bytes_acked bytes_received
I segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out
Q delivery_rate busy_time rwnd_limited sndbuf_limited
I delivered delivered_ce
Q bytes_sent bytes_retrans
I dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash
H total_rto total_rto_recoveries
I total_rto_time
"""
INFO = [(name, line[0]) for line in _LAYOUT.split("\n") if line for name in line[2:].split()]
"""Fields of struct tcp_info and their formats, in order; there are no gaps."""


def read_info(data: bytes) -> dict[str, int]:
    """struct tcp_info (include/uapi/linux/tcp.h), as far as the host gave it, its names with tcpi_ in front."""
    found, offset = {}, 0
    for name, kind in INFO:
        size = struct.calcsize(kind)
        if offset + size > len(data):
            break
        (found[f"tcpi_{name}"],) = struct.unpack_from("=" + kind, data, offset)
        offset += size
    scales = found.get("tcpi_scales", 0)
    found["tcpi_snd_wscale"], found["tcpi_rcv_wscale"] = scales & 15, scales >> 4
    return found


def number(text: str) -> int:
    """A number, a name, or names joined by `|`."""
    total = 0
    for word in text.split("|"):
        total |= NUMBERS[word.strip()] if word.strip() in NUMBERS else int(word, 0)
    return total


def value(text: str) -> bytes:
    """An option's value: [1], {onoff=1, linger=0} or "cubic"."""
    if text[0] == '"':
        return text.strip('"').encode()
    words = [word.split("=")[-1].strip() for word in text.strip("[]{}").split(",")]
    return struct.pack(f"={len(words)}i", *map(number, words))


def perform(player: Player, call: Call) -> tuple[int, str]:
    """Make the call. Its result, -errno; and what is wrong with what it brought, or nothing."""
    host, arguments = player.host, call.arguments
    if call.name == "socket":
        return host.socket(), ""
    if call.name == "forget":  # the flow begins anew: other initial sequence numbers and timestamps
        player.flows.pop(int(arguments[0]), None)
        return 0, ""
    descriptor = player.descriptors[int(arguments[0])]
    handle = descriptor.handle
    match call.name:
        case "bind":
            player.port = number(arguments[1]) if arguments[1] != "..." else player.port
            return host.bind(handle, player.port), ""
        case "listen":
            return host.listen(handle, number(arguments[1])), ""
        case "accept":
            return host.accept(handle), ""
        case "connect":
            player.subject = int(arguments[0])
            return host.connect(handle, _port(player, arguments[1])), ""
        case "write" | "send":
            flags = number(arguments[3]) if call.name == "send" else 0
            return _send(player, call, flags, 0)
        case "sendto":
            player.subject = int(arguments[0])
            return _send(player, call, number(arguments[3]), _port(player, arguments[4]))
        case "read" | "recv":
            return _receive(player, call, number(arguments[3]) if call.name == "recv" else 0)
        case "shutdown":
            return host.shutdown(handle, number(arguments[1])), ""
        case "close":
            return host.close(handle), ""
        case "setsockopt":
            return host.set_option(handle, number(arguments[1]), number(arguments[2]), value(arguments[3])), ""
        case "getsockopt":
            wanted = value(arguments[3])
            size = number(arguments[4].strip("[]"))
            status, data = host.get_option(handle, number(arguments[1]), number(arguments[2]), size)
            good = data[: len(wanted)] == wanted or status < 0
            seen = data.decode("ascii", "replace") if arguments[3][0] == '"' else str(_words(data))
            return status, "" if good else f"the value is {seen}"
        case "poll":
            wanted_events = number(arguments[2])
            events = host.poll(handle, number(arguments[1]))
            return 0, "" if events == wanted_events else f"events {events:#x}, not {wanted_events:#x}"
    raise ValueError(f"no such call: {call.name}")


def _port(player: Player, text: str) -> int:
    """The remote port of a flow, 1 unless given."""
    return player.flow(1 if text == "..." else int(text)).port


def _words(data: bytes) -> list[int]:
    return list(struct.unpack_from(f"={len(data) // 4}i", data))


def _send(player: Player, call: Call, flags: int, port: int) -> tuple[int, str]:
    descriptor = player.descriptors[int(call.arguments[0])]
    data = pattern(descriptor.written, number(call.arguments[2]))
    if port:
        sent = player.host.send_to(descriptor.handle, data, flags, port)
    else:
        sent = player.host.send(descriptor.handle, data, flags)
    descriptor.written += max(sent, 0)
    return sent, ""


def _receive(player: Player, call: Call, flags: int) -> tuple[int, str]:
    descriptor = player.descriptors[int(call.arguments[0])]
    got, data = player.host.receive(descriptor.handle, number(call.arguments[2]), flags)
    good = got <= 0 or data == pattern(descriptor.read, got) or not player.script.content
    if not flags & (socket.MSG_PEEK | socket.MSG_OOB):
        descriptor.read += max(got, 0)
    return got, "" if good else "the content is not what was sent"
