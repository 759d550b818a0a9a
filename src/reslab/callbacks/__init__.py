"""What watches a training run: history, gradients, progress, TensorBoard, signals."""

from reslab.callbacks.gradients import Gradients
from reslab.callbacks.history import History
from reslab.callbacks.interrupt import StopRequest
from reslab.callbacks.limit import StepLimit
from reslab.callbacks.progress import ShowProgress
from reslab.callbacks.tensorboard import TensorBoard

__all__ = ["Gradients", "History", "ShowProgress", "StepLimit", "StopRequest", "TensorBoard"]
