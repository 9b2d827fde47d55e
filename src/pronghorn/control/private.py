"""A gateway for one program, on an interface of the kernel that nothing else is to use: `pronghorn run --interface IF`.

    launcher, becomes the program                  keeper: a process of its own, nobody's child
      says what is wanted, waits for "ready"  -->    a gateway named run-PID with one port and [programs]
      attaches to it as to any gateway               ends when the program and all that have come from it have ended

The port is `xdp:IF`, or `packet:IF` where AF_XDP is not to be had. Without addresses of its own a program has the
interface's: AF_XDP takes every frame, so the kernel does not answer for them; beside AF_PACKET it would.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import ipaddress
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pronghorn.control import runtime
from pronghorn.control.trouble import Trouble
from pronghorn.control.welcome import Interface

if TYPE_CHECKING:
    from pronghorn.control.gateway import Gateway

PATIENCE = 90.0  # s until a gateway is ready: a development tree may compile first
LINGER = 0.5  # s between two looks for programs that are left


class PrivateError(Trouble):
    """There is no gateway on the interface; the text says why and what to do."""


# --- the launcher's side ----------------------------------------------------------------------------------------------


def start_private(interface: str, addresses: Sequence[Interface]) -> str:
    """Start the keeper of this process; the name of its gateway, which takes programs now. Raises PrivateError."""
    sweep()
    name = f"{runtime.PRIVATE}{os.getpid()}"
    wanted = {"name": name, "interface": interface, "addresses": [str(own) for own in addresses]}
    process, (read, write) = os.pidfd_open(os.getpid()), os.pipe()
    child = os.fork()
    if child == 0:
        _become_keeper(process, write, wanted)
    os.close(write)
    os.close(process)
    os.waitpid(child, 0)
    poll = select.poll()
    poll.register(read, select.POLLIN)
    said = os.read(read, 65_536).decode() if poll.poll(PATIENCE * 1000) else "it did not get ready in time"
    os.close(read)
    if said != "ready":
        raise PrivateError(f"--interface {interface}: {said or 'the gateway has ended'}")
    return name


def _become_keeper(process: int, write: int, wanted: dict[str, Any]) -> None:
    """In the child: a grandchild that the program will not know of executes this module."""
    try:
        os.setsid()
        if os.fork() == 0:
            null = os.open("/dev/null", os.O_RDWR)
            for number in range(2):
                os.dup2(null, number)
            os.set_inheritable(process, True)
            os.set_inheritable(write, True)
            command = [sys.executable, "-m", "pronghorn.control.private", str(process), str(write), json.dumps(wanted)]
            os.execv(sys.executable, command)
    finally:
        os._exit(0)


def sweep() -> None:
    """Take away the files of keepers that have ended without doing it themselves."""
    for lock in runtime.directory().glob(f"{runtime.PRIVATE}*.lock"):
        with contextlib.suppress(OSError), lock.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for suffix in (".sock", ".attach", ".lock"):
                lock.with_suffix(suffix).unlink(missing_ok=True)


# --- the keeper -------------------------------------------------------------------------------------------------------


def main(process: int, ready: int, wanted: dict[str, Any]) -> None:
    """Run the gateway; tell the launcher "ready", or what is wrong."""
    os.set_inheritable(process, False)
    os.set_inheritable(ready, False)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are the program's
    try:
        with runtime.listener(wanted["name"]) as control, contextlib.closing(_gateway(wanted)) as gateway:
            asyncio.run(_run(process, ready, gateway, control))
    except Exception as error:
        with contextlib.suppress(OSError):
            os.write(ready, str(error).encode()[:4096] or type(error).__name__.encode())
    sweep()  # the lock of this one


async def _run(process: int, ready: int, gateway: Gateway, control: socket.socket) -> None:
    from pronghorn.control.attach_server import attaching
    from pronghorn.control.server import answer

    with attaching(gateway) as keeper:
        assert keeper is not None
        os.write(ready, b"ready")
        os.close(ready)
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 2)
        os.close(null)
        server = asyncio.create_task(answer(gateway, keeper, control, lambda: None))
        await _end_of(process)
        await asyncio.sleep(LINGER)  # its peers hear of its end meanwhile
        while keeper.programs:
            await asyncio.sleep(LINGER)
        server.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await server


async def _end_of(process: int) -> None:
    """Until the process of a pidfd has ended."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process, ended.set)
    await ended.wait()
    loop.remove_reader(process)


def _gateway(wanted: dict[str, Any]) -> Gateway:
    """With AF_XDP, or else with AF_PACKET. Raises what says why there is none."""
    from pronghorn.control.apply import ApplyError
    from pronghorn.control.gateway import Gateway
    from pronghorn.control.load import parse
    from pronghorn.control.native import open_engine

    interface, own = wanted["interface"], wanted["addresses"]
    mirrored, routes = kernel_facts(interface)
    config: dict[str, Any] = {
        "gateway": {"name": wanted["name"], "packets": 8192},
        "programs": {"enabled": True},
        "ports": [{"name": "own", "device": f"xdp:{interface}", "addresses": own or mirrored}],
    }
    networks = [ipaddress.ip_interface(text).network for text in own or mirrored]
    config["routes"] = [
        {"prefix": prefix, "via": via, "port": "own"}
        for prefix, via in routes
        if any(ipaddress.ip_address(via) in network for network in networks)
    ]
    if not own and not mirrored:
        raise PrivateError(f"{interface} has no address that the program could have: give it one with --address")
    try:
        return Gateway(open_engine, parse(config))
    except ApplyError as error:
        if not own:
            raise PrivateError(
                f"{error.reason}; with AF_PACKET instead the kernel would answer for its addresses as well: give the "
                "program one of its own with --address"
            ) from None
    config["ports"][0]["device"] = f"packet:{interface}"
    return Gateway(open_engine, parse(config))


def kernel_facts(interface: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The interface's global addresses with their lengths, and the default routes through it."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    with IPRoute() as kernel:
        try:
            (index,) = kernel.link_lookup(ifname=interface) or [0]
            addresses = [
                f"{found.get_attr('IFA_LOCAL') or found.get_attr('IFA_ADDRESS')}/{found['prefixlen']}"
                for found in kernel.get_addr(index=index)
                if index and found["scope"] == 0
            ]
            routes = [
                ("0.0.0.0/0" if found["family"] == 2 else "::/0", str(found.get_attr("RTA_GATEWAY")))
                for family in (2, 10)
                for found in kernel.get_routes(family=family, oif=index)
                if found["dst_len"] == 0 and found.get_attr("RTA_GATEWAY") and found.get_attr("RTA_OIF") == index
            ]
        except NetlinkError as error:
            raise PrivateError(f"{interface}: {error}") from None
    if not index:
        raise PrivateError(f"there is no interface {interface}")
    return addresses, list(dict(routes).items())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
