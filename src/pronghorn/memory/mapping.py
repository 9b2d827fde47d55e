"""One stretch of address space: reserved at once, filled with memory as it is touched.

`mmap` with MAP_NORESERVE costs nothing until a page is written, so an arena can be far larger than the machine and its
tables never have to move. Python's own mmap module cannot choose an address, hence the plain system calls.

Which pages back it is an optimisation and never a requirement:

    hugetlb       pages of 2 MiB set aside by the administrator; only when asked for and when enough are free, because a
                  page that is missing later would be a SIGBUS in the data plane
    transparent   madvise(MADV_HUGEPAGE) for what is populated ahead: the kernel gives 2 MiB where it can
    ordinary      the rest, and all that is touched first by the data plane: touching 4 KiB costs a microsecond or two,
                  touching 2 MiB from 170 microseconds to milliseconds (docs/adr/0003-memory.md)
"""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PAGE = 4096
HUGE_PAGE = 2 << 20

Huge = Literal["auto", "hugetlb", "never"]
Pages = Literal["hugetlb", "transparent", "ordinary"]

_PROT_READ, _PROT_WRITE = 1, 2
_MAP_SHARED, _MAP_PRIVATE, _MAP_ANONYMOUS = 0x01, 0x02, 0x20
_MAP_NORESERVE, _MAP_HUGETLB, _MAP_FIXED_NOREPLACE = 0x4000, 0x40000, 0x100000
_MADV_DONTNEED, _MADV_REMOVE, _MADV_HUGEPAGE, _MADV_NOHUGEPAGE, _MADV_POPULATE_WRITE = 4, 9, 14, 15, 23
_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


@dataclass(frozen=True)
class Mapping:
    """Where the memory lies and what backs it. `descriptor` is -1 for private memory."""

    address: int
    octets: int
    descriptor: int
    pages: Pages

    def discard(self, address: int, octets: int) -> None:
        """Give the pages back; they read as zero afterwards."""
        if self.pages != "hugetlb":
            _libc.madvise(address, octets, _MADV_NOHUGEPAGE)
        advice = _MADV_DONTNEED if self.descriptor < 0 else _MADV_REMOVE
        if octets and _libc.madvise(address, octets, advice) != 0:
            ctypes.memset(address, 0, octets)

    def populate(self, address: int, octets: int) -> None:
        """Back the pages with memory now, so that the data plane does not wait for them. OSError: there is no room."""
        if octets <= 0:
            return
        start = address // PAGE * PAGE
        octets += address - start
        if self.pages == "transparent" and octets >= HUGE_PAGE:
            _libc.madvise(start, octets, _MADV_HUGEPAGE)
        if self.descriptor >= 0:
            os.posix_fallocate(self.descriptor, start - self.address, octets)
        if _libc.madvise(start, octets, _MADV_POPULATE_WRITE) == 0:
            return
        reason = ctypes.get_errno()
        if reason != errno.EINVAL:  # EINVAL: a kernel before 5.14
            raise OSError(reason, os.strerror(reason))
        for page in range(start, start + octets, PAGE):
            octet = ctypes.c_uint8.from_address(page)
            octet.value = octet.value

    def unmap(self) -> None:
        """Give the address space back."""
        _libc.munmap(self.address, self.octets)


def map_private(address: int | None, octets: int, huge: Huge) -> Mapping:
    """Memory of this process alone."""
    flags = _MAP_PRIVATE | _MAP_ANONYMOUS
    if huge == "hugetlb" and free_huge_pages() * HUGE_PAGE >= octets:
        try:
            return Mapping(_map(address, octets, flags | _MAP_HUGETLB, -1, writable=True), octets, -1, "hugetlb")
        except OSError:
            pass  # taken by someone else meanwhile: ordinary memory serves as well
    start = _map(address, octets, flags | _MAP_NORESERVE, -1, writable=True)
    return Mapping(start, octets, -1, _advise(start, octets, huge, "enabled"))


def map_shared(address: int | None, octets: int, descriptor: int, huge: Huge, *, writable: bool) -> Mapping:
    """The file behind `descriptor`, shared with whoever maps it too."""
    start = _map(address, octets, _MAP_SHARED | _MAP_NORESERVE, descriptor, writable=writable)
    return Mapping(start, octets, descriptor, _advise(start, octets, huge, "shmem_enabled"))


def free_huge_pages() -> int:
    """Pages of 2 MiB that the administrator set aside and nobody uses."""
    try:
        return int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text())
    except (OSError, ValueError):
        return 0


def _advise(start: int, octets: int, huge: Huge, policy: str) -> Pages:
    try:
        allowed = "[never]" not in Path(f"/sys/kernel/mm/transparent_hugepage/{policy}").read_text()
    except OSError:
        allowed = False
    _libc.madvise(start, octets, _MADV_NOHUGEPAGE)
    return "transparent" if allowed and huge != "never" else "ordinary"


def _map(address: int | None, octets: int, flags: int, descriptor: int, *, writable: bool) -> int:
    """mmap at exactly `address`, or, when it is None, at a multiple of 2 MiB that the kernel chooses."""
    if address is not None:
        flags |= _MAP_FIXED_NOREPLACE
    protection = _PROT_READ | (_PROT_WRITE if writable else 0)
    spare = 0 if address is not None else HUGE_PAGE
    if spare:
        address = _reserve(octets + spare)
        flags |= 0x10  # MAP_FIXED: over our own reservation
    start = _libc.mmap(address, octets, protection, flags, descriptor, 0)
    if start == _FAILED:
        reason = ctypes.get_errno()
        raise OSError(reason, os.strerror(reason))
    if start != address:  # a kernel before 4.17 takes the address as a hint
        _libc.munmap(start, octets)
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
    return int(start)


def _reserve(octets: int) -> int:
    """Find free address space and return its first multiple of 2 MiB; what lies around it is given back."""
    start = _libc.mmap(None, octets, 0, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE, -1, 0)
    if start == _FAILED:
        reason = ctypes.get_errno()
        raise OSError(reason, os.strerror(reason))
    aligned = -(-start // HUGE_PAGE) * HUGE_PAGE
    if aligned > start:
        _libc.munmap(start, aligned - start)
    tail = start + octets - (aligned + octets - HUGE_PAGE)
    if tail > 0:
        _libc.munmap(aligned + octets - HUGE_PAGE, tail)
    return int(aligned)
