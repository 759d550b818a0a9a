"""The script that SLURM is given: an array of cells, each by its own command."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from reslab.errors import UserError
from reslab.jobs.cell import Cell
from reslab.jobs.slurm_options import SlurmOptions

HEAD = """\
#!/bin/bash
{parameters}

warned= run=
# Near its time limit: what runs is told to save and end.
trap 'warned=yes; [ -z "$run" ] || kill -TERM "$run"' TERM
{setup}
export OMP_NUM_THREADS={threads}
cd {folder} || exit
case $SLURM_ARRAY_TASK_ID in
{cells}
esac

saved() {{ stat -c %i-%Y "$directory/checkpoints/last.ckpt" 2>/dev/null; }}
before=$(saved)
status=143
if [ -z "$warned" ]; then
    "$@" </dev/null &
    run=$!
    wait "$run"
    status=$?
    while kill -0 "$run" 2>/dev/null; do # a signal ends waiting, and not what is waited for
        wait "$run"
        status=$?
    done
fi

# Only SLURM knows whether it has ended this job itself, by a preemption or as somebody wished.
job=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
if [ "$status" = 143 ] && [ -n "$warned" ] && [ "$(squeue -h -j "$job" -o %T)" = RUNNING ]; then
    if [ "$(saved)" != "$before" ]; then
        if said=$(scontrol requeue "$job" 2>&1); then
            echo "its time is over: it is queued again, and goes on"
        else
            echo "its time is over, and it could not be queued again: $said"
            status=1
        fi
    else
        echo "its time was over before it had saved anything: give it more"
        status=1
    fi
fi
exit "$status"
"""


def script(cells: Sequence[Cell], options: SlurmOptions, name: str, output: Path) -> str:
    """What sbatch is to run: it is whole, and needs no other file.

    Args:
        cells: The cells, no more than an array may have.
        options: What is asked of the cluster.
        name: The job's.
        output: The folder of `<name>_<index>.txt`, all that a cell and SLURM print.
    """
    limit = f"%{options.array_parallelism}" if options.array_parallelism else ""
    folder = cells[0].folder.resolve()
    ours = {
        "job-name": name,
        "array": f"0-{len(cells) - 1}{limit}",
        "output": f"{output.as_posix().replace('%', '%%')}/%x_%a.txt",
        "open-mode": "append",
        "requeue": None,
        "chdir": str(folder),
    }
    return HEAD.format(
        parameters="\n".join(_directive(*one) for one in (ours | options.parameters()).items()),
        setup="\n".join(options.setup),
        threads=options.cpus_per_task,
        folder=shlex.quote(str(folder)),
        cells="\n".join(_case(at, cell) for at, cell in enumerate(cells)),
    )


def chunks(cells: Sequence[Cell], most: int) -> list[Sequence[Cell]]:
    """Cells in their order, in parts of at most so many.

    Raises:
        UserError: There are no arrays.
    """
    if most < 1:
        raise UserError("this cluster takes no arrays of jobs (MaxArraySize=0), which cells are")
    return [cells[at : at + most] for at in range(0, len(cells), most)]


def _directive(name: str, value: str | None) -> str:
    return f"#SBATCH --{name}" + ("" if value is None else f"={shlex.quote(value)}")


def _case(at: int, cell: Cell) -> str:
    directory = shlex.quote(str(cell.directory.path.resolve()))
    return f"{at}) directory={directory}; set -- {shlex.join(cell.command)} ;;"
