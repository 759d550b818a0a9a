"""A real browser, without a window and without a network.

Debian's: `apt-get install chromium`; RESLAB_CHROMIUM names another.
"""

import os
import shutil
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


_open = ExitStack()
_browsers: list = []


@pytest.fixture(autouse=True, scope="module")
def _one_browser():
    """A file's tests have one browser, which takes longer to begin than a page."""
    yield
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
    size = {"width": width, "height": height}
    with _browser().new_context(viewport=size, **options) as context:
        page = context.new_page()
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on(
            "console",
            lambda message: message.type == "error" and page.problems.append(message.text),
        )
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("http:", "https:", "ws:"))
                and not request.url.startswith(f"{origin}/")
                and page.problems.append(request.url)
            ),
        )
        yield page
