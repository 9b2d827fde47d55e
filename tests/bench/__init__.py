"""Tests of the benchmark harness; no benchmark runs here."""
