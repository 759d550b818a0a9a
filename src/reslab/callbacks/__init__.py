"""What watches a training run, and what acts at its start and its end."""

from reslab.callbacks.gradients import Gradients
from reslab.callbacks.history import History
from reslab.callbacks.interrupt import StopRequest
from reslab.callbacks.limit import StepLimit
from reslab.callbacks.progress import ShowProgress
from reslab.callbacks.tensorboard import TensorBoard
from reslab.callbacks.whitening import LearnWhitening

__all__ = [
    "Gradients",
    "History",
    "LearnWhitening",
    "ShowProgress",
    "StepLimit",
    "StopRequest",
    "TensorBoard",
]
