"""One way to open a trained network: a run, or an exported file."""

from pathlib import Path

import torch

from reslab.classifier import Classifier
from reslab.config import instantiate
from reslab.data import ImageData
from reslab.errors import UserError
from reslab.export.read import open_export
from reslab.machine import configure_kernels, supports_bf16
from reslab.predicting.engine import BATCH_SIZE, Engine
from reslab.runs.build import prepare_data
from reslab.runs.load import load_best
from reslab.runs.store import find_run


def load(
    what: str | Path,
    runs_dir: str | Path = "outputs/runs",
    *,
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    compile: bool = False,
) -> Classifier:
    """Opens a run by its directory, its name or a unique part of that, or an exported file.

    Args:
        what: The run or the file.
        runs_dir: Where runs lie.
        device: `auto`, `cpu` or `cuda`, to compute there as fast as it can be done: folded, and in
            bf16 where the hardware has it. None computes on the CPU what the run did.
        batch_size: Images computed at once on a device.
        compile: Whether to compile the network for the device.

    Raises:
        UserError: There is no such run or device, the run has no checkpoint yet, the file is not an
            export of reslab's, or the network cannot be compiled.
    """
    path = Path(what)
    if path.is_file():
        if compile:
            raise UserError(f"--compile is for runs, and {what} is a file")
        return open_export(path, _prepared(device or "cpu"))
    directory = find_run(str(what), Path(runs_dir))
    description, network = load_best(directory)
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


def data_of(classifier: Classifier, data_dir: str | None = None) -> ImageData:
    """The run's data set, ready, with the test set as the network saw it.

    Args:
        classifier: The run.
        data_dir: Where the data sets lie; where the run found them by default.

    Raises:
        UserError: The files are missing, or not the official ones.
    """
    assert classifier.directory is not None
    cfg = classifier.directory.config()
    if data_dir is not None:
        cfg.dataset.data_dir = data_dir
    data = instantiate(cfg, "dataset")
    prepare_data(data)
    return data


def _prepared(device: str) -> torch.device:
    """The device of that name, this process' kernels chosen for speed; `auto` is a GPU if any."""
    configure_kernels(exact=False)
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {device}: not on this machine; try auto or cpu") from error
    return chosen
