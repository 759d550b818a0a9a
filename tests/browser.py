"""A real browser, without a window and without a network.

Debian's: `apt-get install chromium`; RESLAB_CHROMIUM names another.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

CHROMIUM = os.environ.get("RESLAB_CHROMIUM") or shutil.which("chromium")


@contextmanager
def opened(path: Path, width: int = 1400, height: int = 1000) -> Iterator:
    """A page of a file, with the list `problems`: console errors and requests to anywhere."""
    with _page(width, height, offline=True) as page:
        page.goto(path.resolve().as_uri())
        page.wait_for_function(
            "window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
        )
        yield page


@contextmanager
def visited(address: str, width: int = 1280, height: int = 800, **context) -> Iterator:
    """A page of a server, with `problems`: console errors and requests to anywhere else."""
    origin = "/".join(address.split("/")[:3])
    with _page(width, height, origin, **context) as page:
        page.goto(address)
        yield page


def seconds_to_open(page, selector: str) -> float:
    """How long a page of the same address takes until it shows something, on this machine now."""
    other, begun = page.context.new_page(), time.monotonic()
    other.goto(page.url)
    other.wait_for_selector(selector)
    taken = time.monotonic() - begun
    other.close()
    return taken


_open = ExitStack()
_browsers: list = []
_unused: dict[str, list] = {}  # pages by what they were opened with


@pytest.fixture(autouse=True, scope="module")
def _one_browser():
    """A file's tests have one browser, which takes longer to begin than a page."""
    yield
    _unused.clear()
    _browsers.clear()
    _open.close()


def _browser():
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium (RESLAB_CHROMIUM names one)")
    if not _browsers:
        from playwright.sync_api import sync_playwright

        chromium = _open.enter_context(sync_playwright()).chromium
        options = {"executable_path": CHROMIUM, "args": ["--no-sandbox", "--disable-gpu"]}
        _browsers.append(_open.enter_context(chromium.launch(**options)))
    return _browsers[0]


@contextmanager
def _page(width: int, height: int, origin: str = "nowhere", **options) -> Iterator:
    """One as new: it may have been an earlier test's, which takes a third of a new one's time."""
    kind = json.dumps(options, sort_keys=True)
    if _unused.get(kind):
        page = _unused[kind].pop()
    else:
        page = _browser().new_context(**options).new_page()
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=options.get("color_scheme", "light"))
    page.problems = []
    listeners = {
        "pageerror": lambda error: page.problems.append(str(error)),
        "console": lambda message: message.type == "error" and page.problems.append(message.text),
        "request": lambda request: (
            request.url.startswith(("http:", "https:", "ws:"))
            and not request.url.startswith(f"{origin}/")
            and page.problems.append(request.url)
        ),
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    try:
        yield page
    except BaseException:
        page.context.close()
        raise
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    _unused.setdefault(kind, []).append(_cleared(page, origin))


def _cleared(page, origin: str):
    """It without what a test has opened, kept or set."""
    context = page.context
    for other in context.pages:
        if other != page:
            other.close()
    page.goto("about:blank")
    browser = context.new_cdp_session(page)
    browser.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    browser.detach()
    context.clear_cookies()
    page.set_default_timeout(30_000)
    return page
