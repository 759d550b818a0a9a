"""What watches a training run: its history, its progress, TensorBoard, requests to stop."""

from reslab.callbacks.history import History
from reslab.callbacks.interrupt import StopRequest
from reslab.callbacks.limit import StepLimit
from reslab.callbacks.progress import Progress
from reslab.callbacks.tensorboard import TensorBoard

__all__ = ["History", "Progress", "StepLimit", "StopRequest", "TensorBoard"]
