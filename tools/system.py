"""Programs that come from the distribution: which verb needs which, what is missing, and installing it as root.

Without root nothing is installed: the command that would do it is printed, and the verb goes on without. On Debian and
Ubuntu a freshly installed daemon (nginx) would be started and enabled; its unit is masked while it is installed, and
disabled afterwards. Set PRONGHORN_SYSTEM_PACKAGES=no to leave the system alone as root too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from progress import note, warn

PATHS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
SYSTEMD = Path("/run/systemd/system")  # exists where systemd is running
APT_OPTIONS = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "DPkg::Lock::Timeout=120")
APT = ("apt-get", *APT_OPTIONS, "install", "-y", "-qq", "--no-install-recommends")
DNF = ("dnf", "install", "-y", "-q", "--setopt=install_weak_deps=False")


@dataclass(frozen=True)
class Program:
    """A program, what it is for, and the packages that bring it."""

    name: str
    purpose: str
    apt: str
    dnf: str
    unit: str = ""  # the systemd unit that the package would start
    file: str = ""  # a file that must exist too
    library: bool = False  # no program of that name, the file alone

    def missing(self) -> bool:
        absent = not self.library and shutil.which(self.name, path=PATHS) is None
        return absent or (self.file != "" and not Path(self.file).exists())


PROGRAMS = {
    program.name: program
    for program in (
        Program("gcc", "links the native library", "gcc libc6-dev", "gcc glibc-devel", file="/usr/include/stdio.h"),
        Program("ip", "network namespaces", "iproute2", "iproute"),
        Program("curl", "the client of the demo", "curl", "curl"),
        Program("ping", "echo requests from outside", "iputils-ping", "iputils"),
        Program("tshark", "an independent judge of packets", "tshark", "wireshark-cli"),
        Program("nft", "the kernel's NAT, to compare with", "nftables", "nftables"),
        Program("wrk", "HTTP load", "wrk", "wrk"),
        Program("nginx", "HTTP servers", "nginx", "nginx-core", unit="nginx.service"),
        Program("dpdk-testpmd", "DPDK's forwarder, to compare with", "dpdk dpdk-dev", "dpdk"),
        Program("ethtool", "offload settings of veth pairs", "ethtool", "ethtool"),
        Program(
            "redis-server", "a server for programs on the stack", "redis-server", "redis", unit="redis-server.service"
        ),
        Program("redis-benchmark", "its clients", "redis-tools", "redis"),
        Program("memcached", "another one", "memcached", "memcached", unit="memcached.service"),
        Program("ab", "HTTP load", "apache2-utils", "httpd-tools"),
        Program("socat", "a program for the stack", "socat", "socat"),
        Program("openssl", "TLS on the stack", "openssl", "openssl"),
        Program("haproxy", "a proxy for the stack", "haproxy", "haproxy", unit="haproxy.service"),
        Program("dnsmasq", "a DNS server for the stack", "dnsmasq-base", "dnsmasq"),
        Program("dig", "its client", "bind9-dnsutils", "bind-utils"),
        Program("node", "an HTTP server for the stack", "nodejs", "nodejs"),
        Program(
            "requests",
            "a client for the stack, of the system's Python",
            "python3 python3-requests",
            "python3 python3-requests",
            file="/usr/lib/python3/dist-packages/requests/__init__.py",
            library=True,
        ),
        Program(
            "psql",
            "a database for the stack, and its client",
            "postgresql postgresql-client",
            "postgresql-server postgresql postgresql-contrib",
            unit="postgresql.service",
        ),
        Program("iperf3", "the kernel's bulk goodput, to compare with", "iperf3", "iperf3"),
        Program(
            "lwip",
            "a TCP stack in C, to compare with",
            "liblwip-dev",
            "",
            file="/usr/include/lwip/lwip/tcp.h",
            library=True,
        ),
    )
}


def ensure(names: Iterable[str]) -> None:
    """Make the named programs available, or say exactly what is missing and how to install it."""
    missing = [PROGRAMS[name] for name in names if PROGRAMS[name].missing()]
    if not missing:
        return
    manager = next((name for name in ("apt-get", "dnf") if shutil.which(name)), None)
    allowed = os.geteuid() == 0 and os.environ.get("PRONGHORN_SYSTEM_PACKAGES") != "no"
    if manager and allowed:
        note(f"installing system packages for {', '.join(program.name for program in missing)}")
        install(manager, missing)
        missing = [program for program in missing if program.missing()]
    for program in missing:
        warn(f"missing: {program.name} ({program.purpose})")
    if missing and manager:
        warn(f"install with: sudo {manager} install -y {' '.join(packages(manager, missing))}")
        warn("going on without; what needs them is skipped and says so")


def packages(manager: str, programs: Sequence[Program]) -> list[str]:
    return [name for program in programs for name in (program.apt if manager == "apt-get" else program.dnf).split()]


def install(manager: str, programs: Sequence[Program]) -> None:
    """Install as root, asking nothing and starting no service. Failure is not fatal: the caller looks again."""
    if manager == "dnf":  # starts no services by itself
        install_packages(DNF, packages(manager, programs))
        return
    # Without systemd, Debian's invoke-rc.d would look at the run level: 1 starts nothing.
    os.environ.update(DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")
    units = [program.unit for program in programs if program.unit]
    systemd = bool(units) and SYSTEMD.is_dir()
    if systemd:
        run("systemctl", "mask", "--runtime", "--quiet", *units)
    try:
        install_packages(APT, packages(manager, programs))
    finally:
        if systemd:
            run("systemctl", "unmask", "--runtime", "--quiet", *units)
            run("systemctl", "disable", "--quiet", *units)


def install_packages(command: Sequence[str], names: Sequence[str]) -> None:
    """All at once; else one by one, so that a name that does not exist here keeps no other away."""
    if run(*command, *names):
        return
    if command is APT:  # the lists may be old, or never fetched
        run(APT[0], *APT_OPTIONS, "update", "-qq")
        if run(*command, *names):
            return
    for name in names:
        run(*command, name)


def run(*command: str) -> bool:
    """Run quietly; the last lines of a failure are shown."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        print("\n".join(f"    {line}" for line in done.stdout.splitlines()[-5:]), file=sys.stderr)
    return done.returncode == 0
