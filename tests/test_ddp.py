"""One run on several devices: on the CPU by gloo, each process with one thread."""

import logging
import os
import shlex
import signal
from types import SimpleNamespace

import psutil
import pytest
import torch
import torch.distributed.run
from omegaconf import OmegaConf

import torchrun
from pages import CLUSTER, blocks, commands
from processes import run, start, wait_for
from reslab import ranks
from reslab.apps import devices
from reslab.apps.devices import num_processes
from reslab.apps.train import _how_each_has_its_own
from reslab.config import compose
from reslab.data import Augment, HorizontalFlip, RandomCrop
from reslab.data.loader import EvaluationLoader, TrainingLoader
from reslab.errors import UserError
from reslab.jobs.slots import find_slots
from reslab.preprocess import Normalization
from reslab.reporter import SILENT
from reslab.runs import checkpoint as files
from reslab.runs.check import check
from reslab.runs.devices import check_divides
from reslab.runs.identity import identity
from reslab.runs.request import Request
from reslab.runs.store import RunDirectory
from training import ARGUMENTS, EVERY_STEP, SMALL, assert_same_results, history, only_run

DDP = (
    *(*ARGUMENTS, "trainer.max_epochs=3"),
    *("trainer=ddp", "trainer.accelerator=cpu", "dataset.batch_size=48"),
)
EXACT = (
    *(*DDP, "trainer.deterministic=true", "trainer.precision=32-true"),
    *("ema=0.9", "lookahead=3"),
)
STEPS_PER_EPOCH = 1257 // 48
PLAIN = Normalization([0.0], [1.0])

# Without BatchNorm, whose statistics are per device on the CPU; one weight is never used.
OWN = """
from torch import nn

class Plain(nn.Module):
    def __init__(self, in_channels, num_classes, width=8):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.unused = nn.Linear(3, 3)
        self.head = nn.Linear(64 * width, num_classes)

    def forward(self, x):
        return self.head(self.body(x))
"""
OWN_MODEL = """
_target_: own_networks.Plain
in_channels: ${dataset.channels}
num_classes: ${dataset.num_classes}
"""


def start_all(folder, number, *arguments, kill=None, only=None, **environment):
    """Starts a command as torchrun would in so many processes; `kill` may be of `only` one."""
    said = {"WORLD_SIZE": number, "LOCAL_WORLD_SIZE": number}
    said |= {"MASTER_PORT": torchrun.free_port()}
    said |= {"MASTER_ADDR": "127.0.0.1"} | environment
    return [
        start(
            folder,
            *arguments,
            kill=kill if only in (None, rank) else None,
            **{key: str(value) for key, value in said.items()},
            RANK=str(rank),
            LOCAL_RANK=str(rank),
        )
        for rank in range(number)
    ]


def run_all(folder, number, *arguments, **options):
    return [process.wait(300) for process in start_all(folder, number, *arguments, **options)]


def assert_finished(finished):
    for one in finished:
        assert one.code == 0, one.err
        assert "Traceback" not in one.err, one.err


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Uninterrupted runs of two and three processes, with what each process has trained."""
    folders = {}
    for number in (2, 3):
        folders[number] = folder = tmp_path_factory.mktemp(f"whole{number}")
        assert_finished(run_all(folder, number, *EXACT, kill=("weights", 1)))
    return folders


def assert_same(folder, other):
    assert_same_results(only_run(folder), only_run(other))
    record = RunDirectory(only_run(folder)).record()
    assert record.provenance.exact is True


def as_rank(monkeypatch, rank, number):
    monkeypatch.setattr(ranks, "rank", lambda: rank)
    monkeypatch.setattr(ranks, "number", lambda: number)


def images_of(number):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (number, 1, 8, 8), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("number", [2, 3, 6])
def test_shares_of_a_batch_are_together_the_batch_of_one_process(number, monkeypatch):
    """So that each image of an epoch is seen once, and is what it would be."""

    def epoch():
        augment = Augment(crop=RandomCrop(2), flip=HorizontalFlip())
        loader = TrainingLoader(images_of(101), torch.arange(101), 12, PLAIN, augment, seed=3)
        loader.sampler.set_epoch(2)
        return list(loader)

    expected, shares = epoch(), []
    for rank in range(number):
        as_rank(monkeypatch, rank, number)
        shares.append(epoch())
    together = [tuple(map(torch.cat, zip(*one, strict=True))) for one in zip(*shares, strict=True)]
    assert len(expected) == 8
    for (images, labels), (expected_images, expected_labels) in zip(
        together, expected, strict=True
    ):
        assert torch.equal(images, expected_images)
        assert torch.equal(labels, expected_labels)
    assert len(torch.cat([labels for _, labels in together]).unique()) == 8 * 12


@pytest.mark.parametrize("total", [1, 4, 23, 25, 26])
@pytest.mark.parametrize("number", [2, 3, 7])
def test_evaluation_loses_no_image_and_has_none_twice(number, total, monkeypatch):
    """The last batch may be smaller than the number of processes."""
    seen = []
    for rank in range(number):
        as_rank(monkeypatch, rank, number)
        batches = list(EvaluationLoader(images_of(total), torch.arange(total), 5, PLAIN))
        assert all(len(labels) for _, labels in batches)
        assert all(len(labels) <= -(-5 // number) for _, labels in batches)
        seen += [label for _, labels in batches for label in labels.tolist()]
    assert sorted(seen) == list(range(total))


@pytest.mark.parametrize("devices", [2, "2", -1, [0, 1], "auto"])
def test_several_devices_without_ddp_are_refused_with_the_way(devices, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    cfg = compose([])
    OmegaConf.update(cfg, "trainer.devices", devices, merge=False)
    with pytest.raises(UserError, match=r"^trainer\.devices=.*trainer=ddp has several[^\n]*$"):
        check(cfg)


@pytest.mark.parametrize("devices", [0, -1, "2", "many", [0, 1], 1.5, True, None])
def test_a_number_of_devices_that_is_none_is_refused(devices):
    cfg = compose(["trainer=ddp"])
    OmegaConf.update(cfg, "trainer.devices", devices, merge=False)
    for refuse in (check, num_processes):
        with pytest.raises(UserError, match=r"^trainer\.devices=.* auto or how many[^\n]*$"):
            refuse(cfg)


def test_a_batch_that_cannot_be_shared_alike_is_refused_with_one_that_can():
    cfg = compose(["trainer=ddp", "dataset.batch_size=64"])
    check_divides(cfg, 4)
    with pytest.raises(UserError, match=r"^dataset\.batch_size=64 .* 3 devices .* as 66, or"):
        check_divides(cfg, 3)


@pytest.mark.parametrize(
    ("gpus", "overrides", "number"),
    [
        (["0", "1"], ["trainer=ddp"], 2),
        ([], ["trainer=ddp"], 1),
        (["0", "1"], ["trainer=ddp", "trainer.accelerator=cpu"], 1),
        (["0", "1"], ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=3"], 3),
        (["0", "1", "2"], ["trainer=ddp", "trainer.devices=2"], 2),
        (["mps"], ["trainer=ddp"], 1),
        (["0", "1"], [], 1),
    ],
)
def test_there_is_a_process_for_each_device(gpus, overrides, number, monkeypatch):
    monkeypatch.setattr(devices, "find_gpus", lambda: gpus)
    assert devices.num_processes(compose(overrides)) == number


@pytest.mark.parametrize(("gpus", "there"), [(["0"], "is 1 GPU"), (["0", "1"], "are 2 GPUs")])
def test_more_devices_than_there_are_are_refused(gpus, there, monkeypatch):
    monkeypatch.setattr(devices, "find_gpus", lambda: gpus)
    with pytest.raises(UserError, match=rf"^trainer\.devices=4: there {there}"):
        devices.num_processes(compose(["trainer=ddp", "trainer.devices=4"]))


def test_what_torchrun_started_is_not_started_again_and_needs_ddp(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert devices.num_processes(compose(["trainer=ddp", "trainer.devices=2"])) == 1
    with pytest.raises(UserError, match=r"^torchrun has started 2 processes: add trainer=ddp"):
        devices.num_processes(compose([]))


def test_the_number_of_devices_is_no_part_of_a_run_s_identity_and_the_batch_is():
    alone = identity(compose([]))
    for one in ("trainer.devices=2", "trainer.devices=4", "trainer.sync_batchnorm=false"):
        assert identity(compose(["trainer=ddp", one])) == alone
    assert identity(compose(["trainer=ddp", "dataset.batch_size=32"])) != alone


@pytest.mark.parametrize(
    ("statuses", "ending"),
    [
        ({1: -9, 0: ranks.LOST}, r"process 2 of 3 was killed by signal 9 \(Killed\): the same"),
        ({0: -11, 1: -15, 2: -15}, r"process 1 of 3 was killed by signal 11 \(Segm"),
        ({0: ranks.LOST, 1: -15, 2: ranks.LOST}, "one of 3 processes has ended without a word"),
        ({0: 143, 1: ranks.LOST, 2: 143}, 143),
        ({2: 1, 0: ranks.LOST, 1: -15}, 1),
    ],
)
def test_what_ended_the_processes_is_what_the_command_ends_with(statuses, ending):
    failures = {rank: SimpleNamespace(exitcode=status) for rank, status in statuses.items()}
    if isinstance(ending, int):
        with pytest.raises(SystemExit) as stopped:
            devices._end_as(failures, 3)
        assert stopped.value.code == ending
    else:
        with pytest.raises(UserError, match=f"^{ending}"):
            devices._end_as(failures, 3)


def test_a_sweep_within_one_process_is_refused_with_the_way(tmp_path):
    arguments = ("train", "-m", *SMALL, "trainer=ddp", "trainer.devices=2", "seed=0,1")
    finished = run(tmp_path, *arguments, "trainer.accelerator=cpu")
    assert finished.code == 1
    lines = [line for line in finished.err.splitlines() if "trainer=ddp: the runs" in line]
    assert len(lines) == 2, finished.err
    assert all("add hydra/launcher=local" in line for line in lines)
    assert "Traceback" not in finished.err


@pytest.mark.parametrize(
    ("given", "number", "share"), [("8", 2, "4"), ("8", 3, "2"), ("1", 2, "1"), (None, 2, "3")]
)
def test_processes_share_the_threads_of_the_command(given, number, share, tmp_path, monkeypatch):
    """As SLURM's jobs and the slots of a machine are given some, and a user's shell may be."""
    seen = {}
    monkeypatch.setattr(torch.distributed.run, "run", lambda _: seen.update(os.environ))
    monkeypatch.setattr(logging, "disable", lambda: None)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 6)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(6))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ.pop("OMP_NUM_THREADS")
    os.environ |= {"OMP_NUM_THREADS": given} if given else {}
    before = Request.here([], None)
    with pytest.raises(SystemExit) as ended:
        devices.run_on(number, RunDirectory(tmp_path / "run"), [], [], SILENT)
    assert ended.value.code == 0
    assert seen["OMP_NUM_THREADS"] == share
    os.environ |= seen
    asked = devices.as_given(Request.here([], None))
    assert asked.variables == before.variables, "what goes on later shares the same again"


def test_the_page_starts_torchrun_as_it_can_be_started():
    """On two machines, which a test has not: with options that there are, and what can be run."""
    (text,) = [block for kind, block in blocks(CLUSTER) if kind == "text"]
    words = shlex.split(text.replace("\\\n", " "))
    asked = torch.distributed.run.parse_args(words[words.index("torchrun") + 1 :])
    assert (asked.module, asked.training_script) == (True, "reslab")
    assert (asked.nnodes, asked.nproc_per_node) == ("2", "4")
    command, *overrides = asked.training_script_args
    assert command == "train"
    check(cfg := compose(overrides))
    check_divides(cfg, 2 * 4)


@pytest.mark.long
def test_the_page_s_command_runs_as_it_stands_and_its_processes_share_its_threads(tmp_path):
    (words,) = [shlex.split(line) for line in commands(blocks(CLUSTER)) if "trainer=ddp" in line]
    done = run(tmp_path, *words[1:], OMP_NUM_THREADS="2")
    assert done.code == 0, done.err
    directory = RunDirectory(only_run(tmp_path))
    provenance = directory.record().provenance
    assert (provenance.world_size, provenance.batch_norm) == (2, "per device")
    assert provenance.threads == 1
    assert directory.request().variables["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (["dataset.batch_size=47"], "dataset.batch_size=47 cannot be shared by 2 devices"),
        (["optimizer=sgd", "optimizer.lr=1e6"], "is not finite"),
    ],
)
def test_why_a_run_cannot_be_is_a_line_of_its_first_process_alone(asked, why, tmp_path):
    """Before it begins, and in its training."""
    given = ("train", *SMALL, "logger=none", "trainer=ddp", "trainer.accelerator=cpu", *asked)
    first, second = run_all(tmp_path, 2, *given)
    assert why in first.error_line()
    assert second.code == ranks.LOST
    assert "reslab: " not in second.err
    assert "Traceback" not in second.err


@pytest.mark.long
def test_of_shares_that_do_not_fit_into_memory_the_whole_is_named_with_one_whose_shares_do(
    tmp_path,
):
    asked = ("train", *SMALL, "logger=none", "trainer=ddp", "trainer.accelerator=cpu")
    ended = run_all(tmp_path, 2, *asked, "dataset.batch_size=1256", kill=("memory", 200))
    said = "reslab: dataset.batch_size=1256: out of memory on cpu; dataset.batch_size=314 fits"
    assert [one.error_line() for one in ended] == [said, said], "as 157 do, and 314 do not"
    one_epoch = ("trainer.max_epochs=1", "dataset.batch_size=314")
    assert_finished(run_all(tmp_path, 2, *asked, *one_epoch, kill=("memory", 200)))


@pytest.mark.parametrize(("devices", "number"), [("auto", 3), (2, 2)])
def test_a_sweep_is_told_of_a_way_that_gives_each_run_as_many_gpus_as_it_asks_for(
    devices, number, machine, monkeypatch
):
    machine("0,1,2")
    trainer = {"strategy": "ddp", "accelerator": "auto", "devices": devices}
    said = _how_each_has_its_own(OmegaConf.create({"trainer": trainer}))
    assert said == (
        f"on a cluster add hydra/launcher=slurm hydra.launcher.gpus_per_node={number}; here give "
        "one command after another, for hydra/launcher=local has one GPU for each run"
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(number))))  # as in its job
    assert num_processes(OmegaConf.create({"trainer": trainer})) == number
    assert find_slots()[0].variables["CUDA_VISIBLE_DEVICES"] == "0", "here it has but one"


@pytest.mark.slow
def test_gradients_of_the_first_batch_are_those_of_one_process(tmp_path):
    """SGD's momentum is, after one step, the gradient; classes are weighed, images augmented."""
    (tmp_path / "own_networks.py").write_text(OWN)
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/own.yaml").write_text(OWN_MODEL)
    own = {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    own |= {"RESLAB_TARGETS": "own_networks"}
    asked = (
        *("train", f"--config-dir={tmp_path}/conf", "model=own", "logger=none", "max_steps=1"),
        *("augment=crop_flip", "augment.crop.padding=2", "dataset.batch_size=48"),
        *("optimizer=sgd", "optimizer.weight_decay=0", "label_smoothing=0.1"),
        *("class_weights=balanced", "trainer=ddp", "trainer.precision=32-true"),
        "trainer.accelerator=cpu",
    )
    momenta = {}
    for number in (1, 3):
        folder = tmp_path / str(number)
        ended = run_all(folder, number, *asked, kill=("end", 1), only=0, **own)
        assert ended[0].killed, ended[0].err
        assert_finished(ended[1:])
        (saved,) = files.load(only_run(folder) / "checkpoints/last.ckpt")["optimizer_states"]
        momenta[number] = torch.cat([m["momentum_buffer"].flatten() for m in momenta_of(saved)])
    assert (momenta[3] - momenta[1]).norm() < 1e-6 * momenta[1].norm()


def momenta_of(saved):
    """Those of parameters that are used; with several processes others have zeros."""
    return [one for one in saved["state"].values() if one["momentum_buffer"].any()]


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3])
def test_all_processes_end_with_the_same_network_and_sums(number, whole):
    first, *others = [torch.load(whole[number] / f"weights-{at}.pt") for at in range(number)]
    for other in others:
        assert first.keys() == other.keys()
        assert all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.slow
def test_a_run_is_recorded_with_what_is_of_several_devices(whole):
    provenance = RunDirectory(only_run(whole[3])).record().provenance
    assert (provenance.world_size, provenance.batch_norm) == (3, "per device")
    assert provenance.exact is True
    rows = history(only_run(whole[3]))
    assert list(rows["step"]) == [STEPS_PER_EPOCH * epoch for epoch in rows["epoch"]]
    assert rows["train/loss"].iloc[-1] < rows["train/loss"].iloc[0]


@pytest.mark.slow
def test_metrics_are_over_all_devices(whole):
    """The validation accuracy is of all images, and the test accuracy of the predictions."""
    for folder in whole.values():
        run = RunDirectory(only_run(folder))
        counts = history(only_run(folder))["val/accuracy"] * 180
        assert counts.round().sub(counts).abs().max() < 1e-4
        logits, labels, _ = run.predictions()
        assert len(labels) == 360
        assert (logits.argmax(1) == labels).mean() == run.record().test_accuracy > 0.5


@pytest.mark.long
def test_a_run_whose_processes_were_all_killed_goes_on_to_the_same_bits(whole, tmp_path):
    killed = run_all(tmp_path, 3, *EXACT, EVERY_STEP, kill=("step", 40))
    assert all(one.killed or one.code == ranks.LOST for one in killed)
    assert any(one.killed for one in killed)
    resumed = run_all(tmp_path, 3, *EXACT)
    assert_finished(resumed)
    assert "resuming at step" in resumed[0].err
    assert "resuming" not in resumed[1].err
    assert_same(tmp_path, whole[3])


@pytest.mark.long
@pytest.mark.parametrize("told", [[0, 1], [1]], ids=["all", "one"])
def test_sigterm_has_all_save_once_and_the_run_goes_on_to_the_same_bits(told, whole, tmp_path):
    """torchrun sends it to all of its processes; `reslab stop` to the first alone."""
    processes = start_all(tmp_path, 2, *EXACT)
    wait_for(lambda: list(tmp_path.glob("outputs/runs/*/metrics.csv")))
    for rank in told:
        processes[rank].send(signal.SIGTERM)
    for stopped in [process.wait() for process in processes]:
        assert stopped.code == 143, stopped.err
        assert "Traceback" not in stopped.err
    checkpoints = only_run(tmp_path) / "checkpoints"
    assert not (checkpoints / "previous.ckpt").exists(), "it is saved once"
    saved = files.load(checkpoints / "last.ckpt")
    assert saved["global_step"] >= STEPS_PER_EPOCH
    assert len(saved["random_states_of_others"]) == 1
    assert_finished(run_all(tmp_path, 2, *EXACT))
    assert_same(tmp_path, whole[2])


@pytest.mark.long
def test_another_number_of_devices_goes_on_inexactly_or_not_at_all(tmp_path):
    one_epoch = "trainer.max_epochs=1"
    for asked, folder in ((DDP, tmp_path / "warned"), (EXACT, tmp_path / "refused")):
        killed = run_all(folder, 2, *asked, one_epoch, EVERY_STEP, kill=("step", 5))
        assert any(one.killed for one in killed)
    refused = run(tmp_path / "refused", *EXACT, one_epoch)
    assert "another environment, which differs in batch_norm, world_size" in refused.error_line()
    resumed = run_all(tmp_path / "warned", 3, *DDP, one_epoch)
    assert_finished(resumed)
    assert "differs in world_size; it goes on, and is recorded as not exact" in resumed[0].err
    provenance = RunDirectory(only_run(tmp_path / "warned")).record().provenance
    assert (provenance.exact, provenance.world_size) == (False, 3)


@pytest.mark.long
def test_two_nodes_of_one_process_make_what_one_node_of_two_does(whole, tmp_path):
    """Two of torchrun's agents, each with its own process: all that two machines have on one."""
    port = torchrun.free_port()
    # The first is started as by hand; the other need not import PyTorch twice.
    node = torchrun.start(tmp_path, *EXACT, number=1, nodes=2, node=0, port=port)
    other = torchrun.fork(tmp_path, *EXACT, number=1, nodes=2, node=1, port=port)
    first, second = torchrun.finish(node), other.wait()
    # Where the agents do not end in one moment, torchrun itself says so of its own exchange.
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert first.out.count("test accuracy") == 1
    assert not second.out
    assert_same(tmp_path, whole[2])
    assert RunDirectory(only_run(tmp_path)).record().provenance.world_size == 2


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "killed"), [(1, 0), (2, 1)])
def test_a_killed_process_is_a_line_of_the_other_one_and_torchrun_s_own_words(
    nodes, killed, tmp_path
):
    """With torchrun started by hand, on a machine and on two; torchrun gives a traceback first."""
    port = torchrun.free_port()
    asked = (*DDP, EVERY_STEP, "trainer.max_epochs=50")
    started = [
        torchrun.fork(tmp_path, *asked, number=2 // nodes, nodes=nodes, node=at, port=port)
        for at in range(nodes)
    ]
    wait_for(lambda: list(tmp_path.glob("outputs/runs/*/checkpoints/last.ckpt")))
    found = processes_of(only_run(tmp_path), *started)
    _, of_killed = found[killed]
    _, other = found[1 - killed]
    found[killed][0].kill()
    ended = [one.wait() for one in started]
    assert all(one.code == 1 for one in ended)
    said = ended[started.index(other)].err
    lines = [line for line in said.splitlines() if line.startswith("reslab: ")]
    assert lines == [
        f"reslab: process {2 - killed} of 2 ends: another one has ended, and torchrun says where "
        "that ran which and how; the same command goes on from the last checkpoint"
    ]
    cause = ended[started.index(of_killed)].err.partition("Root Cause")[2]
    assert f"rank      : {killed} " in cause
    assert "(SIGKILL)" in cause
    assert RunDirectory(only_run(tmp_path)).state() == "interrupted"


def processes_of(path, *started):
    """The two processes that torchrun has started, by rank, each with what torchrun is there."""
    first = RunDirectory(path).request().pid
    found = {
        int(process.pid != first): (process, one)
        for one in started
        for process in psutil.Process(one.process.pid).children()
    }
    assert found.keys() == {0, 1}
    return found


@pytest.mark.long
def test_one_command_is_all_of_it(whole, tmp_path):
    """A process is killed; then the command is stopped, killed itself, and given once more.

    The processes are forked, not started: they need not import PyTorch eight times.
    """
    command = (*EXACT, "trainer.devices=2", EVERY_STEP)
    first = start(tmp_path, *command, kill=("spare", 2), OMP_NUM_THREADS="1")
    wait_for(lambda: list(tmp_path.glob("outputs/runs/*/checkpoints/last.ckpt")))
    first.wait_for_text("[00:00<?")  # the bar, in whose line it leaves the cursor
    killed, _ = processes_of(only_run(tmp_path), first)[0]
    killed.kill()
    ended = first.wait()
    assert ended.code == 1
    assert ended.error_line() == (
        "reslab: process 1 of 2 was killed by signal 9 (Killed): the same command goes on from the "
        "last checkpoint"
    )
    run = RunDirectory(only_run(tmp_path))
    assert run.state() == "interrupted"

    second = start(tmp_path, *command, kill=("spare", 2), OMP_NUM_THREADS="1")
    second.wait_for_text("[00:00<?")  # the bar: training has begun
    assert "resuming at step" in second.err.read_text()
    second.send(signal.SIGINT)
    stopped = second.wait()
    assert stopped.code == 130, stopped.err
    assert "Ctrl-C again stops at once" in stopped.err
    assert "Traceback" not in stopped.err
    assert "reslab:" not in stopped.err
    assert not run.is_running()

    third = start(tmp_path, *command, kill=("spare", 2), OMP_NUM_THREADS="1")
    third.wait_for_text("[00:00<?")
    assert "resuming at step" in third.err.read_text()
    third.send(signal.SIGKILL)
    wait_for(lambda: not run.is_running())
    assert not run.record_file.exists()

    last = start(tmp_path, *command, kill=("spare", 2), OMP_NUM_THREADS="1").wait()
    assert last.code == 0, last.err
    assert last.out.count("test accuracy") == 1
    assert_same(tmp_path, whole[2])
    assert "finished" in start(tmp_path, *command).wait().out
