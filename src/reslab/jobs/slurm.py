"""SLURM by its own commands: what is submitted, and where it stands."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reslab.errors import UserError

SECONDS_TO_ANSWER = 60.0
OF_A_SITE = ("SLURM_CONF", "SLURM_CLUSTERS")  # of all variables that a job has
USUAL_MOST = 1001  # cells of an array, where the cluster does not say
# Of a job that has a node and may go on there, and what is on a node of one that has ended.
ON_A_NODE = ("RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "COMPLETING")
# What squeue prints, each as wide as that.
COLUMNS = {
    **{"Name": 64, "ArrayTaskID": 16, "ArrayJobID": 16, "State": 24, "exit_code": 16},
    **{"Reason": 64, "NodeList": 64},
}
# A line of sacct's about a cell, or about those of an array of which none had begun, as 7_[0-3,8%2]
# and 7_[0-8:4]; the state may have more to it, as in CANCELLED by 1000.
ACCOUNT = (
    r"(?P<name>.*)\|(?P<job>\d+)_(?P<places>\d+|\[[^]]+\])\|(?P<state>\w+)[^|]*\|"
    r"(?P<code>\d+)(:(?P<signum>\d+))?"
)
PLACES = r"(?P<first>\d+)(-(?P<last>\d+)(:(?P<step>\d+))?)?"
OVER = {  # what of a job remains so, and what is said of it
    "COMPLETED": "",
    "FAILED": "",
    "CANCELLED": "canceled",
    "TIMEOUT": "out of time",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node did not start",
    "PREEMPTED": "preempted, and not queued again",
    "DEADLINE": "its deadline is over",
}


Key = tuple[str, int]  # the name of an array, and a place in it


@dataclass(frozen=True)
class Task:
    """A cell of an array, as SLURM has it.

    Attributes:
        job: What its commands call it, `<job>_<index>`.
        state: The word that squeue has for it.
        status: As `wait` gives it, of one that has ended.
        reason: Why it waits, or the node that it is on.
    """

    job: str
    state: str
    status: int
    reason: str

    @property
    def is_over(self) -> bool:
        """Whether it remains so."""
        return self.state in OVER

    @property
    def is_running(self) -> bool:
        """Whether it is on a node."""
        return self.state in ON_A_NODE

    @property
    def was_stopped(self) -> bool:
        """Whether its run was told to save and end, and SLURM was not."""
        return self.state == "FAILED" and os.waitstatus_to_exitcode(self.status) in (
            128 + signal.SIGTERM,
            128 + signal.SIGINT,
        )

    @property
    def end(self) -> str:
        """What SLURM knows of its end, empty where its own last line says more."""
        if self.state == "FAILED" and (signum := self.status & 0x7F):
            return f"killed by signal {signum} ({signal.strsignal(signum)})"
        return OVER.get(self.state, self.state.lower())


@dataclass(frozen=True)
class Cluster:
    """The cluster that this machine's commands are about.

    Attributes:
        name: Its name.
        most: How many cells an array may have; 0 where it has none.
    """

    name: str
    most: int = USUAL_MOST

    @classmethod
    def here(cls) -> "Cluster":
        """Asks it.

        Raises:
            UserError: There is none.
        """
        said = _ask("scontrol", "show", "config")
        found = dict(re.findall(r"^(\w+) *= (.*)$", said, re.MULTILINE))
        most = found.get("MaxArraySize", "").strip()
        return cls(found.get("ClusterName", ""), int(most) if most.isdigit() else USUAL_MOST)


def submit(script: str, after: str | None = None) -> str:
    """Submits an array and gives its job's number.

    Args:
        script: What `slurm_script` wrote.
        after: A job that must have ended before.

    Raises:
        UserError: It is refused; the message is sbatch's.
    """
    order = [f"--dependency=afterany:{after}"] if after else []
    return _ask("sbatch", "--parsable", *order, given=script).strip().partition(";")[0]


def look(keys: Iterable[Key]) -> dict[Key, Task]:
    """The cells of arrays by the array's name and their place in it.

    What has ended some minutes ago SLURM forgets, but for its accounts, where it keeps any.

    Raises:
        UserError: SLURM does not answer, which says nothing of them.
    """
    keys = set(keys)
    if not keys:
        return {}
    names = ",".join(sorted({name for name, _ in keys}))
    form = ",".join(f"{name}:{width}" for name, width in COLUMNS.items())
    tasks = parse(_ask("squeue", "-r", "-h", "-t", "all", f"--name={names}", "-O", form))
    forgotten = ",".join(sorted({name for name, _ in keys - tasks.keys()}))
    if forgotten and shutil.which("sacct"):
        with contextlib.suppress(UserError):  # there may be no accounts
            form = "JobName,JobID,State,ExitCode"
            order = ("-X", "-n", "-P", "-S", "now-30days", f"--name={forgotten}", "-o", form)
            tasks = parse_accounts(_ask("sacct", *order)) | tasks
    return {key: tasks[key] for key in keys & tasks.keys()}


def cancel(name: str, index: int) -> None:
    """Ends a cell of an array, and nothing else; what runs is told to save.

    Raises:
        UserError: SLURM does not answer.
    """
    task = look([(name, index)]).get((name, index))
    if task and not task.is_over:
        _ask("scancel", task.job)


def parse(text: str) -> dict[Key, Task]:
    """What squeue has printed: columns of the widths that it was asked for."""
    tasks = {}
    for line in text.splitlines():
        values, at = [], 0
        for width in COLUMNS.values():
            values.append(line[at : at + width].strip())
            at += width
        name, index, job, state, status, reason, nodes = values
        if index.isdigit():
            number = int(status) if status.isdigit() else 0
            tasks[name, int(index)] = Task(f"{job}_{index}", state, number, nodes or reason)
    return tasks


def parse_accounts(text: str) -> dict[Key, Task]:
    """What sacct has printed of those that have ended."""
    tasks = {}
    for line in text.splitlines():
        found = re.fullmatch(ACCOUNT, line.strip())
        if found and found["state"] in OVER:
            status = int(found["code"]) << 8 | int(found["signum"] or 0)
            for index in _places(found["places"]):
                task = Task(f"{found['job']}_{index}", found["state"], status, "")
                tasks[found["name"], index] = task
    return tasks


def _places(text: str) -> Iterator[int]:
    """The places in an array that a line is about."""
    for part in text.strip("[]").partition("%")[0].split(","):
        if found := re.fullmatch(PLACES, part):
            first, last, step = (int(found[name] or 0) for name in ("first", "last", "step"))
            yield from range(first, max(first, last) + 1, max(1, step))


def user() -> str:
    """Whose jobs those are that are submitted here."""
    try:  # not by the environment, which may say anything
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a number without a name
        return str(os.getuid())


def _ask(*command: str, given: str | None = None) -> str:
    """What a command of SLURM's prints; variables of a job that this may be in are not the next's.

    Raises:
        UserError: It is not there, fails, or does not answer.
    """
    environment = dict(os.environ)
    if "SLURM_JOB_ID" in environment:
        environment = {
            name: value
            for name, value in environment.items()
            if not name.startswith("SLURM_") or name in OF_A_SITE
        }
    environment["SLURM_BITSTR_LEN"] = "0"  # the places of an array in full, however many
    try:
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            env=environment,
            timeout=SECONDS_TO_ANSWER,
        )
    except FileNotFoundError as error:
        raise UserError(
            f"there is no {command[0]}: hydra/launcher=slurm is given where SLURM's commands are"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{command[0]} has not answered for {SECONDS_TO_ANSWER:.0f} s") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = lines[-1] if lines else f"status {done.returncode}"
        raise UserError(f"{command[0]}: {said.removeprefix(f'{command[0]}: ')}")
    return done.stdout
