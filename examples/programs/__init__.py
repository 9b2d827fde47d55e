"""Programs and configurations for docs/howto/run-a-program.md: `nginx.conf` for a direct link, and `dns.py`."""
