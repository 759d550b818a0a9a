"""Whatever is asked of the studio, it answers with what it has or a sentence, and never stumbles.

Each address that the application serves is asked, so that a new one is as soon as it is there.
"""

import inspect
import json
import re
import shutil
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reslab.studio import control
from reslab.studio.analyzing import Analyzing
from reslab.studio.security import Access, Handler
from reslab.studio.server import application
from searched import DEEP, PLAIN, TEXTS, examples
from studio import TINY, TOKEN, AtHand, served, trial, write_run, write_search
from training import only_run

FILES = {"()": "", "(style\\.css)": "style.css", "(\\w+\\.\\w+)": "app.js"}
RUN, OTHER = "a-run", "digits-run"


def handlers() -> dict[str, type]:
    """What answers at each address, with the name of a file where files are served."""
    (router,) = application(Path(), Access(TOKEN, "127.0.0.1")).default_router.rules
    found = {one.matcher.regex.pattern.removesuffix("$"): one.target for one in router.target.rules}
    return {
        re.sub(r"\(.*\)", lambda group: FILES.get(group[0], "bokeh.min.js"), path): handler
        for path, handler in found.items()
        if path != ".*"
    }


HANDLERS = handlers()
ASKED = r"(?:get_query_arguments?|asked|asked\(\)|names)(?:\.get)?\(\s*\"(\w+)\""
# What is meant by the keys that handlers read.
MEANT = {
    **{key: [RUN, OTHER, "failed-run", "no-run"] for key in ("run", "of_run", "base")},
    **{"x": ["epoch", "minutes"], "part": ["train", "val", ""], "smooth": ["0", "0.5", "1", "nan"]},
    **{"of": ["loss", "gradients", "batches", "lr", "throughput"], "theme": ["light", "dark"]},
    **{
        "checkpoint": ["best", "latest"],
        "kind": ["onnx", "safetensors", "results", "landscape", "corruption"],
    },
    **{"table": ["liu_goh", "resnet3"], "with": ["dataset=digits seed=0", "'", "hydra.x=1", OTHER]},
    **{"search": ["one", "two"], "name": ["search.json", "search.html", "a.png"], "order": ["0"]},
    **{"names": [[RUN], [], [OTHER]], "ids": [["x"], []], "runs": [[RUN], [OTHER, "failed-run"]]},
    **{"words": ["points=3 images=20", "points=4", "--output=x"], "ending": ["png", "pdf"]},
    **{"job": ["0"]},
    **{"number": [1, 64, 65, 1e999, True], "quick": [True, False], "pictures": ["digits/3", "x"]},
}
TEXT = TEXTS | st.text(max_size=8)
FORM = st.fixed_dictionaries(
    {},
    optional={
        **{key: st.just(value) | TEXT for key, value in TINY.items()},
        **dict.fromkeys(("recipe", "ablation", "optimizer", "seed", "hydra.run.dir", "x"), TEXT),
        "optimizer.lr": TEXT | st.sampled_from(["0.1,0.2", "range(1,1e9)", "1e999", "-1", "0x1"]),
        "trainer.max_epochs": TEXT | st.sampled_from(["1e400", "9" * 400, "interval(0,1)", "[1"]),
    },
)


def questions(handler: type, anything):
    """The keys that the handler's module reads, with what is meant by them, or anything else."""
    keys = sorted(
        {*re.findall(ASKED, inspect.getsource(inspect.getmodule(handler))), "runs", "run"}
    )
    return st.fixed_dictionaries(
        {},
        optional={
            key: st.sampled_from(MEANT.get(key, ["1"]))
            | st.sampled_from(MEANT.get(key, [""]))
            | anything
            for key in keys
        },
    )


def queries(handler: type):
    anything = TEXT.filter(lambda text: isinstance(text, str))
    asked = questions(handler, anything).map(lambda one: list(one.items()))
    return asked | asked | st.lists(st.tuples(TEXTS, TEXT), max_size=3)


def bodies(handler: type):
    content = questions(handler, PLAIN)
    content |= st.builds(lambda one, form: one | {"values": form}, content, FORM)
    meant = content.map(lambda content: json.dumps(content).encode())
    anything = PLAIN.map(lambda content: json.dumps(content).encode())
    return meant | meant | anything | st.none() | st.binary(max_size=30) | st.sampled_from(DEEP)


def methods(handler: type):
    """Mostly those that it has."""
    own = [one.upper() for one in ("get", "post") if getattr(handler, one) != getattr(Handler, one)]
    others = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "X"]
    return st.sampled_from([*own * (20 // len(own)), *others])


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
        patch.setattr(Analyzing, "begin", lambda self, runs, kind, words: None)
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


@pytest.mark.parametrize("path", HANDLERS)
def test_every_address_answers_whatever_it_is_asked(path, studio):
    handler = HANDLERS[path]

    @examples(10)
    @given(methods(handler), queries(handler), bodies(handler), HEADERS)
    @example("POST", [], DEEP[0], {})
    @example("GET", [("of", "a\r\u2028b")], None, {})
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


@pytest.mark.parametrize("path", HANDLERS)
def test_without_the_token_no_address_answers(path, studio):
    handler = HANDLERS[path]

    @examples(2)
    @given(methods(handler), queries(handler), HEADERS, st.none() | st.text("abc", min_size=1))
    def check(method, query, headers, token):
        status, _, content = ask(studio, method, path, query, b"{}", headers, token)
        assert status in (403, 405)
        assert RUN.encode() not in content

    check()
