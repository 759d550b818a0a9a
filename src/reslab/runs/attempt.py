"""Where a command that trains begins: at nothing, at a checkpoint, or at a finished run's end."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from reslab.errors import UserError
from reslab.runs.identity import differing_keys, hashed_config, identity
from reslab.runs.record import Record
from reslab.runs.store import RunDirectory


@dataclass(frozen=True)
class Attempt:
    """What a run's directory makes of a command.

    Attributes:
        record: The finished run's record, if there is nothing to do.
        checkpoint: What to go on from.
        step: At which step that is.
        about: What it says of its run.
        problems: What is wrong with a newer checkpoint.
        rerun: How often the run is started over, this time included.
        starts_over: Whether what is there is to be deleted.
    """

    record: Record | None = None
    checkpoint: Path | None = None
    step: int = 0
    about: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()
    rerun: int = 0
    starts_over: bool = False


def begin(cfg: DictConfig, directory: RunDirectory) -> Attempt:
    """Looks where the run stands, and changes nothing.

    `rerun=true` starts over what is finished, or what was begun without it; it goes on with a rerun
    that was broken, else one that is stopped again and again would never end. `rerun=N` starts over
    what was started over fewer than N times, so that it may be given again once all is done.

    Raises:
        UserError: A file is damaged, a checkpoint is another run's, or there is nothing to go on
            from where that was asked for.
    """
    try:
        record = directory.record()
        there = Attempt(record=record, rerun=record.rerun) if record else _resume(cfg, directory)
    except UserError:
        if not cfg.rerun:
            raise
        there = Attempt()  # damaged, from which starting over is the way out
    asked = int(cfg.rerun)
    if cfg.rerun is True:
        is_broken_rerun = there.checkpoint is not None and there.rerun > 0
        asked = there.rerun if is_broken_rerun else there.rerun + 1
    return there if asked <= there.rerun else Attempt(rerun=asked, starts_over=True)


def refuse_another_s(cfg: DictConfig, directory: RunDirectory) -> None:
    """Leaves a directory alone that is another configuration's, whatever has named it.

    Raises:
        UserError: Its configuration, its record, or without these its checkpoint is another run's;
            the message names the keys.
    """
    try:
        record = directory.record()
        theirs = _whose(directory)
    except UserError:
        if cfg.rerun:
            return
        raise
    ours = hashed_config(cfg)
    if theirs is not None and theirs != ours:
        keys = ", ".join(differing_keys(ours, theirs))
        raise UserError(
            f"{directory.path} is the directory of another run, which differs in {keys}: choose "
            f"another one, or delete it"
        )
    if record and record.identity != identity(cfg):
        raise UserError(
            f"{directory.record_file} is another run's ({record.identity}), not that of "
            f"{directory.config_file}: choose another directory, or delete it"
        )


def _whose(directory: RunDirectory) -> dict[str, Any] | None:
    """The configuration of the run whose directory it is, None for an empty one."""
    if directory.config_file.exists():
        return hashed_config(directory.config())
    found = directory.latest.load()
    return found[1]["reslab"]["config"] if found else None


def _resume(cfg: DictConfig, directory: RunDirectory) -> Attempt:
    found = directory.latest.load()
    if found is None:
        if cfg.resume == "must":
            raise UserError(f"resume=must, but {directory.path} has no checkpoint to resume from")
        return Attempt()
    path, checkpoint, problems = found
    about = checkpoint["reslab"]
    if about["identity"] != identity(cfg):
        keys = differing_keys(hashed_config(cfg), about["config"])
        raise UserError(
            f"{path} belongs to another run ({about['identity']}), which differs in "
            f"{', '.join(keys)}; move it away, or start over with rerun=true"
        )
    if "SaveCheckpoints" not in checkpoint["callbacks"]:  # see `finish`
        raise UserError(
            f"{directory.record_file} is missing: the run was finished, and {path} has its weights "
            f"alone, from which none goes on; put the file back, or start over with rerun=true"
        )
    step, rerun = checkpoint["global_step"], about.get("rerun", 0)
    return Attempt(None, path, step, about, tuple(problems), rerun)
