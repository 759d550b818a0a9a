"""Whatever is asked of the studio, it answers with what it has or a sentence, and never stumbles.

Each address that the application serves is asked, so that a new one is as soon as it is there.
"""

import json
import re
import shutil
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import reslab.studio
from reslab.studio import control
from reslab.studio.security import Access
from reslab.studio.server import application
from searched import DEEP, PLAIN, TEXTS, examples
from studio import TINY, TOKEN, AtHand, served, trial, write_run, write_search
from training import only_run

FILES = {"()": "", "(style\\.css)": "style.css", "(\\w+\\.\\w+)": "app.js"}


def addresses() -> list[str]:
    """All that the application serves, with the name of a file where it serves files."""
    (router,) = application(Path(), Access(TOKEN, "127.0.0.1")).default_router.rules
    patterns = [one.matcher.regex.pattern.removesuffix("$") for one in router.target.rules]
    return [
        re.sub(r"\(.*\)", lambda group: FILES.get(group[0], "bokeh.min.js"), path)
        for path in patterns
        if path != ".*"
    ]


def keys() -> list[str]:
    """What handlers read of a question, or of the JSON that comes with it, by their sources."""
    asked = r"(?:get_query_arguments?|asked|asked\(\)|names)(?:\.get)?\(\s*\"(\w+)\""
    sources = Path(reslab.studio.__file__).parent.glob("*.py")
    return sorted({key for path in sources for key in re.findall(asked, path.read_text())})


ADDRESSES, KEYS = addresses(), keys()
RUN, OTHER = "a-run", "digits-run"
MEANT = st.sampled_from(
    [
        *(RUN, OTHER, "one", "epoch", "minutes", "loss", "gradients", "batches", "train", "val"),
        *("0.5", "1", "latest", "best", "liu_goh", "dataset=digits seed=0", "onnx", "safetensors"),
        *("search.json", "search.html", "dark", "light", "digits", "0" * 20, "a-1", "seed=0,1"),
    ]
)
TEXT = MEANT | TEXTS | st.text(max_size=8)
FORM = st.fixed_dictionaries(
    {},
    optional={
        **{key: st.just(value) | TEXT for key, value in TINY.items()},
        **dict.fromkeys(("recipe", "ablation", "optimizer", "seed", "hydra.run.dir", "x"), TEXT),
        "optimizer.lr": TEXT | st.sampled_from(["0.1,0.2", "range(1,1e9)", "1e999", "-1", "0x1"]),
        "trainer.max_epochs": TEXT | st.sampled_from(["1e400", "9" * 400, "interval(0,1)", "[1"]),
    },
)
BODY = st.fixed_dictionaries(
    {},
    optional={key: TEXT | PLAIN | st.lists(TEXT, max_size=2) for key in KEYS}
    | {"values": FORM | PLAIN, "quick": st.booleans() | PLAIN, "runs": st.lists(TEXT) | PLAIN},
)
BODIES = (
    BODY.map(lambda content: json.dumps(content).encode())
    | st.none()
    | st.binary(max_size=30)
    | PLAIN.map(lambda content: json.dumps(content).encode())
    | st.sampled_from(DEEP)
)
QUERIES = st.lists(st.tuples(st.sampled_from(KEYS) | TEXTS, TEXT), max_size=4)
METHODS = st.sampled_from(["GET", "POST"] * 6 + ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "X"])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Accept": st.sampled_from(["text/html", "text/html,*/*;q=0.8", "application/json", ";"]),
        "Range": st.sampled_from(["bytes=0-", "bytes=5-1", "bytes=-9", "x", "bytes=99999999999-"]),
        "If-None-Match": st.sampled_from(["*", '"', "W/x"]),
        "If-Modified-Since": st.sampled_from(["x", "Thu, 01 Jan 1970 00:00:00 GMT"]),
        "Content-Type": st.sampled_from(["application/json", "multipart/form-data", "x"]),
    },
)


@pytest.fixture(scope="module")
def studio(trained, tmp_path_factory):
    """A server with a run of every kind, which starts nothing."""
    runs, data = (tmp_path_factory.mktemp(name) for name in ("runs", "data"))
    write_run(runs, RUN, test=0.9)
    write_run(runs, "failed-run", seed=1, failure="it is full")
    shutil.copytree(only_run(trained), runs / OTHER)
    write_search(runs, "one", [trial(0, value=0.5), trial(1, "failed", reason="none")])
    shutil.copytree(trained / "pictures/3", data / "digits/3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "look_after", lambda app: None)
        with served(runs, data_dir=data, worker=AtHand()) as studio:
            yield studio


def ask(studio, method, path, query, body, headers, token=TOKEN):
    connection = HTTPConnection("127.0.0.1", studio.port, timeout=120)
    try:
        cookie = {"Cookie": f"reslab-studio-{studio.port}={token}"} if token else {}
        asked = f"{path}?{urlencode(query, errors='surrogatepass')}" if query else path
        connection.request(method, asked, body, cookie | headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ADDRESSES)
def test_every_address_answers_whatever_it_is_asked(path, studio):
    @examples(25)
    @given(METHODS, QUERIES, BODIES, HEADERS)
    @example("POST", [], DEEP[0], {})
    @example("POST", [], b'{"runs": ["a-run"], "names": ["x"], "ids": ["x"], "number": 1e999}', {})
    def check(method, query, body, headers):
        status, told, content = ask(studio, method, path, query, body, headers)
        assert (status, studio.reporter.said) == (status, [])
        assert status < 500, content
        assert b"Traceback" not in content
        if status >= 400 and method != "HEAD" and "json" in told["Content-Type"]:
            (sentence,) = json.loads(content).values()
            assert len(sentence.splitlines()) == 1
        for file in studio.runs.glob(".queue-*"):
            file.unlink()

    studio.reporter.said.clear()
    check()


@pytest.mark.parametrize("path", ADDRESSES)
def test_without_the_token_no_address_answers(path, studio):
    @examples(4)
    @given(METHODS, QUERIES, BODIES, HEADERS, st.none() | st.text("abc", min_size=1, max_size=9))
    def check(method, query, body, headers, token):
        status, _, content = ask(studio, method, path, query, body, headers, token)
        assert status in (403, 405)
        assert RUN.encode() not in content

    check()
