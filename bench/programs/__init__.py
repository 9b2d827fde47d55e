"""Real programs on two cores: the same server and client over the user-space stack and over the kernel's.

pair      a server and a client, over a direct link or over a Linux veth        redis   redis-server and redis-benchmark
web       nginx and wrk      echo  a Python echo server      behind  a server behind a gateway
"""
