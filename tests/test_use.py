"""What the commands do, asked of the library: outcomes come back, and nothing is printed."""

import json
from contextlib import contextmanager

import pytest

from reslab import use
from reslab.errors import UserError
from reslab.reporter import Reporter
from reslab.reports.report import Options


class Listening(Reporter):
    """Remembers how far it was told that the work is."""

    def __init__(self):
        self.told = []

    @contextmanager
    def progress(self, total, unit):
        self.told.append([total, unit, 0])

        def advance():
            self.told[-1][2] += 1

        yield advance


@pytest.fixture
def runs_dir(trained):
    return trained / "outputs/runs"


@pytest.mark.slow
def test_predict_gives_what_it_wrote_and_tells_how_far_it_is(trained, runs_dir, tmp_path, capfd):
    (tmp_path / "truth.csv").write_text("".join(f"{p},3\n" for p in trained.glob("pictures/3/*")))
    (tmp_path / "broken.png").touch()
    reporter = Listening()
    outcome = use.predict(
        "digits",
        [trained / "pictures/3", trained / "pictures/4", tmp_path / "broken.png"],
        output=tmp_path / "out",
        labels=str(tmp_path / "truth.csv"),
        options=Options(top_k=2, threshold=0.6),
        device="cpu",
        batch_size=16,
        runs_dir=runs_dir,
        reporter=reporter,
    )
    threes, fours = (len(list((trained / f"pictures/{name}").iterdir())) for name in "34")
    assert reporter.told == [[threes + fours + 1, "img", threes + fours + 1]]
    assert outcome.counts.total() == threes + fours + 1
    assert outcome.counts["failed"] == 1
    assert outcome.labels.unlabelled.count == fours + 1
    assert outcome.metrics["images"] == threes
    assert outcome.folder == tmp_path / "out"
    assert sorted(outcome.written) == sorted((tmp_path / "out").iterdir())
    content = json.loads((tmp_path / "out/predictions.json").read_text())
    assert content["options"] == {"top_k": 2, "threshold": 0.6, "tta": False}
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_evaluate_gives_the_metrics_of_the_test_set(trained, runs_dir, tmp_path, capfd):
    outcome = use.evaluate("digits", output=tmp_path, runs_dir=runs_dir, device="cpu")
    assert outcome.metrics["images"] == outcome.counts.total() == 360
    assert outcome.folder.parent == tmp_path
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_export_gives_the_file_its_card_and_how_near_it_is(runs_dir, tmp_path, capfd):
    exported = use.export("digits", "safetensors", output=tmp_path, runs_dir=runs_dir)
    assert exported.path.suffix == ".safetensors"
    assert f"\n---\n\n# {exported.path.parent.name}\n" in exported.card.read_text()
    assert 0 <= exported.difference < 1e-3
    assert exported.compared == 256
    assert capfd.readouterr() == ("", "")
    again = use.evaluate(exported.path, output=tmp_path / "evaluated", device="cpu")
    assert again.metrics["images"] == 360


def test_nothing_is_written_where_the_request_is_refused(runs_dir, tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        use.predict("digits", [tmp_path / "nowhere"], output=tmp_path / "out", runs_dir=runs_dir)
    assert not (tmp_path / "out").exists()
