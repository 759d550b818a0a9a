"""A real browser, without a window and without a network.

Debian's: `apt-get install chromium`; RESLAB_CHROMIUM names another.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def _page(width: int, height: int, origin: str = "nowhere", **context) -> Iterator:
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium (RESLAB_CHROMIUM names one)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_context(
            viewport={"width": width, "height": height}, **context
        ).new_page()
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
        try:
            yield page
        finally:
            browser.close()
