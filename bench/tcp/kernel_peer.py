"""`python -m bench.tcp.kernel_peer MEGABYTES`: exchange so much with a kernel; prints how many octets were wrong.

Most of it goes over perfect wires, a tenth over bad ones. Goodput of every case, and of two kernels over the same path,
goes to standard error.
"""

from __future__ import annotations

import os
import sys

from bench.tcp.kernel_pair import transfer
from bench.tcp.station import DEVICES, Station, station
from pronghorn.tcp.congestion import BBR, CUBIC

MEGA = 1_000_000
BAD = "rate=1gbit&delay=1ms&jitter=200us&loss=0.1%&reorder=0.5%&reorder_delay=2ms&duplicate=0.5%&corrupt=0.1%"
LOSSY = "delay=1ms&loss=1%"
OWN_OCTETS = 100 * MEGA  # of two kernels
PATIENCE = 600.0
CONTROLS = {"bbr": BBR, "cubic": CUBIC}


def say(text: str) -> None:
    print(f"    {text}", file=sys.stderr, flush=True)


def exchanged(one: Station, family: int, out: int, back: int) -> tuple[int, float]:
    """One connection; octets that were wrong or missing, and MB/s from the first octet to the last."""
    before, bad = one.app.received, one.app.wrong
    one.listen(family)
    peer = one.exchange(family, out, back, actively=back == 0, seconds=PATIENCE)
    missing = abs(out - peer["received"]) + abs(back - (one.app.received - before))
    wrong: int = peer["wrong"] + one.app.wrong - bad + missing
    return wrong, (out + back) / MEGA / peer["seconds"]


def case(device: str, wire: str, control: str, megabytes: int) -> int:
    """Both families, both directions; octets wrong."""
    octets, wrong = megabytes * MEGA // 4, 0
    rates = []
    with station(device, wire) as one:
        one.environment = {**os.environ, "CONGESTION": control}
        one.tcp.congestion = one.tcp.tunings[0].congestion = CONTROLS[control]
        for family in (4, 6):
            for out, back in ((octets, 0), (0, octets)):
                bad, rate = exchanged(one, family, out, back)
                wrong += bad
                rates.append(f"{rate:,.0f}")
    own = [transfer(device, wire, f, min(octets, OWN_OCTETS), control) for f in (4, 6)]
    kernels = "/".join(f"{report['received'] / MEGA / report['seconds']:,.0f}" for report in own)
    say(f"{device:<6} {wire or 'perfect'} {control} {megabytes:,} MB, {wrong} octets wrong")
    say(f"       MB/s: IPv4 to the kernel {rates[0]}, from it {rates[1]}; IPv6 {rates[2]}, {rates[3]};")
    say(f"       two kernels ({own[0]['congestion']}) IPv4/IPv6 {kernels}")
    return wrong


def main(megabytes: int) -> None:
    wrong = 0
    for device in DEVICES:
        wrong += case(device, "", "cubic", megabytes * 3 // 10)
    for device in ("tap", "xdp"):
        for wire, control in ((BAD, "bbr"), (LOSSY, "bbr"), (LOSSY, "cubic")):
            wrong += case(device, wire, control, megabytes // 60)
    print(wrong, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
