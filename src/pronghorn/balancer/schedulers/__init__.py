"""Which server gets a new connection. One scheduler per file; this is the table that chooses among them.

A scheduler is a function that returns a server's index, or NOBODY; it never chooses a server that drains, has weight 0
or is full (thresholds.py). What it remembers lies in Service and is put right by the control plane when servers change
(configure.py, lookups.py). Names, flags and results are those of Linux's IPVS where it has them.

rr  wrr              in turn                            least     loads, and who has the least
lc  wlc  sed  nq     by connections                     locality  which servers are for an address
lblc  lblcr          by destination, then connections   targets   what is hashed, and who comes instead
sh  dh  mh  conhash  by hash                            rendezvous  who is nearest
fo  ovf              the first with room
p2c                  the better of two at random
"""

from __future__ import annotations

from pronghorn.balancer.schedulers.conhash import choose_conhash
from pronghorn.balancer.schedulers.dh import choose_dh
from pronghorn.balancer.schedulers.fo import choose_fo
from pronghorn.balancer.schedulers.lblc import choose_lblc
from pronghorn.balancer.schedulers.lblcr import choose_lblcr
from pronghorn.balancer.schedulers.lc import choose_lc
from pronghorn.balancer.schedulers.mh import choose_mh
from pronghorn.balancer.schedulers.nq import choose_nq
from pronghorn.balancer.schedulers.ovf import choose_ovf
from pronghorn.balancer.schedulers.p2c import choose_p2c
from pronghorn.balancer.schedulers.rr import choose_rr
from pronghorn.balancer.schedulers.sed import choose_sed
from pronghorn.balancer.schedulers.sh import choose_sh
from pronghorn.balancer.schedulers.wlc import choose_wlc
from pronghorn.balancer.schedulers.wrr import choose_wrr
from pronghorn.balancer.tables import (
    CONHASH,
    DH,
    FO,
    LBLC,
    LBLCR,
    LC,
    MH,
    MH_FALLBACK,
    MH_PORT,
    NOBODY,
    NQ,
    OVF,
    P2C,
    RR,
    SED,
    SH,
    SH_FALLBACK,
    SH_PORT,
    TARGET_ADDRESS,
    TARGET_ADDRESS_PORT,
    TARGET_QUIC_ID,
    WLC,
    WRR,
    Balancer,
    Service,
)
from pronghorn.compiled import hot
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker

SCHEDULERS = {
    "rr": RR, "wrr": WRR, "lc": LC, "wlc": WLC, "sed": SED, "nq": NQ, "sh": SH, "dh": DH, "lblc": LBLC,
    "lblcr": LBLCR, "fo": FO, "ovf": OVF, "mh": MH, "conhash": CONHASH, "p2c": P2C,
}  # fmt: skip
"""Names in the configuration."""

FLAGS = {"sh-fallback": SH_FALLBACK, "sh-port": SH_PORT, "mh-fallback": MH_FALLBACK, "mh-port": MH_PORT}
"""Names of Service.options: ipvsadm's, each of the scheduler that it begins with."""

HASH_TARGETS = {"address": TARGET_ADDRESS, "address-port": TARGET_ADDRESS_PORT, "quic-id": TARGET_QUIC_ID}
"""Names of Service.hash_target, for conhash."""


@hot
def choose(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> int:
    """Index in Balancer.servers of the server for the packet's new connection, or NOBODY."""
    scheduler = service.scheduler
    if service.member_count == 0:
        return NOBODY
    if scheduler == WRR:
        return choose_wrr(balancer, service)
    if scheduler == RR:
        return choose_rr(balancer, service)
    if scheduler == MH:
        return choose_mh(balancer, service, packet)
    if scheduler == CONHASH:
        return choose_conhash(balancer, service, packet)
    if scheduler == P2C:
        return choose_p2c(worker, balancer, service)
    if scheduler == SH:
        return choose_sh(balancer, service, packet)
    if scheduler == DH:
        return choose_dh(balancer, service, packet)
    if scheduler == LBLC:
        return choose_lblc(worker, balancer, service, packet)
    if scheduler == LBLCR:
        return choose_lblcr(worker, balancer, service, packet)
    return choose_by_load(balancer, service, scheduler)


@hot
def choose_by_load(balancer: Balancer, service: Service, scheduler: int) -> int:
    """The same for schedulers that look at nothing but the servers."""
    if scheduler == LC:
        return choose_lc(balancer, service)
    if scheduler == WLC:
        return choose_wlc(balancer, service)
    if scheduler == SED:
        return choose_sed(balancer, service)
    if scheduler == NQ:
        return choose_nq(balancer, service)
    if scheduler == FO:
        return choose_fo(balancer, service)
    return choose_ovf(balancer, service)
