"""`hydra/launcher=slurm`: the cells of a sweep as jobs of a cluster's queue."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from hydra.core.config_store import ConfigStore

from hydra_plugins.reslab_launchers import CellLauncher, Job
from reslab.jobs.slurm_options import SlurmOptions

if TYPE_CHECKING:
    from reslab.jobs.account import Swept
    from reslab.jobs.cell import Cell
    from reslab.reporter import Reporter


@dataclass
class Slurm(SlurmOptions):
    """The options, as Hydra has them."""

    _target_: str = "hydra_plugins.reslab_slurm.SlurmLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="slurm", node=Slurm, provider="reslab")


class SlurmLauncher(CellLauncher):
    """Cells on a cluster, as jobs of an array."""

    def __init__(self, **options: Any) -> None:
        self.options = SlurmOptions(**options)

    @property
    def answers(self) -> TextIO:
        """Not where scripts are printed."""
        return sys.stderr if self.options.dry_run else super().answers

    def sweep(
        self,
        cells: Sequence["Cell"],
        jobs: Sequence[Job],
        reporter: "Reporter",
        on_finished: Callable[["Cell"], None],
    ) -> "Swept":
        """Submits what is not in the queue, and waits for all, as the options say."""
        from reslab.jobs.slurm_queue import scripts
        from reslab.jobs.slurm_sweep import SlurmSweep

        self.options.check()
        if self.options.dry_run:
            parts = scripts(cells, self.options)
            for number, text in enumerate(parts, 1):
                if number > 1:  # else it begins as a script has to
                    print(f"\n# Script {number} of {len(parts)}, which is submitted by itself:")
                print(text, end="")
            raise SystemExit(0)
        return SlurmSweep(cells, self.options, reporter, on_finished).run()
