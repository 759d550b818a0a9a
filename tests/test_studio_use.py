"""Networks in use through the studio: what is sent to them, shown of them and taken away."""

import base64
import csv
import io
import json
import shutil
import time
from urllib.parse import urlencode

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import processes
import reslab
from browser import visited
from predicted import predict, results
from reslab.runs import checkpoint as files
from studio import AtHand, served, write_run
from training import only_run


@pytest.fixture(scope="module")
def studio(trained, tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    shutil.copytree(trained / "pictures", data / "digits/test")
    (data / "elsewhere").symlink_to(trained)
    (data / "empty").mkdir()
    with served(trained / "outputs/runs", data_dir=data, worker=AtHand()) as studio:
        yield studio


@pytest.fixture
def run(trained):
    return only_run(trained).name


def sent(studio, content, **parameters):
    return studio.ask(f"/api/use/predict?{urlencode(parameters)}", content)


def predicted(studio, content, **parameters) -> dict:
    answer = sent(studio, content, **parameters)
    assert answer.status == 200, answer.body
    (found,) = answer.json["answers"]
    return found


def made(studio, **asked) -> dict:
    """What is made is asked for until it is there."""
    while "order" not in (found := posted(studio, **asked).json):
        assert "error" not in found, found
        time.sleep(0.1)
    return found


def posted(studio, **asked):
    return studio.ask("/api/download/make", json.dumps(asked).encode())


def fetched(studio, order: str, name: str):
    return studio.ask(f"/api/download/made?{urlencode({'order': order, 'name': name})}")


def shares(found: dict) -> dict[str, float]:
    return {row["class"]: row["probability"] for row in found["top"]}


def test_the_answer_is_that_of_reslab_predict_and_what_is_seen_is_the_picture(
    studio, trained, run, tmp_path
):
    picture = next((trained / "pictures/3").glob("*.png"))
    predict(trained, str(picture), "--top-k", "10", "--output", str(tmp_path))
    (row,) = results(tmp_path)["images"]
    found = predicted(studio, picture.read_bytes(), run=run, name="a <b>.png")
    assert (found["answer"], found["top"]) == (row["answer"], row["top"])
    header, _, content = found["seen"].partition(",")
    assert header == "data:image/png;base64"
    seen = Image.open(io.BytesIO(base64.b64decode(content)))
    assert np.array_equal(np.array(seen), np.array(Image.open(picture)))


def test_a_large_picture_is_seen_as_small_as_training_had_them_and_its_notes_say_how(studio, run):
    picture = io.BytesIO()
    Image.new("RGBA", (300, 200), (255, 0, 0, 128)).save(picture, "PNG")
    found = predicted(studio, picture.getvalue(), run=run)
    seen = Image.open(io.BytesIO(base64.b64decode(found["seen"].partition(",")[2])))
    assert (seen.mode, seen.size) == ("L", (16, 16))
    assert found["notes"] == ["transparency laid over white", "color to gray"]


def test_two_runs_answer_side_by_side_best_or_latest(trained, run, tmp_path):
    """The other's latest network has two of its classes exchanged."""
    other = tmp_path / "runs/other"
    shutil.copytree(only_run(trained), tmp_path / "runs" / run)
    shutil.copytree(only_run(trained), other)
    saved = files.load(other / "checkpoints/last.ckpt")
    # Weight and bias of the last layer.
    last = [name for name in saved["state_dict"] if name.startswith("network.")][-2:]
    assert [len(saved["state_dict"][name]) for name in last] == [10, 10]
    for name in last:
        saved["state_dict"][name] = saved["state_dict"][name][[3, 1, 2, 0, *range(4, 10)]]
    files.save(saved, other / "checkpoints/last.ckpt")
    picture = next((trained / "pictures/3").glob("*.png")).read_bytes()
    with served(tmp_path / "runs", worker=AtHand()) as studio:
        asked = urlencode({"run": [run, "other"], "checkpoint": "latest"}, doseq=True)
        one, two = studio.ask(f"/api/use/predict?{asked}", picture).json["answers"]
        best = predicted(studio, picture, run="other", checkpoint="best")
        asked = urlencode({"run": [run, "other", "one more"]}, doseq=True)
        assert studio.ask(f"/api/use/predict?{asked}", picture).status == 400
    exchanged = {"0": "3", "3": "0"}
    assert shares(two) == {exchanged.get(name, name): p for name, p in shares(one).items()}
    (tmp_path / "a.png").write_bytes(picture)
    command = ("predict", "runs/other", "a.png", "--latest", "--top-k", "10", "--output", "out")
    assert processes.run(tmp_path, *command).code == 0
    (row,) = results(tmp_path / "out")["images"]
    assert row["top"] == two["top"]
    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(picture))))[None, None]
    expected = reslab.load(only_run(trained)).probabilities(pixels)[0]
    ours = [shares(best)[str(digit)] for digit in range(10)]
    assert np.allclose(ours, expected, atol=0.01)  # in bf16, where the machine has it


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (SVG, "a.png", "SVG is not read"),
        (b"<?xml version='1.0'?>\n" + SVG, "a.svg", "SVG is not read"),
        (HTML, "a.png", "not a picture"),
        (b"", "a.png", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "../../a.png", "damaged"),
        (b"P6 60000 60000 255\n", "<script>.ppm", "million"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_line(studio, run, content, name, said):
    found = predicted(studio, content, run=run, name=name)
    assert said in found["problem"]
    assert "\n" not in found["problem"]
    assert "/" not in found["problem"], "no path of the server's is told"


@pytest.mark.parametrize("megabytes", [30, 200])
def test_a_body_that_is_too_large_is_refused_with_a_sentence_and_the_server_still_serves(
    studio, run, megabytes
):
    answer = sent(studio, bytes(megabytes * 1_000_000), run=run, name="a.png")
    assert answer.status == 413
    assert answer.json["error"].endswith("20 MiB is the most")
    assert studio.ask("/api/use/networks").status == 200


@pytest.mark.parametrize("name", ["../runs", "..", "/etc", "nothing", ""])
def test_a_run_is_one_of_those_served(studio, name):
    assert sent(studio, b"", run=name).status in (400, 422)
    assert studio.ask(f"/api/download/checkpoint?{urlencode({'run': name})}").status == 422
    assert posted(studio, run=name, kind="onnx").status == 422


def test_networks_are_those_with_a_checkpoint_and_a_run_without_says_why(trained, run, tmp_path):
    (tmp_path / "young").mkdir()
    write_run(tmp_path, "kept", test=0.9)
    shutil.copytree(only_run(trained), tmp_path / run)
    shutil.copy(only_run(trained) / "config.yaml", tmp_path / "young")
    with served(tmp_path) as studio:
        found = studio.ask("/api/use/networks").json
        assert [one["name"] for one in found["networks"]] == [run]
        (chosen,) = found["chosen"]
        assert (chosen["dataset"], chosen["channels"], chosen["size"]) == ("digits", 1, 16)
        asked = urlencode({"run": ["young", "../x"]}, doseq=True)
        (kept,) = studio.ask("/api/use/networks?run=kept").json["chosen"]
        young, foreign = studio.ask(f"/api/use/networks?{asked}").json["chosen"]
    assert young["problem"].startswith("young has no checkpoint: it is interrupted")
    assert kept["problem"] == "kept has no checkpoint: it is a record without its network"
    assert foreign["problem"].startswith("no run is called ../x")


def test_a_checkpoint_is_downloaded_as_it_is(studio, trained, run):
    for kind, file in (("best", "best.ckpt"), ("latest", "last.ckpt")):
        asked = urlencode({"run": run, "checkpoint": kind})
        answer = studio.ask(f"/api/download/checkpoint?{asked}")
        assert answer.body == (only_run(trained) / "checkpoints" / file).read_bytes()
        assert f"{run}-{kind}.ckpt" in answer.headers["Content-Disposition"]


@pytest.mark.long
def test_the_onnx_file_that_is_made_answers_as_the_studio_does(studio, trained, run):
    onnxruntime = pytest.importorskip("onnxruntime")
    found = made(studio, run=run, kind="onnx")
    (name,) = [name for name in found["files"] if name.endswith(".onnx")]
    answer = fetched(studio, found["order"], name)
    assert answer.headers["Content-Disposition"].startswith("attachment")
    session = onnxruntime.InferenceSession(answer.body)
    about = json.loads(session.get_modelmeta().custom_metadata_map["reslab"])
    picture = next((trained / "pictures/7").glob("*.png"))
    pixels = np.array(Image.open(picture), dtype=np.float32)[None, None] / 255
    images = (pixels - np.float32(about["mean"])) / np.float32(about["std"])
    (logits,) = session.run(None, {"images": images.astype(np.float32)})
    expected = np.exp(logits[0]) / np.exp(logits[0]).sum()
    ours = shares(predicted(studio, picture.read_bytes(), run=run))
    assert np.allclose([ours[str(digit)] for digit in range(10)], expected, atol=0.01)
    again = made(studio, run=run, kind="onnx")
    assert again["order"] == found["order"], "it is not made twice"


def test_other_exports_open_as_what_they_are(studio, run):
    from safetensors.torch import load

    found = made(studio, run=run, kind="safetensors")
    names = {name.rpartition("/")[2] for name in found["files"]}
    assert "model.safetensors" in names
    (name,) = [name for name in found["files"] if name.endswith(".safetensors")]
    assert load(fetched(studio, found["order"], name).body)
    assert "equal to the checkpoint" in found["said"]
    assert posted(studio, run=run, kind="pickle").status == 400


@pytest.mark.long
def test_dashboards_of_the_test_set_and_of_a_folder_say_what_the_record_does(studio, trained, run):
    """The folder holds the test images, a folder a class."""
    record = json.loads((only_run(trained) / "metrics.json").read_text())
    for pictures in ("", "digits/test"):
        found = made(studio, run=run, kind="results", pictures=pictures)
        names = {name.rpartition("/")[2]: name for name in found["files"]}
        assert {"predictions.json", "predictions.csv", "confusion.png"} <= names.keys()
        metrics = json.loads(fetched(studio, found["order"], names["metrics.json"]).body)
        assert metrics["accuracy"] == pytest.approx(record["test/accuracy"], abs=0.005)
        text = fetched(studio, found["order"], names["predictions.csv"]).body.decode()
        assert len(list(csv.DictReader(io.StringIO(text)))) == metrics["images"]
        page = fetched(studio, found["order"], names["dashboard.html"])
        assert page.headers["Content-Type"] == "text/html"
        policy = page.headers["Content-Security-Policy"]
        assert "sandbox allow-scripts" in policy, "its scripts reach nothing of the studio's"
        assert "connect-src" not in policy
        assert "default-src 'none'" in policy


def test_only_folders_below_the_data_are_predicted_and_only_what_was_made_is_served(studio, run):
    assert studio.ask("/api/download/folders").json == {
        "folders": ["digits/test", *(f"digits/test/{digit}" for digit in range(10))]
    }
    for pictures in ("..", "../data", "/etc", "elsewhere", "elsewhere/pictures", "empty"):
        answer = posted(studio, run=run, kind="results", pictures=pictures)
        assert answer.status == 422
        assert f"no folder of pictures {pictures}" in answer.json["error"]
    found = made(studio, run=run, kind="safetensors")
    for name in ("../../etc/passwd", "/etc/passwd", "model.safetensors", ""):
        assert fetched(studio, found["order"], name).status == 404
    assert fetched(studio, "0" * 20, found["files"][0]).status == 404


@pytest.mark.slow
def test_a_digit_is_predicted_by_upload_and_by_drawing_in_a_browser(trained, run, tmp_path):
    """By the process that has torch, which the server has not."""
    picture = next((trained / "pictures/3").glob("*.png"))
    (tmp_path / "<b>.png").write_bytes(picture.read_bytes())
    (tmp_path / "page.png").write_bytes(HTML)
    predict(trained, str(picture), "--output", str(tmp_path / "results"))
    (row,) = results(tmp_path / "results")["images"]
    with served(trained / "outputs/runs") as studio, visited(f"{studio.address}#use") as page:
        page.get_by_text("Loading torch").wait_for()  # and meanwhile a picture comes
        page.locator("input[type=file]").set_input_files([tmp_path / "<b>.png"])
        page.locator("figure .answer").wait_for(timeout=60_000)
        assert page.locator("figure .answer").inner_text() == row["answer"]
        bars = page.locator("figure progress").evaluate_all("(all) => all.map((one) => one.value)")
        assert bars[:5] == [one["probability"] for one in row["top"]]
        assert page.get_by_role("heading", name="<b>.png").is_visible()
        widths = page.locator("figure img").evaluate_all(
            "(all) => all.map((one) => one.naturalWidth)"
        )
        assert widths == [16, 16], "what it sees, and where it looks"
        page.locator("input[type=file]").set_input_files([tmp_path / "page.png"])
        page.get_by_text("not a picture").wait_for()
        sent = []
        page.on("request", lambda request: sent.append(request.url))
        (tmp_path / "large.png").write_bytes(bytes(21 << 20))
        page.locator("input[type=file]").set_input_files([tmp_path / "large.png"])
        page.get_by_text("that is 21 MiB; 20 MiB is the most").wait_for()
        assert not [url for url in sent if "predict" in url], "it is not even sent"
        page.get_by_role("button", name="Remove large.png").click()
        box = page.locator("canvas").bounding_box()
        middle = box["x"] + box["width"] / 2
        page.mouse.move(middle, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(middle, box["y"] + box["height"] - 20, steps=8)
        page.mouse.up()
        page.get_by_role("heading", name="the drawing").wait_for()
        section = page.locator("section", has=page.get_by_role("heading", name="the drawing"))
        section.locator(".answer").wait_for()
        drawn = stroke(box["width"])
        expected = predicted(studio, drawn, run=run)
        assert section.locator(".answer").inner_text() == expected["answer"]
        page.get_by_role("button", name="Dark").click()  # which shows the view anew
        section.locator(".answer").wait_for()  # pictures stay
        assert page.get_by_label("Network").input_value() == run
        page.get_by_role("button", name="Wipe").click()
        assert not page.get_by_role("heading", name="the drawing").is_visible()
        assert page.problems == []


GIVEN = """([kind, content]) => {
    const data = new DataTransfer(), bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt())
    data.items.add(new File([bytes], `${kind}.png`, {type: "image/png"}))
    const how = {bubbles: true, cancelable: true, clipboardData: data, dataTransfer: data}
    document.body.dispatchEvent(kind == "paste" ? new ClipboardEvent(kind, how) : new DragEvent(kind, how))
}"""


@pytest.mark.long
def test_pictures_are_dropped_pasted_and_drawn_with_a_finger(studio, trained, run):
    content = next((trained / "pictures/3").glob("*.png")).read_bytes()
    expected = predicted(studio, content, run=run)["answer"]
    with visited(f"{studio.address}#use", width=390, height=844, has_touch=True) as page:
        page.locator("canvas").wait_for()
        for kind in ("drop", "paste"):
            page.evaluate(GIVEN, [kind, base64.b64encode(content).decode()])
            section = page.locator("section", has=page.get_by_role("heading", name=f"{kind}.png"))
            section.locator(".answer").wait_for(timeout=60_000)
            assert section.locator(".answer").inner_text() == expected
        page.evaluate("() => scrollTo(0, 0)")
        box = page.locator("canvas").bounding_box()
        x, top = box["x"] + box["width"] / 2, box["y"]
        finger = page.context.new_cdp_session(page)
        for kind, part in [("Start", 0.1), *(("Move", at / 10) for at in range(2, 10))]:
            points = [{"x": x, "y": top + part * box["height"]}]
            touch = {"type": f"touch{kind}", "touchPoints": points}
            finger.send("Input.dispatchTouchEvent", touch)
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        section = page.locator("section", has=page.get_by_role("heading", name="the drawing"))
        section.locator(".answer").wait_for()
        assert page.evaluate("() => scrollY") == 0, "what is drawn does not scroll"
        assert page.problems == []


def stroke(width: float) -> bytes:
    """The same stroke, drawn here."""
    scale = 280 / width
    picture = Image.new("L", (280, 280))
    draw = ImageDraw.Draw(picture)
    ends = [(140, 20 * scale), (140, 280 - 20 * scale)]
    draw.line(ends, 255, 40)
    for x, y in ends:
        draw.ellipse((x - 20, y - 20, x + 20, y + 20), 255)
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
