"""Connections that end here (RFC 9293), and what Linux makes of them where the RFC leaves a choice.

tcb          everything a connection keeps: read this first          create       the tables
calls  transfer   what an application asks for                      set_option  get_option   tuning  info   setsockopt
                                                                     show  statistics   for whoever looks

the way in   input        whose segment is it                        lookup  identity    finding it
             owner        which worker's it is
             handshake    LISTEN, SYN-SENT, to ESTABLISHED           cookies  secrets    SYN cookies, numbers to guess
             established  every later state, step by step            waiting  time_wait    TIME-WAIT
             receive      octets into the ring, acknowledging        window       how much the peer may send
             train        segments in a row as one                   checksum     whether it is right
             urgent       one octet that is
             challenge    what may be forged                         messages     what ICMP says
             fast_open    data in a SYN, its cookie checked          rare  records  what few need
the way out  output       what to send, and when                     pending      whom to look at in this turn
             emit         one segment                                options      what the SYNs say; MSS
             source  bind addresses and ports                        pacing       not all at once
             here       to oneself                                   lend         without copies
             fast_connect  data in a SYN of ours                     fast_cache   cookies that servers gave us
             mtu_probe    what the path takes, by trying
the end      closing      FIN and RST                                life         records, TIME-WAIT, accept queues
             hand_over  strays    into another engine, and what comes for it here
memory       pressure     what may still be taken                    relief       what is given back
time         timers       what is due                                deadlines    when to look

reliability  recovery     what the others call                       acknowledge  an acknowledgement has come
             segments     what is in flight                          delivery  sack  sample   what has arrived
             rack         what is lost                               alert        which state that makes
             reduction    by how much to slow down                   congestion/  how much may be in flight
             rtt          round trips, time-outs                     retransmit_timer  timeout   when to send again

The sender's reliability, from `recovery` on:

recovery        what input, output and timers call               acknowledge   the steps of an acknowledgement
segments        the scoreboard                                   sample        what an acknowledgement has brought
delivery  sack  what has arrived                                 rack          what is lost
alert           the states                                       timeout       a timer has run out
reduction       PRR, and undo                                    retransmit_timer   which timer runs
rtt             round-trip time and RTO                          pacing        bursts and rates
congestion/     one congestion control per file
"""
