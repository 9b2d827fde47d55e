"""A simulated network: engines over simulated wires, on a virtual clock, from a seed. Nothing waits, nothing is random.

    with Network(seed=7) as network:
        left, right = network.host("left"), network.host("right")
        link = network.link(left, right, Impairment(rate=10_000_000, delay=50 * MS, loss=10_000))
        network.source(left, port, frame, interval=MS, count=1000)
        probe = network.probe(right)                        # the test is a host itself, frame by frame
        network.run(seconds=5)
        assert link.lanes[0].lost == ...

network.py       Network, Host, Link, Probe: what a test writes
loop.py          turns engines that have something to do, then jumps to the next event: one compiled function
applications.py  what runs on the hosts between two turns, compiled: raw frames now

How to add a TCP scenario (goodput under loss, fairness over one bottleneck):
1. Write the application as a `@hot` function in applications.py, e.g. a sender that fills its sockets and a sink that
   drains them; its record is a View in the network's arena (`network.record(kind, count)`). It is called after each
   turn of its host, returns WORKED when it did something and FINISHED when the run is to end, and calls
   `wake_at(worker, when)` each time if it wants to be called without a frame arriving. Add its number and a line to
   `applications`.
2. Give it to a host: `network.application(host, KIND, record.address)`.
3. Build the topology: `Network.link` for each wire; a bottleneck is a host with forwarding between two links; the queue
   is the wire's (`queue_octets`). Buffers, congestion control etc. are the sockets' own options.
4. `network.run(seconds=...)`, then read the applications' records, `link.lanes`, and each host's verdicts.
The snapshot tables belong beside the test as text: they are compared octet for octet, since a seed fixes everything.
"""
