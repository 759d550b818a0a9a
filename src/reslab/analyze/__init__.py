"""Analyses of finished runs: each is found once, kept beside its run, and drawn beside others'."""
