"""Devices: one driver per file. Start with `driver`; `null` is the smallest.

driver    what a driver is                          drivers   the table: receive and transmit by a port's kind
NAME      a driver's data plane, compiled           catalogue a configuration's names to classes
NAME_port its set-up, plain Python                  device_name  the options in a name

null                                     makes and swallows frames
null_client  null_client_view  null_client_port  a null port with TCP clients behind it
null_server  null_server_port                    ... with TCP servers
xdp       xdp_port  xdp_send  xdp_rings  xdp_socket  xdp_program      AF_XDP
packet    packet_port                    AF_PACKET rings
tap       tap_port                       TAP; virtio is the header before its frames, and before AF_PACKET's
veth      veth_port  veth_rings  veth_lay                             user-veth within an engine
          veth_attach  veth_link  veth_lane  veth_share  link_lay     and between processes
          veth_here  here_port                                        and back to oneself
          program_port                                                and to an attached program, from its gateway
bridge    bridge_port  bridge_table      user-vbridge, a learning switch
pcap      pcap_port  pcap_file           replay and capture
wire      wire_port  wire_lane  wire_store  wire_lay   a simulated wire with rate, delay, loss, on the engine's clock

offload   unfinished checksums           segment   cutting unsegmented frames     rss     software RSS
direct    frames straight into a link    flush     what waits on a queue
device    facts about a kernel device    ethtool   its queues and offloads        bpf     programs, without libbpf
"""
