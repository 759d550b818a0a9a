"""The metric by which epochs are told apart."""


def better_is(monitor: str) -> str:
    """`min` for a loss, `max` for an accuracy."""
    return "min" if monitor.endswith("loss") else "max"
