"""Searches: Optuna asks and is told, each trial is a run in a process of its own."""
