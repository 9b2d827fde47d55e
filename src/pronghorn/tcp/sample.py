"""What one acknowledgement has brought: scratch for recovery.py and its neighbours, and their names for bits.

A `Sample` is filled from the beginning of `acknowledge` to its end and means nothing afterwards. The delivery rate is
estimated as in draft-ietf-ccwg-bbr 4.5.2 (Linux's net/ipv4/tcp_rate.c): what was delivered between the time when the
most recently sent of the segments now delivered was sent, and now, over the longer of the times that sending and
acknowledging it took.
"""

from __future__ import annotations

from pronghorn.compiled import View, u32, u64

# signals: what `acknowledge` is told, kept in Sample.flags
PURE = 1  # no data, no SYN or FIN, window unchanged, something in flight: may count as a duplicate
ECE_SEEN = 2
WINDOW_CHANGED = 4
# Sample.flags
ADVANCED = 8  # snd_una moved
DATA_SACKED = 16  # SACK reported something new
ORIGINAL = 32  # something that was sent once, before recovery_point, has arrived
RESENT_ACKED = 64  # the cumulative acknowledgement covered something that was sent twice
DSACK_SEEN = 128
RENEGED = 256  # the first octet in flight was once reported by SACK
RATED = 512  # prior_... are valid
RATE_LIMITED = 1024  # the application had nothing to send: the rate is a lower bound
LOST_AGAIN = 2048  # a retransmission was lost
ECHOED = 8192
DUPLICATE = 16384  # counts as a duplicate acknowledgement (RFC 5681 2)
REORDERED = 32768  # something that was sent once has arrived behind what was sent after it
ROUND_OVER = 4096  # BBR: a round trip has ended

NO_RTT = 0xFFFF_FFFF

# Tcb.marks
UNDO_ARMED = 1  # undo_... hold what there was before the window was reduced
UNDO_SENT = 2  # something was sent again since
REORDER_SEEN = 4  # the path reorders: three duplicates no longer mean a loss (RFC 8985 6.2, step 4)
DSACK_WAITS = 8  # dsack_round is valid
WINDOW_LIMITED = 16  # the congestion window, not the application, limited the last flight
BUBBLE = 32  # app_limited_until is valid
PACED = 64  # the connection asks for pacing
HANDSHAKE_LOST = 128  # SYN was sent more than once

# timer_due returns
NOTHING, SEND, PROBE = 0, 1, 2
# Tcb.retransmit_kind
RETRANSMIT, LOSS_PROBE, REORDERING, WINDOW_PROBE = 1, 2, 3, 4


class Sample(View, align=64, size=128):
    """One acknowledgement."""

    flags: u32
    now: u32  # stamp
    before: u32  # snd_una before it
    acked: u32  # octets newly acknowledged cumulatively
    sacked: u32  # octets newly reported by SACK
    lost: u32  # octets newly considered lost
    flight: u32  # octets in flight before it
    rtt: u32  # us, of the oldest segment now delivered; NO_RTT
    rtt_last: u32  # us, of the one sent last; NO_RTT
    prior_delivered: u32  # tcb.delivered when the most recently sent of the delivered segments was sent
    prior_at: u32  # stamp of the delivery before that
    sent: u32  # stamp: when it was sent
    end: u32  # its end
    first_sent: u32  # stamp: when the first one of its sampling interval was sent
    interval: u32  # us; 0: no sample
    sack_end: u32  # end of the highest segment now delivered by SACK
    floor: u32  # sack_high before it
    echo: u32  # the peer's echo of our timestamp, when ECHOED
    delivered: u64  # octets newly delivered, by either way
    rate: u64  # octets a second; 0: no sample
