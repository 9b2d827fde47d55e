"""Connections that go on: services, servers, full NAT and the table of connections. Start with `tables` and `input`.

lookup        a packet's flow, in stages that look ahead      forwarding/   how packets reach the servers
input         the order of the questions                      schedulers/   which server gets a new connection
conns         opening and ending                              local_ports   where connections to servers come from
tcp_state     what segments move a connection on              timers        what time does
configure     the control plane's hand                        show          rows for people
"""

from pronghorn.balancer.input import balancer_input
from pronghorn.balancer.local_ports import steer_reply
from pronghorn.balancer.lookup import flow_prefetch, flow_prepare
from pronghorn.balancer.timers import balancer_timers

__all__ = ["balancer_input", "balancer_timers", "flow_prefetch", "flow_prepare", "steer_reply"]
