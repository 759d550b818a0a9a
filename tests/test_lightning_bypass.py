"""That Lightning still does what each by-pass rests on, and that the by-pass still works."""

import re
import signal
from collections import Counter
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import SimpleNamespace

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping

import reslab
from reslab.lightning_bypass import (
    STEP_HOOKS,
    EarlyStop,
    KeepsSignals,
    QuickModule,
    drop_idle_hooks,
)
from reslab.task import ImageClassifier

STEPS, EPOCHS = 5, 2
HOOKS = {name for name in dir(Callback) if name.startswith("on_")}


class Loader:
    """As ours: no DataLoader."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return self.batches

    def __iter__(self):
        return iter([torch.ones(2, 3)] * self.batches)


class Counts:
    """Counts what is looked up on an object."""

    def __getattribute__(self, name):
        if name in HOOKS or name == "training_step":
            super().__getattribute__("looked_up")[name] += 1
        return super().__getattribute__(name)


class Plain(LightningModule):
    """Lightning's own module, with manual optimization as ours."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.layer = torch.nn.Linear(3, 1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx=None):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.layer(batch).sum())
        optimizer.step()

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", 1.0)


def fit(module, *callbacks, epochs=EPOCHS, loader=None, **options):
    trainer = Trainer(
        **{"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
        | {"enable_model_summary": False, "num_sanity_val_steps": 0, "max_epochs": epochs},
        enable_checkpointing=any(isinstance(one, Checkpoint) for one in callbacks),
        callbacks=list(callbacks),
    )
    trainer.fit(module, loader or Loader(STEPS), Loader(1), **options)
    return trainer


def test_lightning_goes_by_a_kept_signature_at_every_step(monkeypatch):
    received = []

    class Module(Plain):
        def training_step(self, batch, batch_idx=None):
            received.append(batch_idx)

    names = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", "batch")]
    Module.training_step.__signature__ = Signature(names)  # without the number of the batch
    fit(Module())
    assert received == [None] * STEPS * EPOCHS


def test_the_signature_that_our_modules_keep_is_their_own():
    class Module(ImageClassifier):
        def training_step(self, batch, batch_idx, more=3):
            pass

    for module, names in [
        (ImageClassifier, ["self", "batch", "batch_idx"]),
        (Module, ["self", "batch", "batch_idx", "more"]),
    ]:
        assert list(module.training_step.__dict__["__signature__"].parameters) == names
        assert signature(module.training_step) is module.training_step.__signature__


def test_lightning_moves_batches_by_a_method_and_ours_stay_where_they_are():
    moved = []

    class Module(Plain):
        def _apply_batch_transfer_handler(self, batch, device=None, dataloader_idx=0):
            moved.append(batch)
            return super()._apply_batch_transfer_handler(batch, device, dataloader_idx)

    fit(Module())
    assert len(moved) == (STEPS + 1) * EPOCHS
    batch = object()
    assert QuickModule()._apply_batch_transfer_handler(batch, torch.device("cpu"), 0) is batch


def test_lightning_notes_each_hook_as_an_attribute_and_ours_take_the_short_way():
    noted = Counter()

    class Module(Plain):
        def __setattr__(self, name, value):
            if name == "_current_fx_name":
                noted[value] += 1
            super().__setattr__(name, value)

    fit(Module())
    assert all(noted[hook] >= STEPS * EPOCHS for hook in (*STEP_HOOKS, "training_step"))

    class Quick(QuickModule, Plain):
        def on_validation_epoch_end(self):
            assert self._current_fx_name == "on_validation_epoch_end"
            self.log("seen", 3.0)

    module = Quick()
    assert fit(module).callback_metrics["seen"] == 3
    assert vars(module)["_current_fx_name"] is None
    module.other = torch.nn.Linear(1, 1)
    assert "other" in module._modules


def test_the_hooks_of_a_step_are_those_that_lightning_looks_up_at_every_step():
    class Watch(Counts, Callback):
        looked_up = Counter()

    class Module(Counts, Plain):
        looked_up = Counter()

    watch, module = Watch(), Module()
    fit(module, watch)
    for one in (watch, module):
        seen = {name for name, n in one.looked_up.items() if n >= STEPS * EPOCHS and name in HOOKS}
        assert seen == set(STEP_HOOKS), one


def test_a_hook_of_nothing_is_passed_over_and_one_that_does_something_is_not():
    called = []

    class Ends(Callback):
        def on_train_batch_end(self, *arguments):
            called.append("callback")

    class Module(Plain):
        def on_before_optimizer_step(self, optimizer):
            called.append("module")

    module, callbacks = Module(), [Ends(), Callback()]
    drop_idle_hooks(module, callbacks)
    for one in (module, *callbacks):
        base = LightningModule if one is module else Callback
        for hook in STEP_HOOKS:
            defined = getattr(type(one), hook) is not getattr(base, hook)
            assert callable(getattr(one, hook)) == defined
    fit(module, *callbacks)
    assert called == ["module", "callback"] * STEPS * EPOCHS


def test_lightning_s_early_stopping_forgets_at_a_resume_that_it_has_stopped_and_ours_does_not(
    tmp_path,
):
    for kind, epochs in [
        (EarlyStop("val/loss", 2), 3),
        (EarlyStopping("val/loss", patience=2, check_on_train_epoch_end=False), 4),
    ]:
        module = Plain()
        trainer = fit(module, kind, epochs=9)
        assert trainer.current_epoch == 3  # the first one is the best
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        resumed = fit(module, kind, epochs=9, ckpt_path=tmp_path / "last.ckpt")
        assert resumed.current_epoch == epochs


def test_early_stopping_goes_by_what_is_better_of_a_metric():
    for monitor, mode in [("val/loss", "min"), ("train/loss", "min"), ("val/accuracy", "max")]:
        assert EarlyStop(monitor, 3).mode == mode


def test_lightning_puts_its_own_handler_before_ours_and_ours_is_put_back():
    ours, seen = lambda *arguments: None, []

    class Look(Callback):
        def on_train_start(self, *arguments):
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.signal(signal.SIGTERM, ours)
    try:
        fit(Plain(), Look())
        assert seen.pop() is not ours
        fit(Plain(), KeepsSignals(), Look())
        assert seen == [ours]
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_else_our_parts_lean_on():
    """A loader's sampler is told the epoch; what saves checkpoints comes last; a stop is a stop."""
    loader, told, order = Loader(STEPS), [], []
    loader.sampler = SimpleNamespace(set_epoch=told.append)

    class First(Checkpoint):
        def on_validation_end(self, *arguments):
            order.append("checkpoint")

    class Second(Callback):
        def on_validation_end(self, *arguments):
            order.append("callback")

        def on_train_batch_end(self, trainer, *arguments):
            trainer.should_stop = trainer.global_step == STEPS + 2

    trainer = fit(Plain(), First(), Second(), epochs=9, loader=loader)
    assert list(dict.fromkeys(told)) == [0, 1]
    assert order == ["callback", "checkpoint"] * 2
    assert trainer.global_step == STEPS + 2


def test_nothing_else_reaches_behind_lightning():
    """No name that it keeps for itself, no loop of a trainer, no hook replaced."""
    behind = (
        r"from lightning[\w.]* import (.*\W)?_\w|trainer\._\w|fit_loop|_current_fx_name|"
        r"__signature__|_apply_batch|trainer\.callbacks|setattr\(run|(?<!running)_loop\b"
    )
    package = Path(reslab.__file__).parent
    found = {
        str(path.relative_to(package)): match[0]
        for path in package.rglob("*.py")
        if (match := re.search(behind, path.read_text()))
    }
    assert set(found) == {"lightning_bypass.py"}, found
