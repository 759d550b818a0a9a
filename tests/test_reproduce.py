"""Reproducing a table from Python: what is run, what is told, what comes back."""

import json

import pytest

from conftest import REPOSITORY
from reslab.apps.reproduce import plan, reproduce
from reslab.config import folder_added
from reslab.errors import UserError
from reslab.reporter import Reporter
from reslab.tables import figures, page
from reslab.tables.make import render_table
from reslab.tables.verify import verify
from synthetic import own_table

TINY = ("model=baseline_cnn", "model.widths=[4]", "dataset=digits", "max_steps=2", "logger=none")
OVERRIDES = (*TINY, "seed=0,1")


class Listener(Reporter):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text.strip())


@pytest.mark.slow
def test_a_reproduction_is_what_was_run_what_failed_and_what_was_written(
    in_empty_folder, capsys, monkeypatch
):
    listener, output = Listener(), in_empty_folder / "tables"
    before = plan("resnet3", OVERRIDES)
    assert (before.done, len(before.results)) == (0, 2)
    blocked = before.results[0].cell.directory
    blocked.checkpoints.mkdir(parents=True)
    blocked.latest.last.write_bytes(b"no checkpoint")

    first = reproduce("resnet3", OVERRIDES, output=output, reporter=listener)
    assert [cell.seed for cell in first.launched] == [0, 1]
    assert [line.partition(":")[0] for line in first.failures] == ["ResNet-20, seed 0"]
    announced = [text.partition(",")[0] for text in listener.said if text.startswith("[")]
    assert announced == ["[1/2] ResNet-20", "[2/2] ResNet-20"]
    assert [text.startswith("test accuracy") for text in listener.said].count(True) == 1
    content = first.rendered.content
    assert (first.rendered.missing, content["rows"][0]["n"]) == (1, 1)
    assert all(path.exists() for path in first.rendered.written)

    # Pictures are drawn once.
    monkeypatch.setattr(figures, "draw_all", lambda *_: ([], []))
    monkeypatch.setattr(page, "write_page", lambda findings, path, *parts: path)
    blocked.latest.last.unlink()
    second = reproduce("resnet3", OVERRIDES, output=output, reporter=listener)
    assert [cell.seed for cell in second.launched] == [0]
    assert (second.failures, second.rendered.missing) == ((), 0)
    assert plan("resnet3", OVERRIDES).done == 2

    kept = reproduce("resnet3", OVERRIDES, output=output, keep=in_empty_folder / "kept")
    assert kept.launched == ()
    written = json.loads((output / "resnet3/digits/table.json").read_text())
    assert written["rows"][0]["accuracy"] == kept.rendered.content["rows"][0]["accuracy"]
    verification = verify("resnet3", OVERRIDES, reference=in_empty_folder / "kept")
    assert [(one.record, one.fresh) for one in verification.verdicts] == [("PASS", "PASS")] * 2
    assert "A ResNet of three stages" not in capsys.readouterr().out, "nothing prints the table"


@pytest.mark.slow
def test_a_user_s_recipe_with_a_wrong_number_is_refused_before_anything_runs(in_empty_folder):
    """`table` lets it pass, which does not wait for the optimizers' library."""
    rows = "[{name: Good, recipe: resnet3}, {name: Wrong, recipe: wrong}]"
    conf = own_table(in_empty_folder, f"title: Two recipes\nseeds: [0]\nrows: {rows}\n")
    (conf / "recipe").mkdir()
    text = (REPOSITORY / "conf/recipe/resnet3.yaml").read_text()
    wrong = text.replace("weight_decay: 1e-4", "lr: -0.1")
    (conf / "recipe/wrong.yaml").write_text(wrong)
    with folder_added(conf):
        assert render_table("own", TINY).missing == 2
        with pytest.raises(UserError, match=r"optimizer.*-0\.1"):
            reproduce("own", TINY)
    assert not (in_empty_folder / "outputs/runs").exists()
