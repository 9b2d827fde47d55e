"""`pcap:`, the data plane: frames of a file arrive, frames that are sent are written to a file.

Replay is worker 0's: as fast as frames are taken, or by their times in the file against worker.now. Capture is
everyone's: each worker fills a buffer with whole records and writes it at once when it is full, when it has waited
for PATIENCE, and at the end; the file is opened for appending, so records of several workers do not mix.

A capture shows frames as they would be on a wire: unfinished checksums are finished first. Unsegmented frames stay
whole, as tcpdump shows them.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, copy, entry, external, fixed, hot, i32, i64, leaf, u8, u32, u64
from pronghorn.ports.offload import complete_checksum
from pronghorn.ports.pcap_file import SECOND, PcapFile, pcap_begin, pcap_next
from pronghorn.state.packet import CHECKSUM_PARTIAL, HEADROOM, SMALL_ROOM, Packet
from pronghorn.state.packets import allocate_for, release
from pronghorn.state.port import Port, Queue
from pronghorn.state.worker import Worker

PATIENCE = 100_000_000  # ns
BUFFER = 1 << 18
RECORD = 16
NANOSECOND_MAGIC = 0xA1B23C4D
_ROOM = 1 << 17
PERCENT = 100

write = external("write", (i32, u64, u64), i64)


class Record(View, align=4, size=RECORD):
    """What stands before each frame of a pcap file, in this machine's byte order."""

    seconds: u32
    nanoseconds: u32
    captured: u32  # octets of the frame that follow
    length: u32  # octets that it had


class PcapQueue(View, align=64):
    """A worker's end. Written by that worker."""

    file: u64  # address of the PcapFile to replay; 0: nothing
    speed: u64  # percent of the file's own; 0: as fast as frames are taken
    began: u64  # worker.now when the first frame was sent; 0 before
    first: u64  # time of the first frame in the file
    found: u32  # 1 while a frame has been found and waits for its time, or for a packet
    repeat: u32  # 1: begin again at the end
    fd: i32  # of the capture; -1: none
    snap: u32  # octets of each frame that are written
    used: u64  # octets in the buffer
    waiting: u64  # frames in the buffer
    since: u64  # worker.now when the first of them came
    clock: u64  # what makes worker.now the time of day
    lost: u64  # frames that could not be written
    wrong: u64  # frames of the file that no packet can hold
    buffer: Array[u8] = fixed(BUFFER, align=64)


@hot
def pcap_receive(worker: Worker, port: Port, queue: Queue, room: int) -> int:
    """Frames of the file whose time has come into worker.burst; returns how many."""
    own = PcapQueue(queue.driver)
    if own.used != 0 and worker.now - own.since >= PATIENCE:
        pcap_flush(own)
    if own.file == 0:
        return 0
    file = PcapFile(own.file)
    received, octets = 0, 0
    while received < room and _due(worker, own, file):
        packet = allocate_for(worker, file.length)
        if packet.address == 0 and file.length <= SMALL_ROOM:
            break  # it stays in the file
        own.found = 0
        if packet.address == 0 or file.length > packet.room - HEADROOM:
            own.wrong += 1
            queue.rx_errors += 1
            if packet.address != 0:
                release(worker, packet)
            continue
        copy(packet.data, file.start + file.at, file.length)
        packet.length, packet.port = file.length, queue.port
        worker.burst[received] = packet.address
        received += 1
        octets += file.length
    queue.rx_packets += received
    queue.rx_octets += octets
    return received


@leaf
def _due(worker: Worker, own: PcapQueue, file: PcapFile) -> bool:
    """Whether there is a frame, and its time has come."""
    if own.found == 0 and not _find(worker, own, file):
        return False
    return own.speed == 0 or (file.time - own.first) * PERCENT <= (worker.now - own.began) * own.speed


@hot
def _find(worker: Worker, own: PcapQueue, file: PcapFile) -> bool:
    if not pcap_next(file):
        if own.repeat == 0 or file.problem != 0 or file.frames == 0 or not pcap_begin(file) or not pcap_next(file):
            return False
        own.began = 0
    if own.began == 0:
        own.began, own.first = worker.now, file.time
    own.found = 1
    return True


@hot
def pcap_transmit(worker: Worker, port: Port, queue: Queue, packets: Array[u64], count: int) -> int:
    """Write the frames; without a capture nothing is taken. Returns how many were."""
    own = PcapQueue(queue.driver)
    if own.fd < 0:
        return 0
    octets, taken = 0, 0
    while taken < count:
        packet = Packet(packets[taken])
        if own.used + RECORD + _ROOM > BUFFER and pcap_flush(own) != 0:
            break
        if own.used == 0:
            own.since = worker.now
        if packet.flags & CHECKSUM_PARTIAL != 0:
            complete_checksum(packet.data, packet.length)
        _write(worker, own, packet)
        octets += packet.length
        taken += 1
        release(worker, packet)
    queue.tx_packets += taken
    queue.tx_octets += octets
    return taken


@leaf
def _write(worker: Worker, own: PcapQueue, packet: Packet) -> None:
    record = Record(own.buffer.address + own.used)
    now = worker.now + own.clock
    captured = min(packet.length, own.snap)
    record.seconds, record.nanoseconds = now // SECOND, now % SECOND
    record.captured, record.length = captured, packet.length
    copy(record.address + RECORD, packet.data, captured)
    own.used += RECORD + captured
    own.waiting += 1


@entry
def pcap_flush(own: PcapQueue) -> int:
    """Write what is in the buffer; returns how many octets could not be, which ends the capture."""
    done = 0
    while done < own.used:
        step = write(own.fd, own.buffer.address + done, own.used - done)
        if step <= 0:
            break
        done += step
    rest = own.used - done
    if rest != 0:
        own.lost += own.waiting
        own.fd = -1
    own.used, own.waiting = 0, 0
    return rest
