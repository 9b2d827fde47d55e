"""Connections that end here (RFC 9293), and what Linux makes of them where the RFC leaves a choice.

tcb        everything a connection keeps: read this first        deadlines   when a connection wants to be looked at
"""
