"""What a run begins with."""

from lightning.pytorch import seed_everything
from omegaconf import DictConfig

from reslab.config import instantiate, refusal
from reslab.runs.network import build_network
from reslab.runs.options import THE_TASK_S
from reslab.task import ImageClassifier


def build_task(cfg: DictConfig) -> ImageClassifier:
    """The seeded network with its optimization, on the CPU."""
    seed_everything(cfg.seed, verbose=False)
    network = build_network(cfg)
    optimization = instantiate(cfg, "optimizer")
    try:
        optimization.build(network, cfg.monitor)
    except Exception as error:
        raise refusal(error, "optimizer", cfg) from error
    return ImageClassifier(
        network,
        optimization,
        cfg.label_smoothing,
        cfg.monitor,
        class_weights=cfg.class_weights,
        ema=cfg.ema,
        lookahead=cfg.lookahead,
        **{key: cfg.trainer.get(key) for key in THE_TASK_S},
    )
