"""Analyses in the studio: what is kept is shown, and what is asked for is found and comes."""

import json
import re
import shutil
from urllib.parse import urlencode

import numpy as np
import pytest

from browser import visited
from reslab.analyze.kept import kept
from reslab.analyze.kinds import analyze
from reslab.runs.store import RunDirectory
from studio import AtHand, served, until, write_run
from training import only_run

ASKED = ("points=3", "line_points=3", "images=20", "split=test")


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of a run, in a folder where `reslab analyze` may write."""
    monkeypatch.chdir(tmp_path)
    name = only_run(trained).name
    shutil.copytree(only_run(trained), tmp_path / "outputs/runs" / name)
    return RunDirectory(tmp_path / "outputs/runs" / name)


@pytest.fixture
def studio(run):
    with served(run.path.parent, worker=AtHand()) as studio:
        yield studio


def told(studio, run):
    return studio.ask(f"/api/analyses?{urlencode({'run': run.name})}").json


def begun(studio, **asked):
    return studio.ask("/api/analyses/begin", json.dumps(asked).encode())


def test_what_is_kept_whole_of_the_run_s_own_weights_is_shown_and_nothing_else(studio, run):
    assert told(studio, run)["answers"] == []
    analyze([str(run.path)], "landscape", ASKED, device="cpu")
    (answer,) = told(studio, run)["answers"]
    assert (answer["kind"], answer["words"]) == ("landscape", " ".join(ASKED))
    assert answer["titles"][0].endswith(f", test {run.record().test_accuracy:.2%}")
    asked = urlencode({"run": run.name, "name": answer["name"]})
    item = studio.ask(f"/api/analyses/figure?{asked}").json
    assert "mean over 20 test images" in json.dumps(item)
    assert " ".join(ASKED) in json.dumps(item)
    assert studio.ask(f"/api/analyses/picture?{asked}&ending=pdf").body.startswith(b"%PDF")
    assert studio.ask(f"/api/analyses/picture?{asked}&ending=exe").status == 404
    (path,) = run.analyses.glob("*.npz")
    content = dict(np.load(path))
    others = {
        "half": content | {"values": content["values"][:5]},
        "of other weights": content
        | {
            "asked": np.array(json.dumps(json.loads(str(content["asked"])) | {"weights": "0" * 16}))
        },
    }
    for arrays in others.values():
        np.savez(path, **arrays)
        assert told(studio, run)["answers"] == []
    path.write_bytes(b"PK no more")
    found = told(studio, run)
    assert found["answers"] == []
    assert found["spoilt"] == [f"{path} is damaged or foreign: delete it to have it made anew"]


@pytest.mark.long
def test_what_is_asked_for_on_the_page_is_found_and_comes(studio, run):
    with visited(studio.address, width=1280) as page:
        page.goto(f"{studio.address}#watch?run={run.name}")
        page.get_by_role("textbox", name="Landscape").fill(" ".join(ASKED))
        page.get_by_role("button", name="Find the landscape").click()
        page.locator(".analyses .bk-Figure").first.wait_for(timeout=120_000)
        assert page.problems == []
    ((question, found),) = kept(run)[0].items()
    assert question.settings.points == 3
    assert found.images == 20
    until(lambda: not told(studio, run)["jobs"], 120)


@pytest.mark.long
def test_one_that_is_stopped_keeps_what_it_has_and_one_that_fails_says_why(studio, run):
    words = "points=101 line_points=3 split=test"
    assert begun(studio, runs=[run.name], kind="landscape", words=words).status == 200
    assert "already" in begun(studio, runs=[run.name], kind="landscape", words=words).json["error"]
    begun_with = re.compile(r"[1-9]\d* of ")  # one point is found, at least
    (job,) = until(
        lambda: [one for one in told(studio, run)["jobs"] if begun_with.match(one["said"])], 120
    )
    assert studio.ask("/api/analyses/end", json.dumps({"job": job["job"]}).encode()).status == 200
    until(lambda: not told(studio, run)["jobs"], 120)
    assert len(list(run.analyses.glob("*.npz"))) == 1
    run.best.write_bytes(b"no checkpoint")
    assert begun(studio, runs=[run.name], kind="landscape", words="points=3").status == 200
    (job,) = until(lambda: [one for one in told(studio, run)["jobs"] if one["has_ended"]], 120)
    assert "best.ckpt" in job["said"]
    studio.ask("/api/analyses/end", json.dumps({"job": job["job"]}).encode())
    assert told(studio, run)["jobs"] == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kind": "landscape", "words": "points=4"}, "points=4: choose an odd number"),
        ({"kind": "landscape", "words": "--output=/tmp/x"}, "--output=/tmp/x is no setting"),
        ({"kind": "corruption", "words": "official=/etc"}, "/etc: here it must lie below"),
        ({"kind": "corruption", "words": "kinds='fog"}, "kinds='fog: no closing quotation"),
        ({"kind": "landscapes"}, "landscapes is no analysis"),
        ({"kind": "landscape", "runs": ["../x"]}, "no run is called ../x"),
        ({"kind": "landscape", "runs": []}, "choose from 1 to 12"),
        ({"kind": "landscape", "runs": ["failed"]}, "failed is failed"),
    ],
)
def test_what_cannot_be_found_is_refused_before_anything_starts(studio, run, asked, said):
    write_run(run.path.parent, "failed", failure="it is full")
    answer = begun(studio, **({"runs": [run.name]} | asked))
    assert answer.status in (400, 422)
    assert said in answer.json["error"]
    assert told(studio, run)["jobs"] == []
