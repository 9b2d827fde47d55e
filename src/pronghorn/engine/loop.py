"""What the loop itself keeps for a worker: its clock, its inbox, when to sleep. Packets and tables are in
state/worker.py."""

from __future__ import annotations

from pronghorn.compiled import Array, View, au32, field, fixed, i32, u32, u64
from pronghorn.memory.mpsc_ring import MpscEnd

# tags of inbox entries, the top 8 of their 48 bits; 0 for a packet's index, dispatched by another worker
COMMAND_ENTRY = 1 << 40  # a command's number: from the control plane
ENTRY_TAG = 0xFF << 40


class Loop(View, align=64):
    """The loop's own state; written by its worker, `stop` excepted."""

    cycles_then: u64  # time-stamp counter at the last calibration
    now_then: u64  # worker.now at that moment, ns
    true_then: u64  # CLOCK_MONOTONIC at that moment, ns; not after now_then
    scale: u64  # ns per cycle, times 2**32
    horizon: u64  # cycles after which the clock is calibrated again
    last_work: u64  # worker.now of the last turn that found something
    spin: u64  # ns without work before the worker sleeps
    nap: u64  # ns it sleeps at most; timers are looked at at least so often
    epoll_fd: i32  # waits for the ports' descriptors and for this worker's eventfd
    barren: u32  # times in a row that a descriptor ended the sleep and there was nothing to do
    command: u32  # number of the command that ended `run`
    stop: au32 = field(align=64)  # 1: end `run` after this turn; any thread may write it
    inbox: MpscEnd = field(align=64)  # consumer's end of this worker's inbox
    control: MpscEnd  # the control plane's end of this worker's inbox, and the one entry it pushes
    control_entry: Array[u64] = fixed(1, align=8)
    wake_fds: Array[i32]  # eventfd of every worker
    entries: Array[u64] = fixed(64, align=64)  # room to pop into
