"""What the benchmarks of TCP share: applications in compiled Python, engines to run them on, and a process for each.

http_app   a minimal HTTP/1.1 server          echo_app   an echo server and its client        bulk_app   source and sink
pattern_app  a source and sink that check every octet; station: it beside a kernel; stream_peer: the kernel's side
blocking   sockets of a station that wait; a server for iperf3        kernel_pair  two kernels on the same path
kernel_peer  10 GB exchanged with a kernel
address    where servers are
engines    engines with addresses             loops      turn and application, n times, compiled
side       a benchmark's side: a child process that takes readings; child: that process      scenarios: what it can run
client_cost  what the clients behind a null port cost by themselves
"""
