"""Programs come and go, and take connections over from their parents: on every worker, between two turns."""

from __future__ import annotations

from pronghorn.compiled import entry, fill
from pronghorn.net.change import interface_add, interface_remove
from pronghorn.net.change_routes import route_add, route_drop, route_exact
from pronghorn.net.neighbours import neighbour_find
from pronghorn.net.state import DIRECT, LINK_LOCAL_HI, MAPPED, net_of
from pronghorn.programs.claims import block_set, claims_end
from pronghorn.programs.flows import add_flow, find_flow, is_alive, move_flow, set_ports
from pronghorn.programs.tables import CLOSED, CLOSING, DEAD, OPEN, Program, Programs
from pronghorn.state.worker import Worker, wake_at


@entry
def program_here(worker: Worker, port: int) -> int:
    """The port leads back in: our own addresses are reached through it (Net.here). 1, or 0 when there is no room."""
    if interface_add(worker, port, DIRECT) < 0:
        return 0
    net_of(worker).here = port + 1
    return 1


@entry
def program_open(worker: Worker, number: int, port: int, family: int, life: int, bucket: int, flow_limit: int) -> int:
    """Program `number` is there, behind the engine's port `port`. It has no addresses yet.

    1, or 0 when there is no room for its interface and what leads to it.
    """
    root, net = Programs(worker.programs), net_of(worker)
    program = root.programs[number]
    fill(program.address, 0, Program.SIZE)
    program.port = port
    if interface_add(worker, port, DIRECT) < 0:
        return 0
    program.family, program.bucket, program.flow_limit = family, bucket, flow_limit
    program.neighbour4 = neighbour_find(net, port, 0, MAPPED)
    program.neighbour6 = neighbour_find(net, port, LINK_LOCAL_HI, 0)
    program.life = life
    return 1


@entry
def program_address(worker: Worker, number: int, hi: int, lo: int) -> int:
    """Give it an address of ours, and let that be reached from inside. 1, or 0 when there is no room."""
    program, net = Programs(worker.programs).programs[number], net_of(worker)
    here = net.here - 1
    if route_exact(net, hi, lo, 128, here, 0, 0, 0) < 0 and route_add(worker, hi, lo, 128, here, 0, 0, 0) < 0:
        return 0
    program.hi[program.count] = hi
    program.lo[program.count] = lo
    program.count += 1
    return 1


@entry
def address_left(worker: Worker, hi: int, lo: int) -> None:
    """No program has the address of ours any more."""
    net = net_of(worker)
    index = route_exact(net, hi, lo, 128, net.here - 1, 0, 0, 0)
    if index >= 0:
        route_drop(net, index)
        net.generation += 1


@entry
def program_block(worker: Worker, number: int, low: int, high: int) -> None:
    """Give it a block of ports."""
    root = Programs(worker.programs)
    program = root.programs[number]
    program.low, program.high = low, high
    block_set(root, number)


@entry
def program_end(worker: Worker, number: int) -> None:
    """The program has ended: its claims and its block at once, its connections in the next turns (mourning.py)."""
    root = Programs(worker.programs)
    program = root.programs[number]
    claims_end(root, number)
    program.life, program.count = 0, 0
    interface_remove(worker, program.port)
    root.left = root.flow_fresh if root.flow_count != 0 else 0
    wake_at(worker, worker.now)


@entry
def flow_program(worker: Worker, ports: int, far_hi: int, far_lo: int, own_hi: int, own_lo: int) -> int:
    """The living program that has the TCP connection on this worker, or -1; `ports` as in Key.ports."""
    root = Programs(worker.programs)
    key = root.key
    key.far_hi, key.far_lo, key.own_hi, key.own_lo = far_hi, far_lo, own_hi, own_lo
    set_ports(root, ports >> 40, ports >> 32 & 0xFF, ports >> 16 & 0xFFFF, ports & 0xFFFF)
    found = find_flow(root)
    if found < 0:
        return -1
    flow = root.flows[found]
    open = flow.state != CLOSED and flow.state != CLOSING and flow.state != DEAD
    return flow.program if open and is_alive(root, flow) else -1


@entry
def flow_take(worker: Worker, number: int) -> int:
    """The connection that `flow_program` was last asked for is program `number`'s. 1, or 0: there is no room."""
    root = Programs(worker.programs)
    found = find_flow(root)
    if found >= 0:
        move_flow(root, found, number)
        return 1
    found = add_flow(worker, root, number)
    if found < 0:
        return 0
    root.flows[found].state = OPEN
    return 1
