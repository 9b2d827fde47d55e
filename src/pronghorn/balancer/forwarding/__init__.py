"""How packets reach the servers, one method per file.

A method lays out a connection's two flows and rewrites packets.
"""
