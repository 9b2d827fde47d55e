"""Tables that fit on 80 columns, one function per kind of view. Colour only where a terminal reads it."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pronghorn.cli.units import bits, count, percent, seconds

Row = dict[str, Any]
GOOD = {"up", "reachable"}
BAD = {"down", "failed", "resource", "defect"}
NAMES = {
    "conns": "connections",
    "persistence": "clients",
    "tcp": "TCP sockets",
    "udp": "UDP sockets",
    "snmp": "counters",
    "health": "servers",
}
"""What there is none of."""


def console() -> Console:
    """Standard output. A pipe gets wide lines, so that nothing is folded that is searched for."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    return Console(width=width, highlight=False, markup=False, emoji=False)  # "[fd00::1]:80" is no markup


def table(kind: str, rows: Sequence[Row]) -> Table | Text:
    if not rows:
        return Text(f"no {NAMES.get(kind, kind)}")
    return TABLES[kind](rows)


def _table(*columns: str) -> Table:
    """Columns whose title starts with ">" are numbers."""
    result = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title in columns:
        number = title.startswith(">")
        result.add_column(title.lstrip(">"), justify="right" if number else "left", overflow="fold", no_wrap=number)
    return result


def _state(word: str) -> Text:
    return Text(word, style="green" if word in GOOD else "red" if word in BAD else "yellow")


def _services(rows: Sequence[Row]) -> Table:
    result = _table("Service / server", ">Weight", "State", ">Active", ">Inact", ">Conn/s", ">In/s", ">Out/s")
    for service in rows:
        servers = service["servers"]
        title = Text(service["name"], style="bold")
        about = f" {service['protocol']} {_scheduling(service)} {service['method']}\n{service['address']}"
        title.append(about, style="not bold")
        result.add_row(title, "", "", *_traffic(servers))
        for server in servers:
            name = f"  {server['name'] or server['address']}"
            if server["method"] != service["method"]:
                name += f" {server['method']}"
            if server["upper_connections"]:
                name += f"\n    at most {server['upper_connections']}"
                name += f", again below {server['lower_connections']}" if server["lower_connections"] else ""
            state = server["state"] if server["health"] in ("up", "unchecked") else server["health"]
            if state == "up" and server["overloaded"]:
                state = "overloaded"
            result.add_row(name, str(server["weight"]), _state(state), *_traffic([server]))
    return result


def _scheduling(service: Row) -> str:
    """The scheduler and what it was told."""
    words = [service["scheduler"], *service["scheduler_flags"]]
    if service["hash_target"] != "address":
        words.append(f"by {service['hash_target']}")
    return " ".join(words + [f"slow start {seconds(service['slow_start'])}"] * (service["slow_start"] > 0))


def _traffic(servers: Sequence[Row]) -> list[str]:
    def total(key: str) -> float:
        return float(sum(server[key] for server in servers))

    numbers = [count(total(key)) for key in ("active", "inactive", "connection_rate")]
    return numbers + [bits(total(key)) for key in ("octet_rate_in", "octet_rate_out")]


def _conns(rows: Sequence[Row]) -> Table:
    result = _table("Proto", "Client\nlocal", "Service\nserver", "State", ">Age", ">Expires", ">W")
    for conn in rows:
        client, service = f"{conn['client']}\n{conn['local']}", f"{conn['virtual']}\n{conn['server']}"
        age, expires = seconds(conn["age"]), seconds(conn["expires"])
        result.add_row(conn["protocol"], client, service, conn["state"], age, expires, str(conn["worker"]))
    return result


def _persistence(rows: Sequence[Row]) -> Table:
    result = _table("Client\nserver", "Service\ngroup", ">Conns", ">So far", ">Expires", ">W")
    for row in rows:
        numbers = str(row["conns"]), count(row["connections"]), seconds(row["expires"]), str(row["worker"])
        result.add_row(f"{row['client']}\n{row['server']}", f"{row['service']}\n{row['group'] or '-'}", *numbers)
    return result


def _ports(rows: Sequence[Row]) -> Table:
    result = _table("Port", "Device", "Link", ">MTU", ">Rx pkt/s", ">Rx/s", ">Tx pkt/s", ">Tx/s", ">Drops")
    for port in rows:
        name = Text(port["name"], style="bold")
        for address in port["addresses"]:
            name.append(f"\n {address}", style="not bold")
        rx = count(port["rx_packet_rate"]), bits(port["rx_octet_rate"])
        tx = count(port["tx_packet_rate"]), bits(port["tx_octet_rate"])
        drops = count(port["rx_drops"] + port["tx_drops"])
        result.add_row(name, port["device"], _state(port["link"]), str(port["mtu"]), *rx, *tx, drops)
    return result


def _workers(rows: Sequence[Row]) -> Table:
    result = _table(">Worker", ">Core", ">Load", ">Turns/s", ">Packets/s", ">Conns", ">Free buffers", ">Fewest", ">Of")
    for worker in rows:
        core = "any" if worker["core"] is None else str(worker["core"])
        rates = percent(worker["load"]), count(worker["turn_rate"]), count(worker["packet_rate"])
        pool = (count(worker[key]) for key in ("conns", "pool_free", "pool_low", "pool_size"))
        result.add_row(str(worker["index"]), core, *rates, *pool)
    return result


def _neighbours(rows: Sequence[Row]) -> Table:
    result = _table("Address", "Hardware address", "State", "Port", ">Confirmed")
    for row in rows:
        result.add_row(row["address"], row["mac"] or "?", _state(row["state"]), row["port"], _age(row["age"]))
    return result


def _age(value: float | None) -> str:
    return "never" if value is None else seconds(value)


def _routes(rows: Sequence[Row]) -> Table:
    result = _table("Prefix", "Via", "Port", "From")
    for row in rows:
        result.add_row(row["prefix"], row["via"] or "-", row["port"], row["origin"])
    return result


def _drops(rows: Sequence[Row]) -> Table:
    result = _table("Verdict", "Severity", ">Packets", ">Per s", "Meaning")
    for row in sorted(rows, key=lambda row: -row["count"]):
        result.add_row(
            row["verdict"], _state(row["severity"]), count(row["count"]), count(row["rate"]), row["sentence"]
        )
    return result


def _tcp(rows: Sequence[Row]) -> Table:
    if all(row["remote"] is None for row in rows):
        result = _table("Local", "State", ">Waiting", ">Backlog", ">Opening", ">W")
        for row in rows:
            numbers = (str(row[key]) for key in ("receive_queue", "send_queue", "half_open", "worker"))
            result.add_row(row["local"], row["state"], *numbers)
        return result
    titles = ("Local\nremote", "State\ncontrol", ">Recv-Q\nSend-Q", ">Cwnd\nssthr", ">Window\npeer's", ">RTT\nRTO")
    result = _table(*titles, ">Resent\ntimer")
    for row in rows:
        threshold = "-" if row["ssthresh"] is None else count(row["ssthresh"])
        result.add_row(
            f"{row['local']}\n{row['remote']}",
            f"{row['state']}\n{row['congestion']} {row['recovery']}",
            f"{count(row['receive_queue'])}\n{count(row['send_queue'])}",
            f"{count(row['cwnd'])}\n{threshold}",
            f"{count(row['receive_window'])}\n{count(row['send_window'])}",
            f"{_ms(row['srtt'])}\n{_ms(row['rto'])}",
            f"{count(row['retransmits'])}\n{row['timer'] or '-'}",
        )
    return result


def _ms(value: float) -> str:
    """Milliseconds as "0.35ms", "120ms", "1.20s"."""
    if value >= 1000:
        return f"{value / 1000:.2f}s"
    return f"{value:.0f}ms" if value >= 10 else f"{value:.2f}ms"


def _udp(rows: Sequence[Row]) -> Table:
    result = _table("Proto", "Local", "Remote", ">Recv-Q", ">Waiting", ">Limit", ">Drops", ">W")
    for row in rows:
        numbers = (count(row[key]) for key in ("receive_queue", "waiting", "receive_limit", "drops", "worker"))
        result.add_row(row["protocol"], row["local"], row["remote"] or "-", *numbers)
    return result


def _snmp(rows: Sequence[Row]) -> Table:
    result = _table("Counter", ">Value", ">Per s")
    for row in rows:
        result.add_row(row["group"] + row["name"], str(row["value"]), count(row["rate"]))
    return result


def _programs(rows: Sequence[Row]) -> Table:
    result = _table("Program\nclaims", ">Process", "User", ">Flows", ">In/s", ">Out/s", ">Drops", ">Age")
    for row in rows:
        name = Text(row["name"], style="bold" if row["linked"] else "yellow")
        for claim in row["claims"]:
            name.append(f"\n {claim}", style="not bold")
        rates = bits(row["octet_rate_in"]), bits(row["octet_rate_out"])
        numbers = count(row["flows"]), *rates, count(row["dropped"]), seconds(row["age"])
        result.add_row(name, str(row["pid"]), row["user"], *numbers)
    return result


def _health(rows: Sequence[Row]) -> Table:
    result = _table("Service / server\ncheck", "State", ">Since", ">Share", ">Passed", ">Failed", ">Downs", "Why")
    for place, row in enumerate(rows):
        if place == 0 or rows[place - 1]["service"] != row["service"]:
            state = "withdrawn" if row["withdrawn"] else "up" if row["service_up"] else "down"
            result.add_row(Text(row["service"], style="bold"), _state(state))
        share = f"{row['share']}/{row['weight']}"
        numbers = _age(row["age"]) if row["age"] is not None else "-", share, "", "", str(row["downs"])
        result.add_row(f"  {row['server']}", _state(row["state"]), *numbers, row["reason"] or "")
        for check in row["checks"]:
            numbers = seconds(check["age"]), "", count(check["ok"]), count(check["failed"]), str(check["downs"])
            result.add_row(f"    {check['name']}", _state(check["state"]), *numbers, check["error"] or "")
    return result


def _sockets(rows: Sequence[Row]) -> Table:
    result = _table("Program", "Proto", "State", "Local\nremote", "Path\nwhy")
    for row in rows:
        program = Text(row["program"], style="bold")
        program.append(f"\n{row['pid']}/{row['fd']}", style="not bold")
        path = Text(row["path"], style={"ours": "green", "kernel": "red"}.get(row["path"], "yellow"))
        if row["reason"]:
            path.append(f"\n{row['reason']}", style="not bold default")
        ends = f"{row['local'] or '-'}" + (f"\n{row['remote']}" if row["remote"] else "")
        result.add_row(program, row["protocol"], row["state"], ends, path)
    return result


def _sets(rows: Sequence[Row]) -> Table:
    result = _table("Set", "Kind", ">Entries", ">Of", "Asked by", ">Packets", ">Packets/s")
    for row in rows:
        numbers = count(row["packets"]), count(row["packet_rate"])
        users = "\n".join(row["used_by"]) or "nobody"
        result.add_row(row["name"], row["kind"], str(row["entries"]), str(row["max_entries"]), users, *numbers)
    return result


TABLES: dict[str, Callable[[Sequence[Row]], Table]] = {
    "services": _services,
    "conns": _conns,
    "persistence": _persistence,
    "ports": _ports,
    "workers": _workers,
    "neighbours": _neighbours,
    "routes": _routes,
    "drops": _drops,
    "tcp": _tcp,
    "udp": _udp,
    "snmp": _snmp,
    "programs": _programs,
    "health": _health,
    "sets": _sets,
    "sockets": _sockets,
}
