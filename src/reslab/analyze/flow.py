"""How gradients flow through networks as they are drawn: with their skips, and without."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from reslab.analysis.flow import gradient_correlation, gradient_norms
from reslab.analyze.flow_pictures import draw, show
from reslab.config import compose, instantiate, parse_overrides, single_runs
from reslab.errors import UserError
from reslab.nn import yet_to_learn
from reslab.nn.joins import NoJoin
from reslab.preprocess import Preprocessing
from reslab.reporter import SILENT, Reporter
from reslab.reports.layout import write_page
from reslab.runs.build import prepare_data
from reslab.runs.check import check, try_network
from reslab.runs.network import build_network

POINTS = 33  # on a line between two images
MOST = 8  # networks, as many as can be told apart
PLAIN = "join=none"


@dataclass(frozen=True)
class Flow:
    """What was found of a network.

    Attributes:
        name: The network's.
        skips: Whether its blocks have skips; None, where it has no blocks.
        layers: Names from image to logits, of `L`.
        norms: Of each seed and layer the gradient's L2 norm, `[S, L]`.
        correlations: Of each seed the correlation of gradients, by distance, `[S, D]`, see
            `gradient_correlation`.
    """

    name: str
    skips: bool | None
    layers: tuple[str, ...]
    norms: np.ndarray
    correlations: np.ndarray

    @property
    def title(self) -> str:
        """What it is called."""
        return self.name + {None: "", True: ", skips", False: ", no skips"}[self.skips]

    def __str__(self) -> str:
        """A line."""
        before = np.median(self.norms, 0)[:-1]  # with skips the classifier's own stands out
        return (
            f"the first layer's gradient is {before[0] / before[-1]:.3g} times that of "
            f"the last before the classifier; gradients of images next to each other correlate by "
            f"{np.median(self.correlations[:, 1]):.2f}"
        )


def flow(
    overrides: Sequence[str],
    *,
    seeds: int = 5,
    images: int = 32,
    output: Path = Path("outputs/flow"),
    reporter: Reporter = SILENT,
) -> tuple[list[Flow], list[Path]]:
    """Draws how gradients flow through a configuration's network, and through it without its skips.

    Args:
        overrides: The configuration's; where one has several values, each is a network.
        seeds: How often each network's weights are drawn.
        images: Training images in the batch.
        output: Where a folder is written.
        reporter: Told how far it is.

    Returns:
        What was found of each, and the files.

    Raises:
        UserError: A configuration cannot be meant, or its data are not there.
    """
    configs = [cfg for one in single_runs(overrides, MOST) for cfg in _with_and_without(one)]
    if len(configs) > MOST:
        raise UserError(f"that is {len(configs)} networks in one picture: choose {MOST} at most")
    found = []
    with reporter.progress(seeds * len(configs), "network") as advance:
        batches: dict[str, tuple[Tensor, Tensor]] = {}
        for cfg in configs:
            try_network(cfg, build_network(cfg))
            dataset = OmegaConf.to_yaml(cfg.dataset, resolve=True)
            if dataset not in batches:
                batches[dataset] = _batch(cfg, images, reporter)
            batch, labels = batches[dataset]
            rows = []
            for seed in range(seeds):
                rows.append(_found(cfg, seed, batch, labels))
                advance()
            norms, correlations = zip(*rows, strict=True)
            found.append(
                Flow(
                    cfg.model.name,
                    _skips(cfg),
                    tuple(norms[0]),
                    np.array([list(one.values()) for one in norms]),
                    torch.stack(correlations).numpy(),
                )
            )
    path = output / "+".join({one.name: None for one in found}) / "flow"
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(found, path)
    page = write_page(path.with_suffix(".html"), "Flow of gradients", *show(found), name="flow")
    return found, [*(path.with_suffix(suffix) for suffix in (".png", ".pdf")), page]


def _with_and_without(overrides: list[str]) -> Iterator[DictConfig]:
    """A configuration, and where it does not say itself how blocks join, the same without skips."""
    cfg = compose(overrides)
    check(cfg)
    yield cfg
    chosen = {key for key, _, _ in parse_overrides(overrides)}
    if _skips(cfg) and not chosen & {"join", "ablation"}:
        yield compose([*overrides, PLAIN])


def _skips(cfg: DictConfig) -> bool | None:
    """Whether its blocks, if any, have skips."""
    join = cfg.model.get("join")
    return None if join is None else not join._target_.endswith(f".{NoJoin.__name__}")


def _batch(cfg: DictConfig, number: int, reporter: Reporter) -> tuple[Tensor, Tensor]:
    """The first training images as network input, and their labels."""
    data = instantiate(cfg, "dataset")
    prepare_data(data, reporter, to_train=False)
    prepare = Preprocessing(data.size, data.normalization)
    return prepare(data.train_images[:number]), data.train_labels[:number]


def _found(
    cfg: DictConfig, seed: int, images: Tensor, labels: Tensor
) -> tuple[dict[str, float], Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = build_network(cfg)
        for layer in yet_to_learn(network):
            layer.learn([images])
        start, end = images[torch.randperm(len(images))[:2]]
    norms = gradient_norms(network, images, labels)
    return norms, gradient_correlation(network, start, end, POINTS)
