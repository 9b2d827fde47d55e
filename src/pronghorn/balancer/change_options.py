"""The control plane's hand in what services ask beyond the usual. Plain Python, between the worker's turns."""

from __future__ import annotations

from ipaddress import ip_network

from pronghorn.balancer.addresses import ConfigureError, to_raw
from pronghorn.balancer.configure import service_at
from pronghorn.balancer.create import LONGEST_TIMEOUT
from pronghorn.balancer.option_tables import GROUPS
from pronghorn.balancer.tables import ASKS_PERSISTENCE, TICK, Balancer
from pronghorn.balancer.templates import drop_templates


def ticks(seconds: int) -> int:
    """What has passed after so many seconds."""
    return (seconds * 1_000_000_000 >> TICK) + 1


def change_persistence(
    balancer: Balancer,
    number: int,
    seconds: int,
    prefix: int | None = None,
    group: int | None = None,
    keep_quiesced: bool = False,
) -> None:
    """Let clients of the service stay with their servers for so many seconds after their last new connection; 0: not.

    A client is the first `prefix` bits of its address (all of them if None). Services with the same number as `group`
    (0 up) share their clients. Clients of a service without group are forgotten when anything but the seconds changes.
    """
    service, options = service_at(balancer, number), balancer.options[number]
    family = service.ports >> 40
    bits = 32 if family == 4 else 128
    length = bits if prefix is None else prefix
    if (
        not 0 <= seconds <= LONGEST_TIMEOUT
        or not 0 <= length <= bits
        or (group is not None and not 0 <= group < 1 << 31)
    ):
        raise ConfigureError(f"persistence of {seconds} s, prefix /{length}, group {group}: out of range")
    mask = ip_network(f"{'0.0.0.0' if family == 4 else '::'}/{length}").netmask
    wanted = (*to_raw(mask), number if group is None else GROUPS + group)
    if options.persistence != 0 and (seconds == 0 or wanted != (options.mask_hi, options.mask_lo, options.group)):
        _forget(balancer, number)
    options.mask_hi, options.mask_lo, options.group = wanted
    options.persistence = ticks(seconds) if seconds else 0
    options.quiesced = int(keep_quiesced)
    service.asks = service.asks & ~ASKS_PERSISTENCE | (ASKS_PERSISTENCE if seconds else 0)


def _forget(balancer: Balancer, number: int) -> None:
    """Clients of a group stay while other services have it: theirs are forgotten in time."""
    if balancer.options[number].group == number:
        drop_templates(balancer, number)
