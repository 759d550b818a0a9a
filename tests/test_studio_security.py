"""Who the studio answers, and what it never does."""

import socket
import stat
from types import SimpleNamespace

import pytest

from processes import start
from reslab.errors import UserError
from reslab.studio import server
from reslab.studio.security import Access, Handler, read_token
from studio import TOKEN, served, until, write_run

PATHS = ("/", "/style.css", "/app.js", "/bokeh.min.js", "/api/runs", "/api/nothing", "/nothing")


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder, "a-run")
    (folder.parent / "secret").write_text("a secret")
    with served(folder) as studio:
        yield studio


@pytest.mark.parametrize("token", [None, "", "another", TOKEN[:-1], TOKEN.upper(), "ü"])
def test_without_the_token_nothing_is_served(studio, token):
    for path in PATHS:
        answer = studio.ask(path, token=token)
        assert answer.status == 403
        assert "reslab studio" in answer.json["error"]


def test_a_browser_is_told_in_a_page_what_to_open_and_nothing_of_the_address_is_markup(studio):
    answer = studio.ask("/", token=None, Accept="text/html,*/*;q=0.8")
    assert answer.status == 403
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert b"open the address that `reslab studio` printed" in answer.body
    foreign = studio.ask("/<script>", Accept="text/html")
    assert foreign.status == 404
    assert b"<script>" not in foreign.body


def test_the_token_is_in_the_address_once_and_then_in_a_cookie_named_with_the_port(studio):
    answer = studio.ask(studio.address.partition(str(studio.port))[2], token=None)
    assert (answer.status, answer.headers["Location"]) == (302, "/")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"reslab-studio-{studio.port}=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    kept = studio.ask("/api/runs", token=None, Cookie=cookie.partition(";")[0])
    assert kept.status == 200


def test_a_token_for_the_browser_that_is_opened_opens_once():
    access = Access(TOKEN, "127.0.0.1")
    code = access.once()
    assert [access.opened_by(code) for _ in range(2)] == [True, False]
    assert access.opened_by(TOKEN)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "x@y", "[", "a:b"]
)
def test_a_page_of_another_name_that_leads_here_is_refused(studio, host):
    for path in PATHS:
        assert studio.ask(path, Host=host).status in (400, 403)


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "localhost:9999", "[::1]:7"])
def test_this_machine_is_known_and_so_is_the_end_of_a_tunnel(studio, host):
    assert studio.ask("/api/runs", Host=host.format(studio.port)).status == 200


def test_where_others_may_ask_this_machine_s_name_is_known():
    named = socket.gethostname()
    assert Access(TOKEN, "0.0.0.0").knows(named.lower())
    assert not Access(TOKEN, "0.0.0.0").knows("evil.example")
    assert Access(TOKEN, "127.0.0.1").knows(named.lower()) == (named.lower() == "localhost")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://", "", "http://["]
)
def test_a_foreign_page_is_refused_whatever_it_asks(studio, origin):
    for path in PATHS:
        for body in (None, b"{}"):
            answer = studio.ask(path, body, Origin=origin)
            assert answer.status == 403
            assert "error" in answer.json


def test_its_own_page_is_let_in(studio):
    assert studio.ask("/api/runs", Origin=f"http://127.0.0.1:{studio.port}").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../server.py",
        "/..%2fserver.py",
        "/%2e%2e/%2e%2e/__init__.py",
        "//etc/passwd",
        "/../../../../../../../etc/passwd",
        "/style.css/../palette.py",
        "/bokeh.min.js/../../../__init__.py",
        "/api/../server.py",
        "/runs.js%00.html",
        "/.",
        "/pages",
    ],
)
def test_no_file_but_the_page_s_own_is_served(studio, path):
    answer = studio.ask(path)
    assert answer.status in (400, 403, 404), answer.body
    assert "error" in answer.json


@pytest.mark.parametrize("name", ["../secret", "..", ".", "", "/etc", "a-run/..", "a-run/../a-run"])
def test_no_run_is_found_outside_of_the_folder_of_runs(studio, name):
    scan = server.Scan(studio.runs)
    assert scan.find("a-run").path == studio.runs / "a-run"
    with pytest.raises(UserError, match="no run is called"):
        scan.find(name)


def test_every_answer_says_what_the_page_may_do(studio):
    for path, token in [(path, token) for path in PATHS for token in (TOKEN, None)]:
        headers = studio.ask(path, token=token).headers
        policy = dict(
            part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["form-action"] == "'none'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert not [value for value in policy.values() if "http" in value or "*" in value]


class _Probe(Handler):
    def post(self):
        self.answer({"bytes": len(self.body())})

    def get(self):
        if self.get_query_argument("user", ""):
            raise UserError("the folder is full: make room")
        raise ZeroDivisionError("of ours")


@pytest.fixture
def probed(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "VIEWS", (SimpleNamespace(HANDLERS=[("probe", _Probe)]),))
    with served(tmp_path) as studio:
        yield studio


@pytest.mark.parametrize("mebibytes", [3, 200])
def test_what_is_too_large_is_told_so_and_the_server_goes_on(probed, mebibytes):
    answer = probed.ask("/api/probe", bytes(mebibytes << 20))
    assert answer.status == 413
    assert answer.json == {"error": f"that is {mebibytes} MiB; 1 MiB is the most"}
    assert probed.ask("/api/probe", bytes(1 << 20)).json == {"bytes": 1 << 20}


def test_what_a_user_can_mend_is_said_and_a_fault_of_ours_names_its_place_without_the_token(probed):
    answer = probed.ask("/api/probe?user=1")
    assert answer.status == 422
    assert answer.json == {"error": "the folder is full: make room"}
    assert probed.reporter.said == []
    answer = probed.ask(f"/api/probe?token={TOKEN[:-1]}&again={TOKEN}")
    assert answer.status == 500
    assert "ZeroDivisionError" not in answer.json["error"]
    (said,) = probed.reporter.said
    assert said.startswith("GET /api/probe\nTraceback")
    assert "ZeroDivisionError" in said
    assert TOKEN[:-1] not in said


def test_the_token_is_kept_where_only_the_user_can_read_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    token = read_token()
    file = tmp_path / "state/reslab/studio-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    assert read_token() == token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for spoilt in ("short", "; " * 40, ""):
        file.write_text(spoilt)
        with pytest.raises(UserError, match="studio-token has no token"):
            read_token()
    monkeypatch.setenv("XDG_STATE_HOME", str(file))
    with pytest.raises(UserError, match="XDG_STATE_HOME"):
        read_token()


def test_a_port_that_is_taken_is_named_with_the_next_that_is_free(studio, tmp_path):
    with pytest.raises(UserError, match=f"port {studio.port} of 127.0.0.1 is taken") as raised:
        server.listen(
            server.application(tmp_path, Access(TOKEN, "127.0.0.1")), "127.0.0.1", studio.port
        )
    free = int(str(raised.value).rpartition(" ")[2])
    assert studio.port < free < studio.port + 100
    with served(tmp_path, free):
        pass


def test_an_address_that_is_not_this_machine_s_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot listen at 192\.0\.2\.1, port 0"):
        server.listen(server.application(tmp_path, Access(TOKEN, "x")), "192.0.2.1", 0)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_command_says_its_address_warns_of_others_and_ends_when_told(tmp_path, host):
    port = str(free_port())
    asked = ("studio", "--no-browser", "--port", port, "--host", host)
    process = start(tmp_path, *asked, XDG_STATE_HOME=str(tmp_path))
    process.wait_for_text("?token=", 60)
    token = (tmp_path / "reslab/studio-token").read_text()
    said = process.err.read_text()
    assert f":{port}/?token={token}" in said
    assert ("warning: --host 0.0.0.0 lets other machines ask" in said) == (host != "127.0.0.1")
    again = start(tmp_path, *asked, XDG_STATE_HOME=str(tmp_path)).wait(60)
    assert f"port {port} of {host} is taken" in again.error_line()
    process.send(15)
    assert process.wait(30).code == 0
    assert "Traceback" not in process.err.read_text()


def test_a_server_that_is_started_again_knows_its_tabs(tmp_path):
    with served(tmp_path) as first:
        cursor = first.ask("/api/runs").json["cursor"]
    with served(tmp_path, first.port) as second:
        write_run(tmp_path, "a-run")
        answer = until(lambda: (a := second.ask(f"/api/runs?since={cursor}").json)["lines"] and a)
        assert answer["all"], "what a server before has told is not what this one knows"
