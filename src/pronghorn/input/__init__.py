"""The way in: from a received frame to its verdict. Decides, and owns nothing.

ethernet   which protocol           ipv4  ipv6   good headers, whole packets
transport  balanced, or             local        for this host, or to be forwarded
look_ahead the first pass over a burst: parse, hash, prefetch
steer      which worker a packet belongs to
report     what routers say about the way of balanced packets
program    frames of attached programs
"""
