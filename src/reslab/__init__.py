"""reslab: what skip connections really buy, on MNIST and CIFAR-10."""

from typing import Any

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `reslab --help` does not wait for torch.
    if name == "load":
        from reslab.predicting.load import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
