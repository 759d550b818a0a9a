"""The studio from a form to an exported network, with real servers, trainings and a browser.

How a run is filled in, stopped and gone on with by the page is in test_studio_train.
"""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from browser import visited
from processes import start
from reslab.runs.store import RunDirectory
from studio import Studio, until

pytestmark = pytest.mark.long  # the tests of each view have its parts, one by one

NETWORK = "model=baseline_cnn&model.widths=[8,16,16]&optimizer.lr=0.01"
POINTS = """(least) => window.Bokeh && Bokeh.documents.map((one) => one.roots()[0])
    .find((one) => one.name == "loss")?.document.get_model_by_name("lines").data.ys
    .some((one) => one.length > least)"""


@pytest.fixture
def studio(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "runs").mkdir()
    studio = Studio(tmp_path)
    yield studio
    studio.kill()


def test_a_network_is_trained_watched_compared_used_and_taken_away(studio, tmp_path):
    runs, place = tmp_path / "runs", studio.address.partition("?")[0]
    with visited(studio.address) as page:
        page.set_default_timeout(60_000)
        page.goto(f"{place}#train?{NETWORK}&trainer.max_epochs=30")
        page.get_by_role("button", name="Start").click()
        page.locator("li .state.running").wait_for()
        until(lambda: list(runs.glob("digits-*/metrics.csv")), 60)
        (first,) = map(RunDirectory, runs.glob("digits-*"))
        # One that is begun in a terminal is as good as the studio's own.
        asked = ("train", "dataset=digits", "model=baseline_cnn", "model.widths=[8,16,16]")
        terminal = start(
            tmp_path, *asked, "optimizer.lr=0.1", "runs_dir=runs", "trainer.max_epochs=2"
        )

        # Its curve grows while one looks, and another tab knows of it.
        page.goto(f"{place}#watch?run={first.name}")
        page.wait_for_function(POINTS, arg=1)
        shown = page.evaluate("() => document.title")
        page.wait_for_function(POINTS, arg=8)
        assert page.evaluate("() => document.title") == shown == "Watch · reslab"
        tab = page.context.new_page()
        tab.goto(f"{place}#runs")
        tab.get_by_role("checkbox", name=f"Select {first.name}").wait_for()
        tab.close()

        # Two are compared.
        assert terminal.wait().code == 0
        (second,) = (one for one in runs.glob("digits-*") if one != first.path)
        page.goto(f"{place}#runs")
        page.wait_for_function("() => document.querySelectorAll('td .state.finished').length == 2")
        for name in (first.name, second.name):
            page.get_by_role("checkbox", name=f"Select {name}").check()
        page.get_by_role("link", name="Compare").last.click()
        page.get_by_text("McNemar").first.wait_for()
        page.locator(".pictures img").first.wait_for()
        flipped = page.locator(".pictures img").count()
        one, other = (RunDirectory(path).predictions() for path in (first.path, second))
        right = [logits.argmax(1) == labels for logits, labels, _ in (one, other)]
        expected = [int((right[at] & ~right[1 - at]).sum()) for at in (0, 1)]
        assert flipped == sum(min(number, 40) for number in expected)

        # A published table, of which these are no rows.
        page.goto(f"{place}#tables?table=resnet3&with=dataset=digits seed=0")
        page.get_by_text("1 missing").wait_for()

        # Used on a picture, and taken away: the file answers as the page did.
        digits = load_digits()
        Image.fromarray((digits.images[0] * 15.9375).astype(np.uint8)).save(tmp_path / "zero.png")
        page.goto(f"{place}#use?run={first.name}")
        page.locator("input[type=file]").set_input_files([tmp_path / "zero.png"])
        page.locator("figure .answer").wait_for()
        answer = page.locator("figure .answer").inner_text()
        assert answer == "0"
        page.get_by_role("button", name="ONNX").click()
        link = page.get_by_role("link", name="model.onnx", exact=True)
        link.wait_for()
        content = page.request.get(f"{place}{link.get_attribute('href')}").body()
        assert classify(content, tmp_path / "zero.png") == answer
        assert page.problems == []


def classify(onnx: bytes, picture) -> str:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(onnx)
    about = json.loads(session.get_modelmeta().custom_metadata_map["reslab"])
    resized = Image.open(picture).resize(session.get_inputs()[0].shape[:1:-1], Image.BILINEAR)
    pixels = np.array(resized, dtype=np.float32)[None, None] / 255
    images = (pixels - np.float32(about["mean"])) / np.float32(about["std"])
    (logits,) = session.run(None, {"images": images.astype(np.float32)})
    return about["class_names"][int(logits[0].argmax())]
