"""What others reach on this machine in this run: DPDK's testpmd, the kernel's nftables NAT; and wrk, the load."""
