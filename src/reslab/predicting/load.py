"""One way to open a trained network: a run, a checkpoint or an export."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from reslab.classifier import Classifier
from reslab.config import instantiate
from reslab.data import FetchingSource, ImageData
from reslab.errors import UserError
from reslab.export.read import open_export
from reslab.machine import choose_device, configure_kernels, supports_bf16
from reslab.predicting.engine import BATCH_SIZE, Engine
from reslab.reporter import SILENT, Reporter
from reslab.runs.build import prepare_data
from reslab.runs.load import load_best, load_checkpoint, load_latest
from reslab.runs.store import RunDirectory, find_run

CHECKPOINT = ".ckpt"


def load(
    what: str | Path,
    runs_dir: str | Path = "outputs/runs",
    *,
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    compile: bool = False,
    latest: bool = False,
) -> Classifier:
    """Opens a run by its directory, its name or a unique part of that, or a file of one.

    Args:
        what: The run; or its `best.ckpt` alone, wherever that lies; or an exported file.
        runs_dir: Where runs lie.
        device: `auto`, `gpu`, `cuda`, `cuda:1`, `mps` or `cpu`, to compute there as fast as it can
            be done: folded, and in bf16 where the hardware has it. None computes on the CPU what
            the run did.
        batch_size: Images computed at once on a device.
        compile: Whether to compile the network for the device.
        latest: Whether to take a run's latest checkpoint in place of its best.

    Raises:
        UserError: There is no such run or device, the run has no checkpoint yet, the file is not
            one that reslab wrote, or the network cannot be compiled.
    """
    path, directory = Path(what), None
    if not path.is_file():
        directory = find_run(str(what), Path(runs_dir))
        description, network = (load_latest if latest else load_best)(directory)
    elif latest:
        raise UserError(f"--latest is for runs, and {what} is a file")
    elif path.suffix == CHECKPOINT:
        description, network = load_checkpoint(path)
    elif compile:
        raise UserError(f"--compile is for runs, and {what} is a file")
    else:
        return open_export(path, _prepared(device or "cpu"))
    if device is None:
        return Classifier.as_trained(description, network, directory)
    where = _prepared(device)
    engine = Engine(
        network,
        description.preprocessing,
        where,
        bf16=supports_bf16(where),
        batch_size=batch_size,
        compile=compile,
    )
    return Classifier(description, engine, network, directory)


def data_of(
    classifier: Classifier, data_dir: str | None = None, reporter: Reporter = SILENT
) -> ImageData:
    """The data set that a network was trained on, ready, with the test set as the network saw it.

    Nothing is fetched: where a run is used elsewhere than it was trained, a second copy of its data
    would be a surprise.

    Args:
        classifier: The network.
        data_dir: Where the data sets lie; by default where the run found them, or likewise from
            here.
        reporter: Told how far decoding is.

    Raises:
        UserError: The files are missing, or not the official ones, or it is not known which.
    """
    description = classifier.description
    if description.data is None:
        raise UserError(
            f"{description.name} is an export of an older version, which did not say how its data "
            f"set is made: give its run"
        )
    return data_set(description.data, classifier.directory, data_dir, reporter)


def data_set(
    dataset: Mapping[str, Any],
    run: RunDirectory | None,
    data_dir: str | None = None,
    reporter: Reporter = SILENT,
) -> ImageData:
    """The data set that a run's configuration describes, as `data_of` gives it.

    Args:
        dataset: That part of the configuration.
        run: The run, None where it is not at hand.
        data_dir: Where the data sets lie; by default where the run found them, or likewise from
            here.
        reporter: Told how far decoding is.

    Raises:
        UserError: The files are missing, or not the official ones.
    """
    data = instantiate(OmegaConf.create({"dataset": dict(dataset)}), "dataset")
    places = [Path(data_dir)] if data_dir is not None else _places(run, data.data_dir)
    data.data_dir = next((place for place in places if place.exists()), places[0])
    if isinstance(data.source, FetchingSource):
        holding = [place for place in places if not data.source.missing(place)]
        if not holding:
            where = " or ".join(str(place.absolute()) for place in places)
            lacking = ", ".join(data.source.missing(places[0]))
            raise UserError(
                f"the images of {data.name} are needed, and {lacking} not in {where}"
                f": name the folder that holds them with --data-dir, or have `reslab data` fetch "
                f"them"
            )
        data.data_dir = holding[0]
    try:
        prepare_data(data, reporter)
    except UserError as error:
        raise UserError(
            f"the images of {data.name} are needed: {error} (--data-dir names another folder)"
        ) from error
    return data


def _places(run: RunDirectory | None, data_dir: Path) -> list[Path]:
    """Where data may lie: a relative folder is meant from where the run was begun, or from here."""
    request = run and run.request()
    places = [Path(request.folder) / data_dir] if request else []
    return list(dict.fromkeys([*places, data_dir.absolute()]))


def _prepared(device: str) -> torch.device:
    """The device of that name, this process' kernels chosen for speed."""
    configure_kernels(exact=False)
    return choose_device(device, f"--device {device}")
