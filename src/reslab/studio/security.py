"""Who may ask the studio: a page that it served, of a browser that was given the token."""

import hmac
import ipaddress
import json
import math
import os
import re
import secrets
import socket
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tornado.escape import xhtml_escape
from tornado.web import HTTPError, RequestHandler, stream_request_body

from reslab.content import parse
from reslab.errors import UserError, in_one_line
from reslab.files import user_state, write_atomically

if TYPE_CHECKING:
    from reslab.studio.scan import Scan
    from reslab.studio.worker import Worker

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    # Nothing but what the studio serves; styles within the page are how Bokeh draws.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
    "Server": "reslab",
}
REFUSED = Path(__file__).with_name("pages") / "refused.html"  # to a browser's window
# A body past its limit is read and dropped as far as that, so that the browser hears why.
MOST_BYTES_DROPPED = 1 << 30


class Access:
    """What opens this server.

    Args:
        token: What every server of this user is opened by.
        host: The address that it listens at.
    """

    def __init__(self, token: str, host: str) -> None:
        self._token = token
        self._once: set[str] = set()
        self._names = {"localhost", host.lower()}
        if host not in LOOPBACK:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    def once(self) -> str:
        """A token for one use: other users may see the command line by which a browser opens."""
        self._once.add(code := secrets.token_urlsafe())
        return code

    def opened_by(self, text: str) -> bool:
        """Whether that opens it."""
        if text in self._once:
            self._once.remove(text)
            return True
        return hmac.compare_digest(text.encode(errors="replace"), self._token.encode())

    def cookie(self) -> str:
        """What a browser that was let in has kept."""
        return self._token

    def knows(self, host: str | None) -> bool:
        """Whether a page may have been asked for by that name: any address, or this machine's.

        Another's name may lead here too, by its owner's doing, and its pages would be let in.
        """
        if host in self._names:
            return True
        try:
            return bool(ipaddress.ip_address(host or ""))
        except ValueError:
            return False


def read_token() -> str:
    """This user's token, made on first use; a server that is started again leaves tabs as they are.

    Raises:
        UserError: It can neither be read nor written.
    """
    path = user_state() / "studio-token"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            umask = os.umask(0o077)
            try:
                write_atomically(path, secrets.token_urlsafe().encode())
            finally:
                os.umask(umask)
        path.chmod(0o600)
        token = path.read_text().strip()
    except OSError as error:
        raise UserError(
            f"{path}, which has the studio's token, cannot be used ({error.strerror}): set "
            f"XDG_STATE_HOME to a folder that can"
        ) from error
    if not re.fullmatch(r"[\w-]{32,}", token, re.ASCII):
        raise UserError(f"{path} has no token of the studio's: delete it, and a new one is made")
    return token


class RequestError(HTTPError):
    """What is answered with a sentence for the user instead."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status)
        self.sentence = in_one_line(sentence)


@stream_request_body
class Handler(RequestHandler):
    """What all handlers are: each request is checked, each error is JSON with a sentence."""

    most_bytes = 1 << 20  # of a body

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)

    @property
    def access(self) -> Access:
        """What opens this server."""
        access: Access = self.settings["access"]
        return access

    @property
    def scan(self) -> "Scan":
        """All runs."""
        scan: Scan = self.settings["scan"]
        return scan

    @property
    def worker(self) -> "Worker":
        """The process that has torch."""
        worker: Worker = self.settings["worker"]
        return worker

    def prepare(self) -> None:
        self._body, self._length = bytearray(), 0
        self.request.connection.set_max_body_size(MOST_BYTES_DROPPED)  # type: ignore[union-attr]
        address = _split(f"//{self.request.host}")
        if not self.access.knows(address.hostname):
            raise RequestError(403, "the studio is not known by that name: ask for it as localhost")
        origin = self.request.headers.get("Origin")
        if origin is not None and _split(origin).netloc != self.request.host:
            raise RequestError(403, "only the studio's own pages may ask it")
        cookie = f"reslab-studio-{address.port or 80}"  # browsers do not tell ports apart
        token = self.get_query_argument("token", "")
        if self.request.method == "GET" and token and self.access.opened_by(token):
            kept = self.access.cookie()
            self.set_cookie(cookie, kept, expires_days=30, httponly=True, samesite="Lax")
            self.redirect("/")
            return
        if not self.access.opened_by(self.get_cookie(cookie) or ""):
            raise RequestError(403, "open the address that `reslab studio` printed: it has a token")

    def data_received(self, chunk: bytes) -> None:
        self._length += len(chunk)
        if self._length <= self.most_bytes:
            self._body += chunk
        else:
            self._body.clear()

    def body(self) -> bytes:
        """What came with the request.

        Raises:
            RequestError: It is longer than this handler takes.
        """
        if self._length > self.most_bytes:
            got, most = self._length / (1 << 20), self.most_bytes / (1 << 20)
            raise RequestError(413, f"that is {got:.0f} MiB; {most:g} MiB is the most")
        return bytes(self._body)

    def asked(self) -> dict[str, Any]:
        """The JSON object that came with the request.

        Raises:
            RequestError: It is none.
        """
        try:
            content = parse(self.body())
        except ValueError as error:
            raise RequestError(400, f"the request is no JSON: {error}") from error
        if not isinstance(content, dict):
            raise RequestError(400, "the request is no JSON object")
        return content

    def answer(self, content: Any) -> None:
        """Answers with JSON, in which a number that is none is null."""
        self.set_header("Content-Type", "application/json")
        try:
            self.finish(json.dumps(content, separators=(",", ":"), allow_nan=False))
        except ValueError:
            self.finish(json.dumps(_finite(content), separators=(",", ":")))

    def write_error(self, status_code: int, **context: Any) -> None:
        error = context.get("exc_info", (None, None))[1]
        sentence = f"{self._reason} ({status_code})"
        if isinstance(error, RequestError):
            sentence = error.sentence
        elif isinstance(error, UserError):
            self.set_status(422)
            sentence = str(error)
        elif status_code == 500:
            sentence = "a fault of reslab's own: the terminal of `reslab studio` shows where"
        accepted = self.request.headers.get("Accept", "")
        if "text/html" not in accepted or "json" in accepted:  # the page says it in its place
            return self.answer({"error": sentence})
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(REFUSED.read_text().replace("SENTENCE", xhtml_escape(sentence)))

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Says where a fault of ours arose; nothing of the address but its path, for the token."""
        if not isinstance(error, HTTPError | UserError):
            lines = "".join(traceback.format_exception(kind, error, trace))
            self.settings["reporter"].warn(f"{self.request.method} {self.request.path}\n{lines}")


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _split(address: str) -> Any:
    """The parts of an address, none of one that is not whole."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  # which raises
        return parts
    except ValueError:
        return urlsplit("")
