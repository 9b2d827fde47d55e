"""A program's own engine, reached by a user-veth link to its keeper (docs/adr/0013-accelerated-programs.md).

    worker = engine_attach(configuration, welcome, memory, octets, own_pipe, pipes)
    engine_poll(worker)                        # time, and one turn: how much there was to do
    sleep = engine_doze(worker)                # nothing: how long the caller may sleep, in ppoll(2) on own_pipe
    engine_wake(worker)                        # and afterwards

Laid out as in embedded.py, but port 0 is a link over lanes in the shared memory (ports/link_lay.py), port 1 leads back
here, for what the program says to itself, and time is the machine's. Whoever calls holds a lock: one thread at a time.

Every number of the Welcome is checked; what the other side writes into the shared memory later is checked where it is
read (ports/veth_lane.py). Descriptors and the shared mapping stay the caller's. The ends to write must be such that
writing never raises SIGPIPE: a pipe that is open for reading too.

On a link with SHARED_ADDRESSES what no socket here takes leaves by the link, though it goes to an address of our own:
another process has that address too (tcp/here.py, udp/way.py).
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, array_at, constants, entry, hot, i32, leaf, load32, store32, u32, u64
from pronghorn.compiled.hashing import mix
from pronghorn.engine.clock import clock_adjust, clock_now, clock_start
from pronghorn.engine.embedded import (
    RAW_IP,
    Embedded,
    EngineConfiguration,
    embedded_begin,
    embedded_end,
    embedded_of,
    engine_destroy,
    lay_rooms,
    lay_worker,
)
from pronghorn.engine.loop import Loop
from pronghorn.engine.timers import set_alarm
from pronghorn.engine.turn import turn
from pronghorn.memory.layout import lay
from pronghorn.memory.ring import Ring, ring_waiting
from pronghorn.net.change import address_add
from pronghorn.net.change_routes import route_add
from pronghorn.net.state import FAR_MAC, MAPPED, net_of
from pronghorn.ports.link_lay import lanes_octets, link_lanes, link_lay
from pronghorn.ports.rss import RssTable, rss_symmetric
from pronghorn.ports.veth import VethQueue
from pronghorn.ports.veth_here import here_lay, here_octets
from pronghorn.ports.veth_lane import LANE_RING, UP, LaneEnd, LaneSide, lane_close, lane_open
from pronghorn.ports.veth_link import LinkQueue, link_call, link_doze, link_is_up, link_tell, link_wake
from pronghorn.ports.veth_rings import CONSENT, Inlet
from pronghorn.state.attach import ADDRESSES, MAGIC, PIPES, SHARED_ADDRESSES, VERSION, Welcome
from pronghorn.state.port import CHECKSUM_RX, CHECKSUM_TX, INPUT, SEGMENTATION, VETH
from pronghorn.state.worker import NEVER, Worker
from pronghorn.tcp.tcb import tcp_of
from pronghorn.udp.endpoint import udp_of

BAD_WELCOME = 4  # EngineConfiguration.error; `wrong` is the offset of the field of the Welcome that cannot be

constants("Why there is no engine at the end of a link.", "ENGINE", BAD_WELCOME=BAD_WELCOME)

SECOND = 1_000_000_000
MEASURE = 200_000
"""ns that the clock is measured for: it is measured again in the first tenth of a second (clock.py)."""

LINK, HERE = 0, 1
"""Ports and interfaces."""

_PAGE = 4095
_LEAST_MTU = 1280


class Attached(View, align=64):
    """What an attached engine has beside a worker."""

    link: u64  # address of the LinkQueue
    here: u64  # address of the Inlet of port HERE
    lanes: Array[LaneEnd]
    lane_count: u32
    unused: u32


@leaf
def _attached(worker: Worker) -> Attached:
    return Attached(embedded_of(worker).attached)


@entry
def engine_attach(
    configuration: EngineConfiguration, welcome: Welcome, memory: int, octets: int, own_pipe: int, pipes: Array[i32]
) -> Worker:
    """Make an engine at one end of the link that `welcome` tells of; NULL, and `error` in the configuration: why not.

    `memory` is the address of the shared mapping and `octets` its length; `own_pipe` is to be read and `pipes`,
    one for each queue of the other side, to be written, and neither waits. They are not closed here. Ports, MTU, flags
    and offloads of the configuration follow from the link.
    """
    wrong = _look(welcome, memory, octets)
    if wrong >= 0:
        configuration.error, configuration.wrong = BAD_WELCOME, wrong
        return Worker(0)
    _prefer(configuration, welcome)
    own = embedded_begin(configuration)
    if own.address == 0:
        return Worker(0)
    worker = lay_worker(own, configuration)
    if own.layout.full == 0:
        clock_start(worker, Loop(worker.loop), MEASURE)
        worker.due = worker.now
        _lay_link(own, worker, welcome, memory, own_pipe, pipes)
        _lay_here(own, worker)
        lay_rooms(own, worker, configuration)
    if own.layout.full == 0:
        wrong = _address(worker, welcome)
        if wrong >= 0:
            configuration.error, configuration.wrong = BAD_WELCOME, wrong
            engine_destroy(worker)
            return Worker(0)
    worker = embedded_end(own, worker, configuration)
    if worker.address != 0:
        _open(worker, configuration.seed)
    return worker


# --- what is asked for --------------------------------------------------------------------------------------------

_MAGIC, _VERSION, _ERROR, _END, _QUEUES, _MTU, _SESSION, _LOW, _COUNT, _OWN = map(
    Welcome.offset,
    ("magic", "version", "error", "end", "queues", "mtu", "session", "port_low", "count", "addresses"),
)


@hot
def _look(welcome: Welcome, memory: int, octets: int) -> int:
    """Offset of the first field of the Welcome that cannot be; -1: it can all be."""
    if welcome.magic != MAGIC:
        return _MAGIC
    if welcome.version != VERSION:
        return _VERSION
    if welcome.error != 0:
        return _ERROR
    if welcome.end > 1:
        return _END
    queues = welcome.queues
    if queues < 1 or queues > PIPES or memory & 63 != 0 or memory == 0 or octets < lanes_octets(queues):
        return _QUEUES
    if welcome.mtu < _LEAST_MTU or welcome.mtu > 65535:
        return _MTU
    if welcome.session == 0:
        return _SESSION
    if welcome.port_low == 0 or welcome.port_low > welcome.port_high:
        return _LOW
    if welcome.count < 1 or welcome.count > ADDRESSES:
        return _COUNT
    for place in range(welcome.count):
        own = welcome.addresses[place]
        four = own.family == 4 and own.length <= 32 and own.hi == 0 and own.lo >> 32 == MAPPED >> 32
        if not four and not (own.family == 6 and own.length <= 128 and own.hi != 0):
            return own.address - welcome.address
    return -1


_PACKETS, _LARGE, _SOCKETS, _CONNECTIONS, _DATAGRAMS, _BUFFERS = map(
    EngineConfiguration.offset, ("packets", "large_packets", "sockets", "connections", "datagrams", "buffers")
)


@hot
def _prefer(configuration: EngineConfiguration, welcome: Welcome) -> None:
    """What is usual for a program where 0 leaves it open: addresses for much cost nothing. And what the link gives."""
    _usual(configuration, _PACKETS, 4096)
    _usual(configuration, _LARGE, 512)
    _usual(configuration, _SOCKETS, 1 << 20)
    _usual(configuration, _CONNECTIONS, 1 << 20)
    _usual(configuration, _DATAGRAMS, 1 << 16)
    _usual(configuration, _BUFFERS, 1 << 20)
    configuration.ports, configuration.mtu = 2, welcome.mtu
    configuration.frames, configuration.flags = 1, RAW_IP
    configuration.offloads = CHECKSUM_TX | CHECKSUM_RX | SEGMENTATION


@leaf
def _usual(configuration: EngineConfiguration, field: int, usual: int) -> None:
    if load32(configuration.address + field) == 0:
        store32(configuration.address + field, usual)


# --- laying out ---------------------------------------------------------------------------------------------------


@hot
def _lay_link(own: Embedded, worker: Worker, welcome: Welcome, memory: int, own_pipe: int, pipes: Array[i32]) -> None:
    """Port LINK, its lanes not open yet."""
    layout, queues = own.layout, welcome.queues
    attached = Attached(lay(layout, Attached.SIZE, Attached.ALIGN))
    link, inlet = lay(layout, LinkQueue.SIZE, LinkQueue.ALIGN), lay(layout, Inlet.SIZE, Inlet.ALIGN)
    end = lay(layout, VethQueue.SIZE, VethQueue.ALIGN)
    lanes = lay(layout, link_lanes(queues, 0, 1) * LaneEnd.SIZE, LaneEnd.ALIGN)
    marks = lay(layout, 8 * LANE_RING * queues, 64)
    rss = lay(layout, RssTable.SIZE, RssTable.ALIGN)
    numbers = array_at(i32, lay(layout, 4 * (queues + 1), 64))
    if layout.full != 0:
        return
    own.attached = attached.address
    attached.link, attached.lanes = link, array_at(LaneEnd, lanes)
    queue = LinkQueue(link)
    attached.lane_count = link_lay(queue, lanes, array_at(u64, marks), memory, queues, welcome.end, 0, 1, CONSENT)
    for place in range(queues):
        numbers[place] = pipes[place]
    numbers[queues] = own_pipe
    queue.theirs, queue.pipes = numbers, array_at(i32, numbers.address + 4 * queues)
    queue.pipe_count, queue.rss, queue.asks = 1, rss, 1
    if queues > 1:
        rss_symmetric(RssTable(rss), queues)
    Inlet(inlet).last = NEVER  # nobody sends there: it is never quiet for long enough to be asked
    VethQueue(end).inlet, VethQueue(end).link = inlet, link
    _describe(worker, LINK, end, welcome.mtu)


@hot
def _lay_here(own: Embedded, worker: Worker) -> None:
    """Port HERE."""
    layout = own.layout
    start = lay(layout, here_octets(), 64)
    if layout.full != 0:
        return
    end = here_lay(start)
    _attached(worker).here = end.inlet
    _describe(worker, HERE, end.address, worker.ports[LINK].mtu)


@hot
def _describe(worker: Worker, index: int, end: int, mtu: int) -> None:
    port, queue = worker.ports[index], worker.queues[index]
    port.kind, port.role, port.index, port.interface, port.queues, port.up = VETH, INPUT, index, index, 1, 1
    port.mtu, port.offloads = mtu, CHECKSUM_TX | CHECKSUM_RX | SEGMENTATION
    queue.driver, queue.port, queue.fd = end, index, -1
    worker.port_count = index + 1


@hot
def _address(worker: Worker, welcome: Welcome) -> int:
    """Addresses, routes and ports as the Welcome has them. Offset of what cannot be, or -1."""
    shared = welcome.flags & SHARED_ADDRESSES != 0
    for place in range(welcome.count):
        own = welcome.addresses[place]
        length = own.length + 96 if own.family == 4 else own.length
        if address_add(worker, LINK, own.hi, own.lo, length) < 0:
            return own.address - welcome.address
        if not shared and route_add(worker, own.hi, own.lo, 128, HERE, 0, 0, 0) < 0:
            return own.address - welcome.address
    if route_add(worker, 0, MAPPED, 96, LINK, 0, 0, 0) < 0 or route_add(worker, 0, 0, 0, LINK, 0, 0, 0) < 0:
        return _OWN
    net, tcp, udp = net_of(worker), tcp_of(worker), udp_of(worker)
    net.here, net.shared = HERE + 1, 1 if shared else 0
    if welcome.secret != 0 or welcome.secret2 != 0:  # the ports that are tried first stay this engine's (port_salt)
        tcp.secret, tcp.secret2 = welcome.secret, welcome.secret2
    tcp.port_low, tcp.port_high = welcome.port_low, welcome.port_high
    udp.port_low, udp.port_high = welcome.port_low, welcome.port_high
    for index in range(2):
        worker.ports[index].mac = FAR_MAC  # what everybody on a link sends to
    return -1


@hot
def _open(worker: Worker, seed: int) -> None:
    """Come: the other side is told."""
    attached = _attached(worker)
    session = (mix(seed, 7, worker.now) & 0x0FFF_FFFF_FFFF_FFFF) + 1
    for place in range(attached.lane_count):
        lane_open(attached.lanes[place], session)
    link_call(LinkQueue(attached.link))


@entry
def engine_detach(worker: Worker) -> None:
    """Go: the other side sees it at once. The engine's memory is given back; descriptors and the lanes' memory stay."""
    attached = _attached(worker)
    link = LinkQueue(attached.link)
    for place in range(attached.lane_count):
        lane_close(attached.lanes[place])
    link_tell(link)
    engine_destroy(worker)


@entry
def engine_forget(worker: Worker) -> None:
    """In a child after fork(2): give back this copy of the engine's memory. The link is the parent's; nobody hears."""
    engine_destroy(worker)


# --- going on -----------------------------------------------------------------------------------------------------


@entry
def engine_poll(worker: Worker) -> int:
    """The time, and one turn. How much work there was."""
    worker.now = clock_now(worker, Loop(worker.loop))
    worker.turns += 1
    work = turn(worker)
    if work == 0:
        worker.idle_turns += 1
    return work


@entry
def engine_linked(worker: Worker) -> int:
    """1 when the other side is there, so that frames pass both ways; otherwise 0."""
    return 1 if link_is_up(LinkQueue(_attached(worker).link)) else 0


@entry
def engine_untaken(worker: Worker) -> int:
    """Frames that the other side, which is there, has not taken from the link: they are lost when this side goes."""
    attached = _attached(worker)
    waiting = 0
    for place in range(attached.lane_count):
        lane = attached.lanes[place]
        if lane.sender != 0 and lane.state == UP and LaneSide(lane.other).session == lane.known:
            waiting += min(max(lane.end.mine - Ring(lane.ring).head, 0), LANE_RING)
    return waiting


@entry
def engine_doze(worker: Worker) -> int:
    """Before the caller sleeps on its pipe: ask for wake-ups. ns that it may sleep at most, one second if nothing is
    due; 0: there is something to do. After the sleep `engine_wake` is to be called."""
    set_alarm(worker)  # calls since the last turn may have given the rooms something to do
    attached = _attached(worker)
    for index in range(worker.port_count):
        if worker.queues[index].waiting != 0:
            return 0
    left = min(worker.due - clock_now(worker, Loop(worker.loop)), SECOND)
    if left <= 0 or ring_waiting(Inlet(attached.here).rings[0]) or not link_doze(worker, LinkQueue(attached.link)):
        return 0
    worker.sleeps += 1
    return left


@entry
def engine_wake(worker: Worker) -> None:
    """After the sleep, whatever ended it: the clock is set, and wake-ups are not wanted any more."""
    worker.now = clock_adjust(worker, Loop(worker.loop))
    link_wake(LinkQueue(_attached(worker).link))


@entry
def engine_now(worker: Worker) -> int:
    """Set the engine's clock, and return it: CLOCK_MONOTONIC, ns."""
    worker.now = clock_now(worker, Loop(worker.loop))
    return worker.now
