"""What the structures of memory/ cost by themselves: scripts that print the figures of docs/adr/0003-memory.md."""
