"""The control plane's hand in the pool of local addresses and ports. Plain Python, between the worker's turns."""

from __future__ import annotations

from pronghorn.balancer.addresses import Address, ConfigureError, to_raw
from pronghorn.balancer.tables import LOCAL_RECORDS, LOCALS, SERVER_FREE, SERVER_REMOVED, SERVER_UP, Balancer, Local
from pronghorn.state.worker import Worker


def change_local_ports(balancer: Balancer, worker: Worker, low: int, high: int) -> None:
    """Ports for new connections to servers, of which this worker takes its share."""
    first = low + (worker.index - low) % worker.workers
    if not 1 <= low <= high <= 65535 or first > high:
        raise ConfigureError(f"local ports {low} to {high}: no range with a port for each of {worker.workers} workers")
    balancer.first_port, balancer.port_step = first, worker.workers
    balancer.port_count = (high - first) // worker.workers + 1


def add_local_address(balancer: Balancer, address: Address) -> None:
    """New connections to servers may come from the address."""
    if _find_local(balancer, address) is not None:
        raise ConfigureError(f"{address} is a local address already")
    family = address.version
    if balancer.local_counts[family == 6] == LOCALS:
        raise ConfigureError(f"there are {LOCALS} local addresses of IPv{family} already")
    for number in range(LOCAL_RECORDS):
        local = balancer.locals[number]
        if local.state == SERVER_FREE or (local.state == SERVER_REMOVED and local.conns == 0):
            break
    else:
        raise ConfigureError("connections of removed local addresses are still being ended")
    local.hi, local.lo = to_raw(address)
    local.family, local.state, local.conns = family, SERVER_UP, 0
    _list_locals(balancer)


def remove_local_address(balancer: Balancer, address: Address) -> None:
    """No new connections from the address; those that use it are ended."""
    local = _find_local(balancer, address)
    if local is None:
        raise ConfigureError(f"{address} is not a local address")
    local.state = SERVER_REMOVED
    _list_locals(balancer)
    start_sweep(balancer)


def _find_local(balancer: Balancer, address: Address) -> Local | None:
    wanted = (SERVER_UP, address.version, *to_raw(address))
    for number in range(LOCAL_RECORDS):
        local = balancer.locals[number]
        if (local.state, local.family, local.hi, local.lo) == wanted:
            return local
    return None


def _list_locals(balancer: Balancer) -> None:
    for which, family in enumerate((4, 6)):
        usable = [
            number
            for number in range(LOCAL_RECORDS)
            if balancer.locals[number].state == SERVER_UP and balancer.locals[number].family == family
        ]
        for place, number in enumerate(usable):
            balancer.local_lists[which * LOCALS + place] = number
        balancer.local_counts[which] = len(usable)


def start_sweep(balancer: Balancer) -> None:
    """Let the worker look at every connection for what was removed."""
    balancer.sweep, balancer.sweep_left = 0, balancer.conn_limit
