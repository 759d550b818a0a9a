"""A request that cannot be meant is one line, said before anything is trained or lost."""

import pytest

from processes import run


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("optimizer.lr=-1", "optimizer.lr"),
        ("optimizer.lr=inf", "optimizer.lr"),
        ("dataset.batch_size=0", "dataset.batch_size"),
        ("dataset.batch_size=6.5", "dataset.batch_size"),
        ("dataset.size=abc", "dataset.size"),
        ("trainer.max_epochs=0", "trainer.max_epochs"),
        ("trainer.accelerator=quantum", "quantum"),
        ("label_smoothing=abc", "label_smoothing"),
        ("checkpoint_every=abc", "checkpoint_every"),
        ("seed=true", "seed"),
        ("+optimizer.optimizer.nesterof=true", "nesterof"),
        ("optimizer.schedule.factor=1.5 optimizer=adam_plateau", "actor"),
        ("+trainer.val_check_interval=0.5", "val_check_interval"),
        ("+trainer.max_steps=5", "max_steps"),
        ("model.num_classes=5", "5"),
        ("dataset=mnits", "did you mean mnist"),
        ("dataset=null", "group override"),
        ("optimzer.lr=1", "did you mean optimizer"),
        ("model._target_=os.system", "not allowed"),
        ("dataset=[", "dataset=["),
        ("model=resnet18 ablation=mini_resnet", "ablation=mini_resnet"),
        ("-cn foo", "foo"),
    ],
)
def test_a_wrong_request_is_one_line_before_data_is_looked_for(arguments, named, tmp_path):
    given = arguments.split()
    without = [] if "dataset=" in arguments else ["dataset=mnist", "data_dir=nowhere"]
    line = run(tmp_path, "train", *without, *given).error_line()
    assert named in line
    assert "nowhere" not in line
    assert not list(tmp_path.glob("outputs/runs/*/config.yaml"))


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("train dataset.batch_size=1300", "1437"),
        ("train dataset.size=8 model=baseline_cnn", "1x8x8"),
        ("train augment=crop_flip augment.crop.mode=reflect augment.crop.padding=16", "dataset"),
        ("summary dataset.size=8 model=baseline_cnn", "1x8x8"),
        ("table liu_goh dataset=digits dataset.size=8", "1x8x8"),
        ("data digits dataset.val_size=3", "val_size"),
        ("data nothing", "choose from"),
        ("train -m seed=0,1 --cfg job", "Traceback"),
    ],
)
def test_other_wrong_requests_are_one_line_too(command, named, tmp_path):
    if named == "Traceback":
        assert named not in run(tmp_path, *command.split()).err
    else:
        assert named in run(tmp_path, *command.split()).error_line()
