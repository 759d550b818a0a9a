"""What a trained network says of pictures."""

from reslab.predicting.engine import Engine

__all__ = ["Engine"]
