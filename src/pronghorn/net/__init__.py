"""Layers 2 and 3 of this host: who we are, who is on our links, which way out.

state        the views: read this first            configure    interfaces, addresses, routes come and go
addresses    what is ours                          routes       which way
neighbours   the table and its states              resolve      destination -> neighbour -> wire
arp          discovery  claims  solicit            waiting      packets that wait for an address
output       the way out                           path_mtu     fragment_output  fragments
icmp         icmpv6  errors  rates                 timers       what is due as time passes
"""
