"""What an SNMP agent or `nstat` asks for: counters by the names that Linux and the MIBs give them.

RFC 1213 (MIB-II), RFC 4022 (TCP), RFC 4113 (UDP), and Linux's TcpExt (net/ipv4/proc.c, Documentation/networking/
snmp_counter.rst). A counter is a place in a worker's `Endpoints.mib`, with one writer; sums over workers are made by
whoever shows them. What the verdicts count already (headers that were bad, no route) is not counted again here.
"""

from __future__ import annotations

MIB = 160
"""Places in a worker's table of counters."""

COUNTERS: list[tuple[str, str]] = []
"""Group and name of each counter, by number: ("Tcp", "ActiveOpens")."""


def _counter(group: str, name: str) -> int:
    COUNTERS.append((group, name))
    return len(COUNTERS) - 1


# Tcp (RFC 4022)
ACTIVE_OPENS = _counter("Tcp", "ActiveOpens")
PASSIVE_OPENS = _counter("Tcp", "PassiveOpens")
ATTEMPT_FAILS = _counter("Tcp", "AttemptFails")
ESTAB_RESETS = _counter("Tcp", "EstabResets")
CURR_ESTAB = _counter("Tcp", "CurrEstab")  # a gauge
IN_SEGS = _counter("Tcp", "InSegs")
OUT_SEGS = _counter("Tcp", "OutSegs")
RETRANS_SEGS = _counter("Tcp", "RetransSegs")
IN_ERRS = _counter("Tcp", "InErrs")
OUT_RSTS = _counter("Tcp", "OutRsts")
IN_CSUM_ERRORS = _counter("Tcp", "InCsumErrors")

# Udp (RFC 4113)
UDP_IN_DATAGRAMS = _counter("Udp", "InDatagrams")
UDP_NO_PORTS = _counter("Udp", "NoPorts")
UDP_IN_ERRORS = _counter("Udp", "InErrors")
UDP_OUT_DATAGRAMS = _counter("Udp", "OutDatagrams")
UDP_RCVBUF_ERRORS = _counter("Udp", "RcvbufErrors")
UDP_SNDBUF_ERRORS = _counter("Udp", "SndbufErrors")
UDP_IN_CSUM_ERRORS = _counter("Udp", "InCsumErrors")
UDP_IGNORED_MULTI = _counter("Udp", "IgnoredMulti")
UDP_MEM_ERRORS = _counter("Udp", "MemErrors")

# TcpExt: opening
SYNCOOKIES_SENT = _counter("TcpExt", "SyncookiesSent")
SYNCOOKIES_RECV = _counter("TcpExt", "SyncookiesRecv")
SYNCOOKIES_FAILED = _counter("TcpExt", "SyncookiesFailed")
EMBRYONIC_RSTS = _counter("TcpExt", "EmbryonicRsts")
LISTEN_OVERFLOWS = _counter("TcpExt", "ListenOverflows")
LISTEN_DROPS = _counter("TcpExt", "ListenDrops")
REQ_Q_FULL_DO_COOKIES = _counter("TcpExt", "TCPReqQFullDoCookies")
SYN_RETRANS = _counter("TcpExt", "TCPSynRetrans")
DEFER_ACCEPT_DROP = _counter("TcpExt", "TCPDeferAcceptDrop")
FAST_OPEN_ACTIVE = _counter("TcpExt", "TCPFastOpenActive")
FAST_OPEN_ACTIVE_FAIL = _counter("TcpExt", "TCPFastOpenActiveFail")
FAST_OPEN_PASSIVE = _counter("TcpExt", "TCPFastOpenPassive")
FAST_OPEN_PASSIVE_FAIL = _counter("TcpExt", "TCPFastOpenPassiveFail")
FAST_OPEN_PASSIVE_ALT_KEY = _counter("TcpExt", "TCPFastOpenPassiveAltKey")
FAST_OPEN_LISTEN_OVERFLOW = _counter("TcpExt", "TCPFastOpenListenOverflow")
FAST_OPEN_BLACKHOLE = _counter("TcpExt", "TCPFastOpenBlackhole")
FAST_OPEN_COOKIE_REQD = _counter("TcpExt", "TCPFastOpenCookieReqd")
# TcpExt: ending
TIME_WAITED = _counter("TcpExt", "TW")
TIME_WAIT_RECYCLED = _counter("TcpExt", "TWRecycled")
TIME_WAIT_KILLED = _counter("TcpExt", "TWKilled")
TIME_WAIT_OVERFLOW = _counter("TcpExt", "TCPTimeWaitOverflow")
ABORT_ON_DATA = _counter("TcpExt", "TCPAbortOnData")
ABORT_ON_CLOSE = _counter("TcpExt", "TCPAbortOnClose")
ABORT_ON_MEMORY = _counter("TcpExt", "TCPAbortOnMemory")
ABORT_ON_TIMEOUT = _counter("TcpExt", "TCPAbortOnTimeout")
ABORT_ON_LINGER = _counter("TcpExt", "TCPAbortOnLinger")
ABORT_FAILED = _counter("TcpExt", "TCPAbortFailed")
# TcpExt: segments refused
PAWS_ACTIVE = _counter("TcpExt", "PAWSActive")
PAWS_ESTAB = _counter("TcpExt", "PAWSEstab")
CHALLENGE_ACK = _counter("TcpExt", "TCPChallengeACK")
SYN_CHALLENGE = _counter("TcpExt", "TCPSYNChallenge")
ACK_SKIPPED_CHALLENGE = _counter("TcpExt", "TCPACKSkippedChallenge")
OUT_OF_WINDOW_ICMPS = _counter("TcpExt", "OutOfWindowIcmps")
OLD_ACKS = _counter("TcpExt", "TCPOldAcks")  # of our own: acknowledgements older than the window RFC 5961 5.2 allows
# TcpExt: receiving
DELAYED_ACKS = _counter("TcpExt", "DelayedACKs")
DELAYED_ACK_LOST = _counter("TcpExt", "DelayedACKLost")
PURE_ACKS = _counter("TcpExt", "TCPPureAcks")
HP_HITS = _counter("TcpExt", "TCPHPHits")
HP_ACKS = _counter("TcpExt", "TCPHPAcks")
OFO_QUEUE = _counter("TcpExt", "TCPOFOQueue")
OFO_DROP = _counter("TcpExt", "TCPOFODrop")
OFO_MERGE = _counter("TcpExt", "TCPOFOMerge")
OFO_PRUNED = _counter("TcpExt", "OfoPruned")
RCV_COLLAPSED = _counter("TcpExt", "TCPRcvCollapsed")
RCV_COALESCE = _counter("TcpExt", "TCPRcvCoalesce")
RCV_Q_DROP = _counter("TcpExt", "TCPRcvQDrop")
ZERO_WINDOW_DROP = _counter("TcpExt", "TCPZeroWindowDrop")
TO_ZERO_WINDOW_ADV = _counter("TcpExt", "TCPToZeroWindowAdv")
FROM_ZERO_WINDOW_ADV = _counter("TcpExt", "TCPFromZeroWindowAdv")
WANT_ZERO_WINDOW_ADV = _counter("TcpExt", "TCPWantZeroWindowAdv")
MEMORY_PRESSURES = _counter("TcpExt", "TCPMemoryPressures")
DSACK_OLD_SENT = _counter("TcpExt", "TCPDSACKOldSent")
DSACK_OFO_SENT = _counter("TcpExt", "TCPDSACKOfoSent")
# TcpExt: sending and recovering
ORIG_DATA_SENT = _counter("TcpExt", "TCPOrigDataSent")
AUTO_CORKING = _counter("TcpExt", "TCPAutoCorking")
WIN_PROBE = _counter("TcpExt", "TCPWinProbe")
KEEP_ALIVES = _counter("TcpExt", "TCPKeepAlive")
TIMEOUTS = _counter("TcpExt", "TCPTimeouts")
SPURIOUS_RTOS = _counter("TcpExt", "TCPSpuriousRTOs")
LOSS_PROBES = _counter("TcpExt", "TCPLossProbes")
LOSS_PROBE_RECOVERY = _counter("TcpExt", "TCPLossProbeRecovery")
FAST_RETRANS = _counter("TcpExt", "TCPFastRetrans")
SLOW_START_RETRANS = _counter("TcpExt", "TCPSlowStartRetrans")
LOST_RETRANSMIT = _counter("TcpExt", "TCPLostRetransmit")
RENO_RECOVERY = _counter("TcpExt", "TCPRenoRecovery")
SACK_RECOVERY = _counter("TcpExt", "TCPSackRecovery")
RENO_FAILURES = _counter("TcpExt", "TCPRenoFailures")
SACK_FAILURES = _counter("TcpExt", "TCPSackFailures")
LOSS_FAILURES = _counter("TcpExt", "TCPLossFailures")
LOSS_UNDO = _counter("TcpExt", "TCPLossUndo")
FULL_UNDO = _counter("TcpExt", "TCPFullUndo")
PARTIAL_UNDO = _counter("TcpExt", "TCPPartialUndo")
DSACK_UNDO = _counter("TcpExt", "TCPDSACKUndo")
SACK_REORDER = _counter("TcpExt", "TCPSACKReorder")
RENO_REORDER = _counter("TcpExt", "TCPRenoReorder")
TS_REORDER = _counter("TcpExt", "TCPTSReorder")
DSACK_RECV = _counter("TcpExt", "TCPDSACKRecv")
DSACK_OFO_RECV = _counter("TcpExt", "TCPDSACKOfoRecv")
DSACK_IGNORED_OLD = _counter("TcpExt", "TCPDSACKIgnoredOld")
DSACK_IGNORED_NO_UNDO = _counter("TcpExt", "TCPDSACKIgnoredNoUndo")
SACK_RENEGING = _counter("TcpExt", "TCPSACKReneging")
SACK_DISCARD = _counter("TcpExt", "TCPSACKDiscard")
HYSTART_TRAIN_DETECT = _counter("TcpExt", "TCPHystartTrainDetect")
HYSTART_DELAY_DETECT = _counter("TcpExt", "TCPHystartDelayDetect")
DELIVERED_TOTAL = _counter("TcpExt", "TCPDelivered")
DELIVERED_CE = _counter("TcpExt", "TCPDeliveredCE")
MTUP_FAIL = _counter("TcpExt", "TCPMTUPFail")
MTUP_SUCCESS = _counter("TcpExt", "TCPMTUPSuccess")
LOCAL_PORTS_EXHAUSTED = _counter("TcpExt", "TCPLocalPortsExhausted")  # of our own

if len(COUNTERS) > MIB:
    raise ValueError(f"{len(COUNTERS)} counters, room for {MIB}")
