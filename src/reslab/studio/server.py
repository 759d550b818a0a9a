"""The studio's server: the page, its modules, and what they ask; nothing that blocks."""

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from bokeh.util.paths import static_path
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, StaticFileHandler

from reslab.errors import UserError
from reslab.evaluation.palette import STYLE_SHEET
from reslab.reporter import SILENT, Reporter
from reslab.studio import (
    analyses,
    compare,
    control,
    downloads,
    runs,
    searches,
    tables,
    train,
    use,
    watch,
)
from reslab.studio.queue import Queues
from reslab.studio.scan import Scan
from reslab.studio.security import LOOPBACK, Access, Handler, RequestError, read_token
from reslab.studio.worker import Worker

# A module a view: each has `HANDLERS`, addresses below `/api/` with what answers them.
VIEWS = (runs, watch, train, control, compare, analyses, tables, searches, use, downloads)

DATA_DIR = Path("data")
PAGES = Path(__file__).with_name("pages")
PORTS_TRIED = 100
MOST_BYTES_OF_ADDRESS = 1 << 18  # which names all selected runs


class Files(Handler, StaticFileHandler):
    """The page and what it is made of."""

    def set_default_headers(self) -> None:
        Handler.set_default_headers(self)

    def compute_etag(self) -> str | None:
        """Of the file as it is now, so that an upgraded studio's page is served anew."""
        assert self.absolute_path is not None
        status = os.stat(self.absolute_path)
        return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'


class Unknown(Handler):
    """Every other address."""

    def prepare(self) -> None:
        super().prepare()
        raise RequestError(404, f"the studio has no {self.request.path}")


def application(
    runs_dir: Path, access: Access, reporter: Reporter = SILENT, data_dir: Path = DATA_DIR
) -> Application:
    """All that is served.

    Args:
        runs_dir: Where runs lie.
        access: What opens it.
        reporter: Told of faults of the studio's own.
        data_dir: Where data sets lie, and folders of pictures.
    """
    scan = Scan(runs_dir)
    return Application(
        [
            *((f"/api/{path}", handler) for view in VIEWS for path, handler in view.HANDLERS),
            (r"/(style\.css)", Files, {"path": STYLE_SHEET.parent}),
            (r"/(bokeh(?:-[a-z]+)?\.min\.js)", Files, {"path": Path(static_path()) / "js"}),
            (r"/()", Files, {"path": PAGES, "default_filename": "index.html"}),
            (r"/(\w+\.\w+)", Files, {"path": PAGES}),
            (r".*", Unknown),
        ],
        template_path=str(PAGES),
        access=access,
        scan=scan,
        queues=Queues(runs_dir, lambda: control.running_here(scan)),
        worker=Worker(),
        data_dir=data_dir,
        reporter=reporter,
        log_function=lambda handler: None,  # an address may have the token in it
    )


def listen(app: Application, host: str, port: int) -> HTTPServer:
    """Has an application answer at an address.

    Raises:
        UserError: The port is taken, and which is free; or there is no such address.
    """
    server = HTTPServer(app, max_header_size=MOST_BYTES_OF_ADDRESS)
    try:
        server.add_sockets(bind_sockets(port, host, reuse_port=False))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise UserError(f"cannot listen at {host}, port {port}: {error.strerror}") from error
        others = range(port + 1, min(port + PORTS_TRIED, 1 << 16))
        free = next((one for one in others if _is_free(host, one)), None)
        hint = f"; {free} is free: --port {free}" if free else ""
        raise UserError(f"port {port} of {host} is taken{hint}") from error
    control.look_after(app)
    return server


def serve(
    runs_dir: Path,
    host: str,
    port: int,
    *,
    browser: bool,
    data_dir: Path = DATA_DIR,
    reporter: Reporter = SILENT,
) -> None:
    """Serves until it is told to stop.

    Args:
        runs_dir: Where runs lie.
        host: The address to listen at.
        port: The port.
        browser: Whether to open one.
        data_dir: As `application` takes it.
        reporter: Told the address to open, and what to mind.

    Raises:
        UserError: The port is taken, or the token cannot be read.
    """
    access = Access(read_token(), host)
    app = application(runs_dir, access, reporter, data_dir)
    asyncio.run(_serve(app, host, port, browser))


async def _serve(app: Application, host: str, port: int, browser: bool) -> None:
    reporter, access = app.settings["reporter"], app.settings["access"]
    server = listen(app, host, port)
    _beside(app.settings["scan"].read_all)  # while the browser begins
    shown = f"[{host}]" if ":" in host else host
    if host not in LOOPBACK:
        reporter.warn(
            f"--host {host} lets other machines ask, unencrypted: whoever has the address below "
            f"can start trainings in your name; `ssh -L {port}:localhost:{port}` needs no --host"
        )
        if host in ("0.0.0.0", "::"):
            shown = socket.gethostname()
    address = f"http://{shown}:{port}/?token="
    where = f"runs of {app.settings['scan'].folder}: {address}{access.cookie()}"
    reporter.say(f"{where}\nCtrl-C ends the studio, not its runs")
    if browser and _has_screen():
        _beside(webbrowser.open, address + access.once())
    told = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, told.set)
    await told.wait()
    server.stop()


def _beside(work: Callable[..., object], *arguments: str) -> None:
    """Begins work for whose end nobody waits, not even when the studio ends."""
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _has_screen() -> bool:
    """Whether a browser would open a window, and not take over the terminal."""
    return sys.platform != "linux" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _is_free(host: str, port: int) -> bool:
    try:
        for one in bind_sockets(port, host, reuse_port=False):
            one.close()
    except OSError:
        return False
    return True
