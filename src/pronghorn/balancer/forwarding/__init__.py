"""How packets reach the servers: what is done to a packet whose connection is known.

rewrite   full NAT and NAT: addresses and ports
toa       the client's address as a TCP option, for servers behind full NAT
sequence_shift  TCP numbers where the two ends count differently
sctp      the same of SCTP
proxied   the same of connections that began with a cookie: sequence_shift, timestamps, windows
direct    direct routing: the next hop alone
tunnel    IPIP, GRE, GUE: another header in front
translate full NAT between IPv4 and IPv6; translate_error  ICMP errors about it
"""
