"""Datagram sockets: UDP (RFC 768) and ICMP echo. Start with `endpoint`: it declares what a socket keeps.

endpoint   the views: read this first          create   making the tables
calls      what an application calls           bind     addresses and ports
table      which socket a datagram is for      queue    what waits to be read
input      the way in                          blocked  who waits for room to send
output     the way out                         way      neighbour and source address
aside      what ancillary data says about one datagram
cork       datagrams put together from several sends
loop       what this host sends to itself      options  by Linux's numbers
messages   echo replies, and ICMP errors             owner    which worker has the port
hand_over  what waits, into another engine
members    groups and the sources wanted              member_options  the same by Linux's structures
show       copies for whoever looks
"""
