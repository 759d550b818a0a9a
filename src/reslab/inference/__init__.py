"""What a trained network says of pictures."""

from reslab.inference.engine import Engine

__all__ = ["Engine"]
