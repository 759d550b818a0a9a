"""The one LightningModule: what a step of training, validation and prediction does."""

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import Metric

from reslab import ranks
from reslab.average import Lookahead, MovingAverage, follower_of
from reslab.errors import UserError
from reslab.finite import FiniteGuard
from reslab.lightning_bypass import QuickModule
from reslab.loss import CLASS_WEIGHTS
from reslab.machine import compiled
from reslab.optim import CLIP, Optimization
from reslab.reporter import SILENT, Reporter

Batch = tuple[Tensor, Tensor]


class LossAndAccuracy(Metric):
    """Mean loss and share of right answers over an epoch, summed on the device.

    The sums are part of the checkpoint, so that an epoch resumed half-way reports all of itself.
    On several devices those of training are of all of them at every step.
    """

    full_state_update = False
    loss_sum: Tensor
    num_right: Tensor
    num_images: Tensor

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)  # `ranks` adds up what is to be
        self.add_state("loss_sum", torch.zeros(()), "sum", persistent=True)
        for name in ("num_right", "num_images"):
            self.add_state(name, torch.zeros((), dtype=torch.long), "sum", persistent=True)

    def update(self, loss: Tensor, num_right: Tensor, num_images: int) -> None:
        """Adds a batch: its mean loss, and of how many images how many are right."""
        self.loss_sum.add_(loss, alpha=num_images)
        self.num_right.add_(num_right)
        self.num_images.add_(num_images)

    def add_up(self) -> None:
        """Has the sums be those of all devices."""
        ranks.add_up([self.loss_sum])
        ranks.add_up([self.num_right, self.num_images])

    def compute(self) -> dict[str, Tensor]:
        """`loss` and `accuracy` (a fraction)."""
        return {
            "loss": self.loss_sum / self.num_images,
            "accuracy": self.num_right / self.num_images,
        }


def count_right(logits: Tensor, labels: Tensor) -> Tensor:
    """How many of logits `[B, K]` are right, by labels `[B]`.

    Of mixed images, whose labels are shares `[B, K]`, the largest share is the right answer.
    """
    return (logits.argmax(1) == (labels.argmax(1) if labels.ndim == 2 else labels)).sum()


class ImageClassifier(QuickModule):
    """Cross-entropy training of a network that maps images to logits.

    Optimization is manual, and the schedule is stepped here, after a step or after validation,
    because a schedule that Lightning steps loses an update at every resume.

    Args:
        network: `[B, C, H, W] -> [B, K]`.
        optimization: Optimizer and schedule.
        label_smoothing: Share of the target spread over all classes, in training only; below 1.
        monitor: The epoch's metric that a plateau schedule watches.
        gradient_clip_val: What gradients are clipped to; None and 0 do not clip, as in Lightning.
        gradient_clip_algorithm: A key of `CLIP`: the L2 norm of all gradients together is clipped
            (None) or each value.
        compile: Whether network and loss are compiled for training; None: on a GPU.
        class_weights: A key of `CLASS_WEIGHTS`, by which images count in training; None: all alike,
            as they do in validation and in every accuracy whatever this is.
        ema: The decay of a moving average of the weights, which is evaluated in their place; None:
            none is kept.
        lookahead: After how many steps the weights go back half of the way to where they were then,
            see `Lookahead`; None: they do not.
    """

    def __init__(
        self,
        network: nn.Module,
        optimization: Optimization,
        label_smoothing: float = 0.0,
        monitor: str = "val/loss",
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
        compile: bool | None = None,
        class_weights: str | None = None,
        ema: float | None = None,
        lookahead: int | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.ema, self.lookahead = ema, lookahead
        if lookahead is not None:
            self.slow = follower_of(network)
        if ema is not None:
            self.averaged = follower_of(network)
        self.optimization, self.label_smoothing = optimization, label_smoothing
        self.monitor = monitor
        self.gradient_clip_val = gradient_clip_val
        self._clip = CLIP[gradient_clip_algorithm or "norm"]
        self.compile_training = compile
        self.class_weights = class_weights
        self.class_weight: Tensor | None = None
        self._compiled: Any = self._compute
        self.train_metrics = LossAndAccuracy()
        self.val_metrics = LossAndAccuracy()
        self.reporter: Reporter = SILENT
        self.last_loss = torch.tensor(float("nan"))
        self.epoch_metrics: dict[str, float] = {}

    def configure_optimizers(self) -> Any:
        """The optimizer and, if any, its schedule, whose states Lightning keeps."""
        optimizer, schedule = self.optimization.build(self.network, self.monitor)
        if schedule is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "monitor": self.monitor},
        }

    @property
    def evaluated(self) -> nn.Module:
        """What is validated, tested and kept: the average, else slow weights, else the network."""
        return getattr(self, "averaged", getattr(self, "slow", self.network))

    def forward(self, images: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, K]`, logits."""
        return self.evaluated(images)

    def training_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean smoothed cross-entropy of logits `[B, K]`, labels `[B]` or shares `[B, K]`.

        With class weights, as torch has it: of labels the weighted mean, of shares the mean of the
        weighted.
        """
        return F.cross_entropy(
            logits, labels, self.class_weight, label_smoothing=self.label_smoothing
        )

    def _compute(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(images)
        return self.training_loss(logits, labels), logits.detach()

    def on_train_start(self) -> None:
        """Weighs classes, and compiles, where that is asked for or the device is a GPU.

        All devices begin with the network of the first, which a checkpoint may have been read into.
        """
        trainer: Any = self.trainer
        ranks.spread(list(self.network.state_dict().values()))
        data = trainer.datamodule
        self.weigh_classes(data.train_labels, data.num_classes, self.device)
        self.compile_for(self.device)
        self.finite = FiniteGuard(
            trainer.optimizers[0],
            self.device,
            trainer.global_step,
            trainer.num_training_batches,
            scaled=getattr(trainer.precision_plugin, "scaler", None) is not None,
        )
        self._follow(begins=trainer.global_step == 0)

    def _follow(self, *, begins: bool) -> None:
        """Has the copies follow the network from now on, from where it is if training `begins`."""
        self._followers: list[Lookahead | MovingAverage] = []
        if self.lookahead is not None:
            self._followers.append(Lookahead(self.slow, self.network, self.lookahead))
        if self.ema is not None:  # of what Lookahead has left
            self._followers.append(MovingAverage(self.averaged, self.network, self.ema))
        for follower in self._followers if begins else ():
            follower.draw_near(1)

    def weigh_classes(self, labels: Tensor, num_classes: int, device: torch.device) -> None:
        """Has classes count from now on as is asked for, by the training set's labels `[N]`."""
        if self.class_weights is not None:
            self.class_weight = CLASS_WEIGHTS[self.class_weights](labels, num_classes).to(device)

    def compile_for(self, device: torch.device) -> None:
        """Has `loss_and_logits` compiled from now on, where that is asked for or on a GPU.

        Raises:
            UserError: It is asked for, and there is no compiler for what torch generates.
        """
        on_gpu = device.type == "cuda"
        if not (on_gpu if self.compile_training is None else self.compile_training):
            return
        try:
            self._compiled = compiled(self._compute, device)
        except UserError as lack:
            if self.compile_training:
                text = f"trainer.compile=true: {lack}; install one, or leave it false"
                raise UserError(text) from lack
            self.reporter.warn(f"{lack}: steps are not compiled, and slower")

    def loss_and_logits(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Training loss and detached logits `[B, K]` of normalized images `[B, C, H, W]`."""
        return self._compiled(images, labels)

    def limit_gradients(self) -> None:
        """Clips gradients, where that is asked for."""
        if self.gradient_clip_val:
            self._clip(self.network.parameters(), self.gradient_clip_val)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update.

        Raises:
            NotFiniteError: Its loss or a gradient is not finite, or on a GPU was not lately.
        """
        images, labels = batch
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()  # first: a CUDA graph is not to begin beside the last one's gradients
        loss, logits = self.loss_and_logits(images, labels)
        self.manual_backward(loss)
        loss = loss.detach().clone()  # a CUDA graph writes its outputs anew
        num_right, num_images = count_right(logits, labels), len(labels)
        if ranks.number() > 1:
            part, right = self._part_of_batch(labels), num_right.to(loss.dtype)
            ranks.merge(self.network, part, [loss.mul_(part), right])
            num_right, num_images = right.long(), num_images * ranks.number()
        self.finite.check(loss)
        self.limit_gradients()
        optimizer.step()
        for follower in self._followers:
            follower.follow(self.finite.steps)
        if self.optimization.interval == "step":
            self._step_schedule()
        self.last_loss = loss
        self.train_metrics.update(loss, num_right, num_images)

    def _part_of_batch(self, labels: Tensor) -> Any:
        """By what the mean over this process' share counts in that over the whole batch.

        Shares are equally many images, but with class weights their means are weighted ones; of
        mixed images, whose labels are `[B, K]`, they are not.
        """
        if self.class_weight is None or labels.ndim == 2:
            return 1 / ranks.number()
        own = self.class_weight[labels].sum()
        ranks.add_up([total := own.clone()])
        return own / total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Cross-entropy without smoothing, and accuracy."""
        images, labels = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        self.val_metrics.update(loss, count_right(logits, labels), len(labels))

    def on_validation_epoch_end(self) -> None:
        """Reads the epoch's metrics, once, and steps the schedule by them.

        Raises:
            NotFiniteError: A loss or a gradient of the epoch was not finite.
        """
        self.finite.raise_if_found()
        learning_rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        values = {"lr": learning_rate}
        self.val_metrics.add_up()  # those of training are, step by step
        for stage, metric in [("train", self.train_metrics), ("val", self.val_metrics)]:
            values |= {f"{stage}/{key}": value.item() for key, value in metric.compute().items()}
            metric.reset()
        if not math.isfinite(values["val/loss"]):
            # As of a deep network before BatchNorm's statistics have settled: training may go on.
            epoch = self.trainer.current_epoch + 1
            self.reporter.warn(f"val/loss is {values['val/loss']} after epoch {epoch}")
        self.epoch_metrics = values
        self.log_dict(values, logger=False)
        if self.optimization.interval == "epoch":
            self._step_schedule()

    def _step_schedule(self) -> None:
        schedule: Any = self.lr_schedulers()
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(self.epoch_metrics[self.monitor])
        elif schedule is not None:
            schedule.step()

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Logits `[B, K]`, on the CPU."""
        return self(batch[0]).float().cpu()
