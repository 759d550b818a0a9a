"""Runs: a directory named after its configuration, and what happens in it."""

from reslab.runs.resolvers import register_resolvers

register_resolvers()  # without which no configuration of a run is whole
