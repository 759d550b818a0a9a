"""Runs: a directory named after its configuration, and what happens in it."""
