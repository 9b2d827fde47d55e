"""Connections that go on: services, servers, full NAT and the table of connections. Start with `tables` and `input`.

lookup        a packet's flow, in stages that look ahead      forwarding/   how packets reach the servers
input         the order of the questions                      schedulers/   which server gets a new connection
services      which service a packet is for                   local_ports   where connections to servers come from
nat_owner     whose worker's a packet of NAT is               tunnels  tunnel_headers   headers of tunnels
conns         opening and ending                              output        next hop, size, counters, rewriting
tcp_state  sctp_state  what segments move a connection on        timers        what time does
configure  local_addresses  methods   the control plane's hand
addresses     how it writes an address
create  growth              making and enlarging tables       show          rows for people
icmp_errors   ICMP errors about balanced packets
access  source_rates        who may: lists, rates of sources      change_access  the control plane's hand in it
sets                        named sets, as packets ask them       set_changes  set_slots  set_entries
option_tables               what options of services remember     listens   services at several places
persistence  templates      clients that stay with their servers  show_clients   rows of them
limits  clients  ties       what services and clients may have    shares   limits divided over workers
change_options  set_limits  the control plane's hand in options
syn_proxy  proxy_open       SYN proxy: cookies; the server's side       proxy_tables  change_proxy
health                      what health checks ask for
lookups  scheduling         what schedulers look up and are told
thresholds  totals          limits on a server's connections, and what all workers have
"""

from pronghorn.balancer.input import balancer_input
from pronghorn.balancer.local_ports import steer_reply
from pronghorn.balancer.lookup import flow_prefetch, flow_prepare
from pronghorn.balancer.timers import balancer_timers

__all__ = ["balancer_input", "balancer_timers", "flow_prefetch", "flow_prepare", "steer_reply"]
