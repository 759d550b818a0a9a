"""Whether older code trains to the same bits as today's: `python tests/same_bits.py [COMMIT ...]`.

Of each commit git gives the sources and configurations. With them, and with today's, the recipes of
the kept records that were trained by such code are trained for some steps on digits. What comes to
the same logits, weights, curves and gradients to the bit is written down in `reslab.runs.older`'s
file, with today's digest: as soon as today's code changes, it says nothing any more. Without
commits, those that the file names are taken.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pages import REFERENCE, REPOSITORY
from reslab.machine import describe_hardware
from reslab.runs import checkpoint as files
from reslab.runs.older import SEEN
from reslab.runs.sources import code_digest
from training import history, same

CUT_TO = (
    *("dataset=digits", "dataset.size=16", "dataset.batch_size=32", "max_steps=20"),
    *("++trainer.limit_train_batches=10", "trainer.accelerator=cpu"),
)
QUIETLY = ("logger=none", "trainer.enable_progress_bar=false", "runs_dir=runs")


def recipes_of_older_code(reference: Path = REFERENCE) -> dict[str, set[str]]:
    """Digest of code, other than today's, to the recipes of the records that it made."""
    found = defaultdict(set)
    for path in reference.glob("*/*/runs/*/metrics.json"):
        record = json.loads(path.read_text())
        if record["code_digest"] != code_digest():
            found[record["code_digest"]].add(record["recipe"])
    return found


def export(commit: str, folder: Path) -> Path:
    """The sources and configurations of a commit."""
    command = ["git", "archive", commit, "src", "conf"]
    archive = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def call(tree: Path, folder: Path, *arguments: str) -> str:
    """What Python says with a tree's sources, on one thread."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{tree}: {' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done.stdout


def digest_of(tree: Path, folder: Path) -> str:
    code = "from reslab.runs.environment import code_digest; print(code_digest())"
    return call(tree, folder, "-c", code).strip()


def train(tree: Path, folder: Path, recipes: set[str]) -> dict[str, Path]:
    """Recipe to the directory of its run."""
    arguments = ("train", "-m", f"recipe={','.join(sorted(recipes))}", *CUT_TO, *QUIETLY)
    call(tree, folder, "-c", "from reslab.cli import main; main()", *arguments)
    runs = [path.parent for path in folder.glob("runs/*/metrics.json")]
    return {json.loads((run / "metrics.json").read_text())["recipe"]: run for run in runs}


def differences(run: Path, other: Path) -> list[str]:
    """In what two runs are not the same to the bit, of what both versions keep."""
    found = []
    ours, theirs = (np.load(one / "predictions.npz") for one in (run, other))
    if any(ours[name].tobytes() != theirs[name].tobytes() for name in ("logits", "labels")):
        found.append("logits")
    weights = [files.load(one / "checkpoints/best.ckpt")["state_dict"] for one in (run, other)]
    if not same(*weights):
        found.append("weights")
    for part, read in (("curves", history), ("gradients", gradients)):
        one, another = read(run), read(other)
        shared = [name for name in one if name in another]
        if not one[shared].equals(another[shared]):
            found.append(part)
    return found


def gradients(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "gradients.csv")


def main(commits: list[str]) -> None:
    known = json.loads(SEEN.read_text())
    commits = commits or [one["commit"] for one in known["older"].values()]
    wanted = recipes_of_older_code()
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor() as pool:
        folder = Path(temporary)
        digests, under_way, older = {}, {}, {}
        for commit in commits:
            tree = export(commit, folder / commit)
            digests[commit] = digest_of(tree, folder / "asked")
            if digests[commit] not in wanted:
                sys.exit(f"{commit}: no record is of its code")
            recipes = wanted[digests[commit]]
            under_way[commit] = pool.submit(train, tree, folder / f"{commit}-runs", recipes)
        recipes = set().union(*(wanted[digest] for digest in digests.values()))
        today = train(REPOSITORY, folder / "today", recipes)
        for commit, runs in under_way.items():
            pairs = {name: (today[name], run) for name, run in sorted(runs.result().items())}
            found = {name: differences(*pair) for name, pair in pairs.items()}
            for name, parts in found.items():
                print(f"{commit}, {name}: {', '.join(parts) or 'the same bits'}", flush=True)
            same_too = [name for name, parts in found.items() if not parts]
            older[digests[commit]] = {"commit": commit, "recipes": same_too}
        content = {
            "code_digest": digest_of(REPOSITORY, folder / "asked"),
            "date": time.strftime("%Y-%m-%d"),
            "hardware": describe_hardware(torch.device("cpu")),
            "overrides": list(CUT_TO),
        }
    if content.items() <= known.items():  # seen today, of the same code: what is new is added
        older = known["older"] | older
    content["older"] = older
    SEEN.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
