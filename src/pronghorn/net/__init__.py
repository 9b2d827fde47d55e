"""Layers 2 and 3 of this host: who we are, who is on our links, which way out.

state        the views: read this first            configure  configure_routes   what comes and goes
addresses    what is ours                          create  show                  making the tables; rows for people
                                                change  change_routes         what configure calls, compiled
neighbours   the table and its states              routes  resolve               destination -> neighbour -> wire
arp          discovery  claims  solicit            waiting  packets that wait for an address
forget       forgetting neighbours                 timers   what is due as time passes
output       the way out                           path_mtu  fragment_output
fragments    putting packets together              icmp  icmpv6  errors  errors4  errors6  rates
reset        the answer to unexpected TCP          group_neighbours  groups' hardware addresses
groups       what we are members of                group_reports  group_queries   IGMP and MLD
                                                   group_merge  group_nodes   whose they are
"""
