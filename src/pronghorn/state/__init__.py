"""The views that every part of the engine shares. Read this first: packet, port, worker, verdicts.

packet    one frame and what is known about it           packets   taking, freeing and ending them
port      a device and a worker's queue on it            transmit  putting a frame on its way out
worker    a thread and everything it owns                dispatch  handing a packet to another worker
verdicts  every way a packet can end               endpoints sockets, and what TCP and UDP have in common
mib       counters by their SNMP names             linux  parts  options  of Linux's socket interface
ancillary what recvmsg and sendmsg carry beside octets
wishes  wish_options      options that few sockets set   error_queue  what ICMP said about sockets that ask
owners    which worker has a port, or a flow
selection which sockets somebody wants to see
interests  interest_sets  which sockets an application waits for: epoll    loans  memory lent to it
attach    what a program and its keeper say to each other   register  what a program tells of its sockets
"""
