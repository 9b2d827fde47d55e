"""The worker loop and what drives it. Start with `turn`: it is the table of contents of the data plane.

run       turns while there is work, else sleep     turn      one pass: receive, handle, timers, transmit
handle    a burst to its verdicts                   flush     transmit bursts to the drivers
inbox     from other workers, and commands          outbox    to other workers
timers    what is due                               cross     ports joined without a stack
loop      the loop's own state                      clock     nanoseconds from the cycle counter
engine    the control plane's handle on all this    layout    first contents of the packet table
message  tell  errors   recvmsg and sendmsg, and what they say    wishes  options  setsockopt of every kind
calls  urgent  amounts  hand_over  what applications ask of sockets   transports  sockets' tables, and their timers
embedded  an engine for C programs                  harness   network  what they do with it
attached  a program's own engine at the end of a link          interests  its epoll
lending   sending and receiving without copies                 settings   what a configuration says of endpoints
batches   what an event loop takes in one call
transports_growth  memory ahead of connections
programs  program_claims  program_facts  attached programs of a gateway, for the control plane
"""
