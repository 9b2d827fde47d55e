"""A simulated network: engines over simulated wires, on a virtual clock, from a seed. Nothing waits, nothing is random.

    with Network(seed=7) as network:
        left, right = network.host("left"), network.host("right")
        link = network.link(left, right, Impairment(rate=10_000_000, delay=50 * MILLISECOND, loss=10_000))
        listener = right.listen(link.address(1, 4), 80)                  # sockets,
        flow = left.stream(link.address(1, 4), 80, octets=1_000_000)
        network.source(left, link.ports[0], frame, 1000, 50)             # raw frames,
        probe = network.probe(right)                                     # or the test is a host itself
        network.run(seconds=5)
        assert link.lanes[0].lost == ...

network.py       Network, Link, Probe: the topology and the clock
host.py          Host: one engine, its addresses, its sockets
loop.py          turns engines that have something to do, then jumps to the next event: one compiled function
applications.py  what runs on the hosts between two turns, compiled: raw frames, and
flows.py         streams and datagrams over the engine's sockets, each octet checked
transfers.py     bulk transfers between two hosts, for the tables and for tests of TCP
tables.py        tables of measured behaviour, kept as text in tables/ and compared octet for octet. The command
                 `PRONGHORN_MODE=jit python -m tests.simulator.tables` writes them anew:
    goodput_table.py     loss x buffers x congestion control
    fairness_table.py    many flows on one line, of one kind and of two, with ECN, beginning late
    conditions_table.py  reordering, duplicates, lost acknowledgements, outages, changes, deep queues

How to add a TCP scenario that transfers.py does not serve:
1. Build the topology: `Network.link` for each wire. A bottleneck is a host with forwarding between two links
   (`test_flows.dumbbell`); its queue is the wire's (`queue_octets`). `store=` of the link's options bounds the frames
   in flight: at least rate x delay / 8 / 1514 of them. Each direction has its own impairments (`there`, `back`).
2. Open the flows: `listen` on one host, `stream` on another. Congestion control and buffers are options of the sockets
   (`set_option(host.worker, flow.handle, ...)` between `stream` and `run`; those of a listener are inherited).
3. `network.run(seconds=...)`, or set `host.flows().left` to the number of flows after which the run ends.
4. Read `flow.octets`, `begun`, `ended`, `wrong` of each flow (the accepted ones follow the listener in
   `host.flows().flows`), `link.lanes` and the hosts' verdicts.
Tables of results belong beside the test as text and are compared octet for octet, since a seed fixes everything. What
the flows cannot do is another application: a `@hot` function with a record (`network.record`), a number and a line in
applications.py. It is called after each turn of its host, returns IDLE, WORKED or FINISHED, and calls `wake_at(worker,
when)` each time if it wants to be called without a frame arriving.
"""
