from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import filelock
import pytest
from loguru import logger
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from pumpwatch import telemetry
from pumpwatch.cli.check import check, clock_finding, extra_findings
from pumpwatch.cli.check_endpoints import endpoint_findings, rpc_findings
from pumpwatch.cli.finding import Finding
from pumpwatch.config import Endpoint, Settings, load
from pumpwatch.redaction import Redactor
from pumpwatch.storage.store import Store

MAINNET = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
KEY = "my-secret-key-1234"


@pytest.fixture(autouse=True)
def _leave_no_logging_behind() -> Iterator[None]:
    yield
    logger.remove()
    telemetry._redactor = Redactor()
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, telemetry._StandardLogging)]


class WebSocketServer:
    """Answers handshakes with *status*, or accepts them with *origin* as the header of the simulator."""

    def __init__(self) -> None:
        self.status = 101
        self.origin: str | None = None
        self.handshakes = 0
        quiet = logging.getLogger("tests.quiet")
        quiet.propagate = False
        quiet.addHandler(logging.NullHandler())
        self._server = serve(_until_closed, "127.0.0.1", 0, process_request=self._answer, logger=quiet)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes += 1
        if self.status != 101:
            return connection.respond(self.status, f"no, {KEY} is bad\n")
        if self.origin:
            response = connection.protocol.accept(request)
            response.headers["X-Pumpwatch-Origin"] = self.origin
            return response
        return None

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()


def _until_closed(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        connection.recv()


class RpcServer:
    """Answers each method with what *results* has for it: a value, or an exception's status."""

    def __init__(self) -> None:
        self.results: dict[str, object] = {"getHealth": "ok", "getGenesisHash": MAINNET}
        self.status = 200
        self.time = time.time()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                method = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["method"]
                if method in owner.results:
                    answer: dict[str, object] = {"result": owner.results[method]}
                else:
                    answer = {"error": {"code": -32601, "message": f"Method not found, {KEY}"}}
                body = json.dumps({"jsonrpc": "2.0", "id": 1, **answer}).encode()
                self.send_response_only(owner.status)
                self.send_header("Date", formatdate(owner.time, usegmt=True))
                self.send_header("Content-Length", str(len(body)))
                if owner.status == 302:
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: standard error belongs to the test."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def pumpportal() -> Iterator[WebSocketServer]:
    with contextlib.closing(WebSocketServer()) as server:
        yield server


@pytest.fixture
def helius() -> Iterator[WebSocketServer]:
    with contextlib.closing(WebSocketServer()) as server:
        yield server


@pytest.fixture
def rpc() -> Iterator[RpcServer]:
    with contextlib.closing(RpcServer()) as server:
        yield server


@pytest.fixture
def environ(pumpportal: WebSocketServer, helius: WebSocketServer, rpc: RpcServer) -> dict[str, str]:
    return {
        "PUMPWATCH_PUMPPORTAL_URL": pumpportal.url,
        "PUMPWATCH_HELIUS_WS_URL": helius.url,
        "PUMPWATCH_HELIUS_RPC_URL": rpc.url,
        "HELIUS_API_KEY": KEY,
    }


Report = Callable[[], tuple[int, dict[str, list[str]]]]


@pytest.fixture
def report(tmp_path: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Report:
    """Run the check: exit status, and for each thing checked ``level: text``."""

    def run() -> tuple[int, dict[str, list[str]]]:
        status = check(config=None, environ=environ, directory=tmp_path, live_seconds=None)
        captured = capsys.readouterr()
        assert captured.err == ""
        assert KEY not in captured.out
        lines: dict[str, list[str]] = {}
        for line in captured.out.splitlines():
            level, what, text = line.split(None, 2)
            lines.setdefault(what.rstrip(":"), []).append(f"{level}: {text}")
        return status, lines

    return run


def test_when_all_is_well_every_line_says_so(report: Report, tmp_path: Path, pumpportal: WebSocketServer) -> None:
    status, lines = report()

    assert status == 0
    assert set(lines) >= {
        "versions",
        "settings",
        "secrets",
        "keys",
        "database",
        "disk",
        "worker",
        "clock",
        "pumpportal",
        "helius",
        "rpc",
        "cost",
    }
    assert lines["database"] == [f"ok: {tmp_path / 'pumpwatch.db'} will be made"]
    assert lines["pumpportal"] == [f"ok: {pumpportal.url}: it answers"]
    assert lines["keys"] == [
        "note: PumpPortal: no key, so new tokens and migrations only; PUMPPORTAL_API_KEY in .env adds trades",
        "ok: 127.0.0.1: there is a key",
    ]
    assert pumpportal.handshakes == 1
    assert [entry.name for entry in tmp_path.iterdir()] == []


def test_wrong_settings_are_told_and_end_the_check(report: Report, tmp_path: Path) -> None:
    (tmp_path / "pumpwatch.ini").write_text("[nonsense]\n[watch]\nmax_token = 3\n", encoding="utf-8")

    status, lines = report()

    assert status == 4
    assert [line.split(": ")[0] for line in lines["settings"]] == ["wrong", "wrong"]
    assert "did you mean max_tokens?" in lines["settings"][1]
    assert set(lines) == {"versions", "settings"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_secrets_that_others_can_read_and_mistyped_names_are_told(report: Report, tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("HELIUS_APIKEY=12345678\nOTHER=1\n", encoding="utf-8")
    dotenv.chmod(0o644)

    status, lines = report()

    assert status == 0
    assert lines["secrets"] == [
        f"note: {dotenv} can be read by other users: chmod 600 {dotenv}",
        "note: HELIUS_APIKEY in .env is not a name of ours and has no effect; is HELIUS_API_KEY meant?",
    ]

    dotenv.chmod(0o600)
    assert report()[1]["secrets"][0] == f"ok: {dotenv}"


@pytest.mark.parametrize(("origin", "level", "status"), [("mainnet", "ok", 0), ("simulator", "wrong", 4), ("replay", "wrong", 4)])
def test_a_database_of_another_origin_is_refused(report: Report, tmp_path: Path, origin: str, level: str, status: int) -> None:
    Store.open(tmp_path / "pumpwatch.db", origin=origin).close()

    found, lines = report()

    assert found == status
    assert lines["database"][0].startswith(f"{level}: {tmp_path / 'pumpwatch.db'}")


def test_a_file_that_is_no_database_is_refused(report: Report, tmp_path: Path) -> None:
    (tmp_path / "pumpwatch.db").write_bytes(b"not a database, but long enough to be looked at" * 100)

    status, lines = report()

    assert status == 4
    assert lines["database"][0].startswith("wrong: ")


def test_who_holds_the_database_is_told_by_pid(report: Report, tmp_path: Path) -> None:
    lock = filelock.FileLock(tmp_path / "pumpwatch.db.lock")
    (tmp_path / "pumpwatch.db.pid").write_text("4711", encoding="utf-8")
    with lock:
        assert report()[1]["worker"] == ["ok: running (pid 4711)"]

    assert report()[1]["worker"] == ["ok: not running"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(report: Report, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert report()[0] == 4
    finally:
        tmp_path.chmod(0o700)


def test_one_refusing_server_is_status_1_and_all_refusing_status_5(
    report: Report, pumpportal: WebSocketServer, helius: WebSocketServer
) -> None:
    helius.status = 401
    status, lines = report()
    assert status == 1
    assert lines["helius"][0].startswith(f"wrong: {helius.url}: the server answered the handshake with HTTP 401")
    assert lines["helius"][0].endswith("the key is wrong or was revoked, or (without a key) this address is blocked")

    pumpportal.status = 403
    assert report()[0] == 5


def test_a_server_that_cannot_be_reached_is_told(report: Report, helius: WebSocketServer) -> None:
    helius.close()

    status, lines = report()

    assert status == 1
    assert lines["helius"][0].endswith("check network, firewall, proxy and the URL's host and port")


def test_a_simulator_is_called_one(report: Report, helius: WebSocketServer) -> None:
    helius.origin = "simulator"

    status, lines = report()

    assert status == 0
    assert lines["helius"] == [f"ok: {helius.url}: it answers, but is a simulator: nothing from there is real"]


def test_a_disabled_feed_is_not_asked(report: Report, environ: dict[str, str], helius: WebSocketServer) -> None:
    environ["PUMPWATCH_HELIUS_ENABLED"] = "no"

    _, lines = report()

    assert not {"helius", "rpc"} & set(lines)
    assert helius.handshakes == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"status": 403}, "HTTP 403: the key is wrong or was revoked"),
        ({"status": 429}, "HTTP 429: we were asked to come less often"),
        ({"status": 302}, "HTTP 302: check network, proxy, and [helius] rpc_url"),
        ({"results": {}}, None),
        ({"results": {"getHealth": "ok", "getGenesisHash": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG"}}, None),
    ],
)
def test_what_the_rpc_endpoint_answers_is_told(
    report: Report, rpc: RpcServer, change: dict[str, object], expected: str | None
) -> None:
    vars(rpc).update(change)

    status, lines = report()

    assert status == (0 if expected is None else 1)
    assert lines["rpc"][0].startswith("ok: " if expected is None else "wrong: ")
    assert (expected or "") in lines["rpc"][0]


def test_a_clock_that_differs_from_the_servers_is_told(report: Report, rpc: RpcServer) -> None:
    rpc.time = time.time() - 60

    status, lines = report()

    assert status == 1
    assert any(line.startswith("wrong: it differs by 6") and line.endswith("by NTP") for line in lines["clock"])


def test_another_chain_is_refused_anywhere_but_here(rpc: RpcServer) -> None:
    rpc.results["getGenesisHash"] = "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG"
    elsewhere = Endpoint(url=rpc.url, shown="https://example.org", host="example.org", port=443, is_loopback=False)

    [finding] = rpc_findings(elsewhere, timeout_seconds=10)

    assert (finding.level, finding.text) == (
        "wrong",
        "https://example.org: not Solana's mainnet: check [helius] rpc_url and ws_url",
    )


def test_an_impossible_clock_is_told() -> None:
    assert clock_finding(86_400.0).text == "it is not 1970-01-02 00:00:00 UTC: set the clock of this machine"


def test_pumpportal_is_not_asked_while_a_worker_is_connected_to_it(
    pumpportal: WebSocketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It bans those who open a second connection: the check takes the same place as the feed."""
    monkeypatch.setattr("pumpwatch.cli.check_endpoints.state_folder", lambda: tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")
    settings = _as_if_remote(pumpportal, tmp_path)
    with filelock.FileLock(tmp_path / "localhost.lock"):
        [finding] = endpoint_findings(settings)

    assert finding.level == "ok"
    assert "not tried, another pumpwatch of this user is connected to it" in finding.text
    assert pumpportal.handshakes == 0


def test_a_check_of_pumpportal_counts_as_one_of_its_opens(
    pumpportal: WebSocketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pumpwatch.cli.check_endpoints.state_folder", lambda: tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")

    [finding] = endpoint_findings(_as_if_remote(pumpportal, tmp_path))

    assert finding.level == "ok"
    assert pumpportal.handshakes == 1
    assert len(json.loads((tmp_path / "localhost.json").read_text(encoding="utf-8"))["opens"]) == 1


def _as_if_remote(server: WebSocketServer, directory: Path) -> Settings:
    """Settings whose PumpPortal endpoint is *server*, treated like a server elsewhere."""
    import dataclasses

    settings = load(config=None, environ={"PUMPWATCH_HELIUS_ENABLED": "no"}, directory=directory)
    port = int(server.url.rpartition(":")[2])
    endpoint = Endpoint(url=server.url, shown="wss://localhost", host="localhost", port=port, is_loopback=False)
    monkeyed = dataclasses.replace(settings.pumpportal, endpoint=endpoint)
    return dataclasses.replace(settings, pumpportal=monkeyed)


def test_json_is_one_document_and_nothing_else(
    tmp_path: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str], pumpportal: WebSocketServer
) -> None:
    pumpportal.status = 500

    status = check(config=None, environ=environ, directory=tmp_path, live_seconds=None, as_json=True)

    captured = capsys.readouterr()
    findings = json.loads(captured.out)
    assert status == 1
    assert {"what", "level", "text", "status"} == set(findings[0])
    assert [finding["what"] for finding in findings if finding["level"] == "wrong"] == ["pumpportal"]
    assert captured.err == ""


# Extras


@pytest.mark.parametrize(
    ("variable", "value", "package", "extra"),
    [
        ("PUMPWATCH_METRICS_PORT", "9464", "prometheus_client", "pumpwatch[metrics]"),
        ("SENTRY_DSN", "https://publickey77@sentry.example/1", "sentry_sdk", "pumpwatch[sentry]"),
    ],
)
def test_what_the_settings_ask_for_and_is_not_installed_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, package: str, extra: str
) -> None:
    settings = load(config=None, environ={variable: value}, directory=tmp_path)
    assert [finding.level for finding in extra_findings(settings)] == ["ok"]

    monkeypatch.setattr("pumpwatch.cli.check.find_spec", lambda name: None if name == package else object())
    [finding] = extra_findings(settings)
    assert (finding.level, finding.status) == ("wrong", 4)
    assert f'pip install "{extra}"' in finding.text
    assert "publickey77" not in finding.text


def test_extras_that_nobody_asks_for_are_no_finding(tmp_path: Path) -> None:
    assert list(extra_findings(load(config=None, environ={}, directory=tmp_path))) == []


def test_alert_urls_are_tried_and_a_wrong_one_is_said_without_itself(tmp_path: Path) -> None:
    def found(urls: str) -> list[Finding]:
        settings = load(config=None, environ={"PUMPWATCH_ALERTS_URLS": urls}, directory=tmp_path)
        return list(extra_findings(settings))

    [good] = found("json://127.0.0.1/very-secret")
    assert (good.what, good.level) == ("alerts", "ok")
    [bad] = found("json://127.0.0.1/ok, nosuch://very-secret")
    assert (bad.what, bad.level, bad.status) == ("alerts", "wrong", 4)
    assert "secret" not in good.text + bad.text
