"""The options of `hydra/launcher=slurm`, named as users of submitit know them."""

from dataclasses import dataclass, field
from typing import Any

from reslab.errors import UserError

# What the launcher itself says to sbatch or needs of it, and what to give instead.
OURS = {
    **dict.fromkeys(("job-name", "array", "output", "error", "open-mode"), ""),
    **dict.fromkeys(("requeue", "no-requeue", "chdir", "dependency", "clusters", "wrap"), ""),
    "wait": "; hydra.launcher.wait=true waits",
    "test-only": "; hydra.launcher.dry_run=true prints the script",
}


@dataclass
class SlurmOptions:
    """What is asked of the cluster for each cell, and of the launcher.

    Attributes:
        partition: Where it may run; null: what the cluster has by default, as in all of these.
        account: Whom it is charged to.
        qos: Quality of service.
        constraint: Features that its node must have, as for all cells to have the same hardware.
        timeout_min: Minutes after which it is told to save, and begun again.
        signal_delay_s: Seconds before that at which it is told: a step and a save must fit in.
        cpus_per_task: Processors, and threads.
        gpus_per_node: GPUs.
        mem_gb: Memory, GB.
        array_parallelism: How many may run at once; null: as many as the cluster lets.
        setup: Lines of shell before each cell, as `module load cuda`.
        additional_parameters: Others of sbatch's, as `{exclude: node7}`, added with a `+`.
        wait: Whether to wait until all have ended; else they are submitted, and that is all.
        dry_run: Whether only to print what would be submitted.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    timeout_min: int | None = None
    signal_delay_s: int = 120
    cpus_per_task: int = 1
    gpus_per_node: int | None = None
    mem_gb: float | None = None
    array_parallelism: int | None = None
    setup: list[str] = field(default_factory=list)
    additional_parameters: dict[str, Any] = field(default_factory=dict)
    wait: bool = True
    dry_run: bool = False

    def check(self) -> None:
        """Refuses what no cluster could do.

        Raises:
            UserError: A number is too small, the warning would come before the beginning, or a
                parameter is the launcher's own.
        """
        for name in ("timeout_min", "cpus_per_task", "array_parallelism", "signal_delay_s"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"hydra.launcher.{name} must be at least 1, got {value}")
        for name in ("gpus_per_node", "mem_gb"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UserError(f"hydra.launcher.{name} must be more than 0, got {value}")
        if self.timeout_min is not None and self.signal_delay_s >= 60 * self.timeout_min:
            raise UserError(
                f"hydra.launcher.signal_delay_s={self.signal_delay_s}: the warning would come "
                f"before a cell of {self.timeout_min} min has begun; give it more time"
            )

        for key in self.additional_parameters:
            # sbatch takes any beginning of a name that is no other's
            for own, instead in OURS.items():
                if own.startswith(_dashed(key)):
                    raise UserError(
                        f"hydra.launcher.additional_parameters.{key}: sbatch's --{own} is the "
                        f"launcher's own: leave it out{instead}"
                    )

    def parameters(self) -> dict[str, str | None]:
        """What sbatch is to be told, by its own names; None where a name stands alone."""
        asked: dict[str, Any] = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "time": self.timeout_min,
            "cpus-per-task": self.cpus_per_task,
            "gpus-per-node": self.gpus_per_node,
            "mem": None if self.mem_gb is None else f"{round(1024 * self.mem_gb)}M",
            "signal": f"B:TERM@{self.signal_delay_s}",
        }
        others = {_dashed(key): one for key, one in self.additional_parameters.items()}
        chosen = {k: one for k, one in (asked | others).items() if one not in (None, False)}
        return {key: None if one is True else str(one) for key, one in chosen.items()}


def _dashed(key: str) -> str:
    """A parameter as sbatch spells it."""
    return str(key).replace("_", "-")
