"""The worker loop and what drives it. Start with turn.py."""
