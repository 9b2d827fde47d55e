"""Attached programs, seen from the gateway: what they may send, and what is theirs (docs/adr/0013).

tables    everything the room keeps: read this first
claims    whose is a port                            flows     whose is a connection, and how far it has got
input     from a program: may it send this           output    to a program: what nobody here has taken
messages  ICMP for and from programs                 mourning  connections of programs that have ended; idle flows
change    programs come and go, between two turns    create    the tables
"""
