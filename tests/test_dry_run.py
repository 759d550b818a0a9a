"""What `hydra.launcher.dry_run=true` prints: scripts and nothing else."""

import os
import subprocess

import pytest

from processes import run
from training import SMALL

SWEEP = ("train", "-m", *SMALL, "logger=none", "max_steps=2")


@pytest.mark.long
def test_what_is_printed_are_scripts_each_whole_and_what_is_finished_is_said_elsewhere(
    tmp_path, commands
):
    assert run(tmp_path, *SWEEP, "seed=0").code == 0
    dry = ("hydra/launcher=slurm", "hydra.launcher.dry_run=true")
    said = run(tmp_path, *SWEEP, "seed=range(5)", *dry, PATH=os.environ["PATH"])
    assert said.code == 0, said.err
    assert "finished, test accuracy" in said.err
    parts = said.out.split("\n# Script 2 of 2, which is submitted by itself:\n")
    seeds = [[seed for seed in range(5) if f"seed={seed}" in part] for part in parts]
    assert seeds == [[1, 2, 3], [4]], "an array of this cluster has three"
    for part in parts:
        assert part.startswith("#!/bin/bash\n")
        subprocess.run(["bash", "-n"], input=part, text=True, check=True)
    assert commands.asked("sbatch") == []
