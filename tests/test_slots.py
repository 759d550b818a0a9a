"""How a machine is shared out, and how long what is run on it will take."""

import os
from dataclasses import dataclass
from itertools import pairwise

import pytest

from cells import BEGIN, FINISH, progress
from reslab.errors import UserError
from reslab.jobs.cell import Cell
from reslab.jobs.pool import Ended
from reslab.jobs.slots import Slot, find_slots
from reslab.jobs.sweep import Sweep, seconds_left
from reslab.reporter import Reporter


def test_each_gpu_is_a_slot_with_its_share_of_the_cores(machine):
    machine("3,5")
    assert find_slots() == [Slot("GPU 0", "3", 4), Slot("GPU 1", "5", 4)]
    assert find_slots(1) == [Slot("GPU 0", "3")]
    assert find_slots()[1].variables == {"CUDA_VISIBLE_DEVICES": "5", "OMP_NUM_THREADS": "4"}


def test_more_runs_than_gpus_are_refused_unless_they_are_asked_to_share(machine):
    machine("0,1")
    with pytest.raises(UserError, match=r"hydra\.launcher\.slots=3: there are 2 GPUs"):
        find_slots(3)
    assert [slot.gpu for slot in find_slots(3, runs_per_gpu=2)] == ["0", "1", "0"]
    assert [slot.gpu for slot in find_slots(None, runs_per_gpu=2)] == ["0", "1", "0", "1"]
    for wrong in ((0, 1), (-1, 1), (None, 0)):
        with pytest.raises(UserError, match="must be at least 1"):
            find_slots(*wrong)


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_without_a_gpu_the_cores_are_shared(machine, hidden):
    machine(hidden)
    assert [slot.variables for slot in find_slots(3)] == [{"OMP_NUM_THREADS": "2"}] * 3
    assert [slot.variables for slot in find_slots()] == [{}], "one run has the machine"
    machine("0,1")
    assert [slot.gpu for slot in find_slots(2, on_gpus=False)] == [None, None]


def test_gpus_are_found_by_the_driver_s_command(machine, tmp_path, monkeypatch):
    machine()
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 0, GPU-1a\necho 1, GPU-2b\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert [slot.gpu for slot in find_slots()] == ["GPU-1a", "GPU-2b"]
    command.write_text("#!/bin/sh\necho no devices were found\nexit 6\n")
    assert find_slots() == [Slot("all cores")]


def test_two_cells_never_share_a_device(make, machine):
    machine("0,1")
    cells = [make(f"cell-{at}", f"{BEGIN}time.sleep({0.1 + 0.1 * at}){FINISH}") for at in range(6)]
    swept = Sweep(cells, find_slots(), Reporter()).run()
    assert [end.state for end in swept.ends] == ["finished"] * 6
    spans = {"0": [], "1": []}
    for cell in cells:
        begun, gpu = (cell.directory.path / "begun").read_text().split()
        spans[gpu].append((float(begun), float((cell.directory.path / "ended").read_text())))
    for times in map(sorted, spans.values()):
        assert len(times) >= 2
        assert all(end < begin for (_, end), (begin, _) in pairwise(times))


def test_a_cell_has_its_slot_s_environment_and_before_that_its_own(make, machine):
    machine("0,1")
    script = f"{BEGIN}(run / 'seen').write_text(os.environ['OMP_NUM_THREADS']){FINISH}"
    cells = [make("new", script), make("begun", script, variables={"OMP_NUM_THREADS": "3"})]
    Sweep(cells, find_slots(), Reporter()).run()
    assert [(one.directory.path / "seen").read_text() for one in cells] == ["4", "3"]


@dataclass(eq=False)
class Under:
    """A job under way of which a progress is known."""

    cell: Cell
    seconds: float


def test_the_time_left_is_what_remains_over_all_slots(make, tmp_path):
    done = Ended(make("done", ""), "finished", "", 10.0)
    running, waiting = Under(make("running", ""), 4.0), [make("w", "", work=2.0), make("v", "")]
    assert seconds_left([], [running], waiting, 2) is None
    # 10 s a unit of work: the running one has 6 s to go, those that wait take 20 and 10.
    assert seconds_left([done], [running], waiting, 2) == pytest.approx(18)
    running.cell.directory.path.mkdir()
    progress(16.0).write(running.cell.directory.progress_file)
    # It says 16 s, 20 s in all: a unit takes 15 s.
    assert seconds_left([done], [running], waiting, 2) == pytest.approx((16 + 45) / 2)
    assert seconds_left([done], [running], [], 2) == pytest.approx(16), "no two share a cell"
    failed = Ended(make("f", ""), "failed", "", 0.1)
    assert seconds_left([done, failed], [], waiting, 1) == pytest.approx(30)
    assert seconds_left([done], [], [], 1) is None
