"""A run from its configuration to its record: resumed if broken, skipped if finished."""

import contextlib
import logging
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from reslab import ranks
from reslab.callbacks import StopRequest
from reslab.config import refusal
from reslab.errors import UserError, stop_behind
from reslab.finite import NotFiniteError
from reslab.reporter import SILENT, Reporter
from reslab.runs import checkpoint as files
from reslab.runs import log
from reslab.runs.attempt import Attempt, begin, refuse_another_s
from reslab.runs.build import Run, build, prepare_data
from reslab.runs.check import check
from reslab.runs.description import describe
from reslab.runs.devices import describe_devices
from reslab.runs.environment import (
    describe_environment,
    git_commit,
    reset_peak_memory,
)
from reslab.runs.extend import Source, read_source
from reslab.runs.extension import find_whole, settled
from reslab.runs.failures import explained
from reslab.runs.finish import finish
from reslab.runs.identity import differing_keys, hashed_config
from reslab.runs.outcome import UNTESTED, Outcome
from reslab.runs.request import Request
from reslab.runs.store import RunDirectory
from reslab.runs.trainer import device_of

FINISHED = "finished"  # what the others are told where there is nothing to do


def execute(
    cfg: DictConfig, directory: RunDirectory, request: Request, reporter: Reporter = SILENT
) -> Outcome | None:
    """Brings the run in `directory` to its end; gives None where that is before its test.

    Of several processes that torchrun has started for it, the first does: it alone writes, tells
    the others when all is prepared, and tests what they have trained together. They return None.

    Args:
        cfg: The run's configuration.
        directory: Its directory.
        request: What the user asked for, and this process.
        reporter: Told what happens on the way.

    Raises:
        UserError: See `runs.check`, `runs.store`, `runs.checkpoint`, `runs.build` and `data`.
    """
    _quiet()
    on_gpus = ranks.started() > 1 and device_of(cfg).type == "cuda"
    with ranks.joined(on_gpus=on_gpus):
        if ranks.is_first():
            return _lead(cfg, directory, request, reporter)
        _follow(cfg, directory)
        return None


def _lead(
    cfg: DictConfig, directory: RunDirectory, request: Request, reporter: Reporter
) -> Outcome | None:
    # What the processes are told by torchrun, whoever has started it says.
    heard = reporter if ranks.number() == 1 else SILENT
    with directory.locked(), StopRequest(heard) as stop:
        extend_from = cfg.extend_from
        cfg = settled(cfg)
        if cfg.extend_from is not None:
            request = request.with_override("extend_from", cfg.extend_from)  # whatever ends since
        refuse_another_s(cfg, directory)
        try:
            check(cfg)
            attempt = begin(cfg, directory)
            if attempt.record:
                directory.settle()
                if cfg.keep_state and not directory.state_kept.exists():
                    reporter.warn("keep_state=true: it was finished without; add rerun=true")
                ranks.told(FINISHED)
                return Outcome(attempt.record, trained=False)
            source = None
            if extend_from is not None and attempt.checkpoint is None:
                source = read_source(cfg, str(extend_from))
            with log.kept(directory.log_file):
                request.write(directory.request_file)
                untested = directory.untested_file
                for of_before in (directory.failure_file, directory.progress_file, untested):
                    of_before.unlink(missing_ok=True)
                outcome = _execute(cfg, directory, attempt, source, request, stop, reporter)
            log.add(directory.log_file, str(outcome or UNTESTED))
            return outcome
        except ranks.LostError:
            log.add(directory.log_file, "another process of the run has ended")
            raise
        except Exception as error:
            if stopped := stop_behind(error):
                raise stopped from None
            if not directory.record_file.exists():
                log.add(directory.log_file, f"failed: {error}")
                with contextlib.suppress(OSError, UserError):  # the disk may be what failed
                    request.write(directory.request_file)
                    directory.failure_file.write_text(f"{error}\n\n{traceback.format_exc()}")
            raise


def _follow(cfg: DictConfig, directory: RunDirectory) -> None:
    """Takes this process' share of a training that another process leads."""
    with StopRequest() as stop:
        try:
            checkpoint = ranks.told()
        except ranks.LostError:  # the first says itself why it does not begin
            raise SystemExit(ranks.LOST) from None
        if checkpoint == FINISHED:
            return
        cfg = settled(cfg)
        check(cfg)
        run = build(cfg, directory, stop)
        prepare_data(run.data)
        data, device = run.data, run.trainer.strategy.root_device
        try:
            _fit(run, checkpoint)
        except NotFiniteError as error:  # as in the first process, which says so
            raise SystemExit(ranks.LOST) from error
        except Exception as error:
            del run  # that its memory is free
            if said := explained(error, cfg, directory, data.image_shape, device, SILENT):
                raise said from error
            raise


def _fit(run: Run, checkpoint: str | None) -> None:
    try:
        with ranks.together():
            run.trainer.fit(run.task, datamodule=run.data, ckpt_path=checkpoint)
    except MisconfigurationException as error:  # Lightning's word for what a user did
        raise refusal(error, "trainer") from error
    ranks.part()


def _execute(
    cfg: DictConfig,
    directory: RunDirectory,
    attempt: Attempt,
    source: Source | None,
    request: Request,
    stop: StopRequest,
    reporter: Reporter,
) -> Outcome | None:
    for problem in attempt.problems:
        reporter.warn(f"{problem}; going on from {attempt.checkpoint}")
    if attempt.checkpoint:
        reporter.say(f"resuming at step {attempt.step} from {attempt.checkpoint}")
    run = build(cfg, directory, stop, reporter)
    if attempt.checkpoint is None and source is None and cfg.init_from is not None:
        _load_initial_weights(run.task.network, cfg)
    device = run.trainer.strategy.root_device
    reset_peak_memory(device)
    prepare_data(run.data, reporter)
    for remark in (one for one in run.data.remarks if one.warns):
        reporter.warn(remark.warning)
    if attempt.starts_over:
        directory.clear()  # only now, when nothing speaks against the new run
    directory.write_config(cfg)
    environment = describe_environment(device, str(run.trainer.precision))
    environment |= describe_devices(run.task.network)
    data_digest = run.data.digest
    begun_as = source.about if source else attempt.about
    about = run.checkpoints.about
    about |= {
        "environment": environment,
        "git": git_commit(),  # now: the code may be changed while this runs
        "data_digest": data_digest,
        "exact": _is_exact(cfg, begun_as, environment, data_digest, device, reporter),
        "rerun": attempt.rerun,
        "description": describe(directory.name, cfg, run.data).as_json(),
    }
    about["extends"] = (attempt.about or {}).get("extends")
    checkpoint = attempt.checkpoint
    if source:
        checkpoint = directory.latest.last
        files.save(source.continued(cfg, run.task, about, reporter), checkpoint)
    reporter.say(f"{directory.path}")
    checkpoint = ranks.told(str(checkpoint) if checkpoint else None)
    data = run.data
    try:
        _fit(run, checkpoint)
    except Exception as error:
        del run  # that its memory is free
        if said := explained(error, cfg, directory, data.image_shape, device, reporter):
            raise said from error
        raise
    if not cfg.test:
        directory.untested_file.write_text(f"{UNTESTED}\n")
        return None
    return Outcome(finish(cfg, directory, request, run, environment), trained=True)


def _is_exact(
    cfg: DictConfig,
    begun_as: dict[str, Any] | None,
    environment: dict[str, Any],
    data_digest: str,
    device: torch.device,
    reporter: Reporter,
) -> bool:
    """Whether the run is, to the bit, what one uninterrupted process would have made of it."""
    if begun_as is None:
        return True
    keys = differing_keys(environment, begun_as["environment"])
    if data_digest != begun_as["data_digest"]:
        keys.append("data_digest")
    if not keys:
        # A GPU's kernels give the same bits again only where deterministic ones are asked for.
        return begun_as["exact"] and (device.type == "cpu" or cfg.trainer.deterministic)
    text = f"the run began in another environment, which differs in {', '.join(keys)}"
    if cfg.trainer.deterministic:
        raise UserError(f"{text}: trainer=exact does not go on; resume it there, or use rerun=true")
    reporter.warn(f"{text}; it goes on, and is recorded as not exact")
    return False


def _load_initial_weights(network: torch.nn.Module, cfg: DictConfig) -> None:
    asked = str(cfg.init_from)
    source = find_whole(f"init_from={asked}", asked, Path(cfg.runs_dir))
    if not source.best.exists():
        raise UserError(f"init_from={asked}: {source.best} does not exist")
    theirs, ours = files.load(source.best)["state_dict"], network.state_dict()
    if {k: w.shape for k, w in ours.items()} != {k: w.shape for k, w in theirs.items()}:
        our_model, their_model = (hashed_config(c)["model"] for c in (cfg, source.config()))
        keys = differing_keys(our_model, their_model, "model.")
        raise UserError(f"init_from={asked} has another network: {', '.join(keys)} differ")
    network.load_state_dict(theirs)


def _quiet() -> None:
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
