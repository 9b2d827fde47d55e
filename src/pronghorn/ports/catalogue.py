"""Drivers by the name before the colon of a device: `xdp:eth0`, `veth:blue`, `null:`. Adding a driver adds a line."""

from __future__ import annotations

import importlib

from pronghorn.ports.driver import Driver, PortError

DRIVERS = {
    "bridge": "pronghorn.ports.bridge_port:BridgePort",
    "null": "pronghorn.ports.null:NullPort",
    "packet": "pronghorn.ports.packet_port:PacketPort",
    "pcap": "pronghorn.ports.pcap_port:PcapPort",
    "tap": "pronghorn.ports.tap_port:TapPort",
    "veth": "pronghorn.ports.veth_port:VethPort",
    "wire": "pronghorn.ports.wire_port:WirePort",
    "xdp": "pronghorn.ports.xdp_port:XdpPort",
}
"""Where each driver's class is; it is imported when it is asked for."""


def driver_for(device: str) -> Driver:
    """The driver of a device, not open yet. PortError when no driver has that name."""
    kind, colon, rest = device.partition(":")
    if not colon or kind not in DRIVERS:
        raise PortError(f"{device}: no such driver; a device is DRIVER:NAME with one of {', '.join(sorted(DRIVERS))}")
    module, _, name = DRIVERS[kind].partition(":")
    driver: Driver = getattr(importlib.import_module(module), name)(rest)
    return driver
