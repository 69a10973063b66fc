"""No key gets out: every error path has one, servers tell them back in every spelling, and all that is written is searched."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hostile_endpoints import CALLS, HANDSHAKES, REFUSALS, HostileServer, bad_header, hang_up, no_http
from hostile_endpoints import http as http_answer
from real_worker import QUICK, RealWorker
from secret_spellings import spellings
from sentry_receiver import SentryReceiver

PORTAL_KEY = "portal/key+with=odd&chars"
HELIUS_KEY = "helius-KEY/0a1b2c3d"
PATH_KEY = "path.key~7f8e9d0c"
QUERY_KEY = "query=key/5a6b7c&8d"
PROXY_KEY = "proxy:pass/word@9"
ALERT_KEY = "alert-key.1a2b3c4d5e"
SECRETS = (PORTAL_KEY, HELIUS_KEY, PATH_KEY, QUERY_KEY)

#: A token of mainnet, pinned: there is something to ask for.
MINT = "So11111111111111111111111111111111111111112"

Serve = Callable[..., HostileServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[HostileServer] = []

    def start(cases: tuple[object, ...], *more: str) -> HostileServer:
        servers.append(HostileServer(cases, (*SECRETS, *more)))  # type: ignore[arg-type] # cases, all of them
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def sentry() -> Iterator[SentryReceiver]:
    receiver = SentryReceiver()
    yield receiver
    receiver.close()


@pytest.fixture
def worker(tmp_path: Path, sentry: SentryReceiver) -> Iterator[RealWorker]:
    real = RealWorker(
        tmp_path,
        {
            **QUICK,
            "PUMPPORTAL_API_KEY": PORTAL_KEY,
            "HELIUS_API_KEY": HELIUS_KEY,
            "SENTRY_DSN": sentry.dsn,
            "PUMPWATCH_PUMPWATCH_LOG_FILE": "pumpwatch.log",
            "PUMPWATCH_PUMPWATCH_LOG_LEVEL": "DEBUG",
            "PUMPWATCH_WATCH_MINTS": MINT,
            "PUMPWATCH_METRICS_PORT": str(free_port()),
            "PUMPWATCH_CONNECTION_PING_INTERVAL_SECONDS": "2",
        },
    )
    try:
        yield real
    finally:
        real.end_all()


def until(condition: Callable[[], object], seconds: float = 30.0, what: Callable[[], object] = str) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"waited in vain for {what()}"
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def secret_url(scheme: str, address: str) -> str:
    return f"{scheme}://{address}/v2/{quote(PATH_KEY, safe='')}/x?token={quote(QUERY_KEY, safe='')}"


def page(worker: RealWorker, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", int(worker.settings["PUMPWATCH_METRICS_PORT"]), timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def written(worker: RealWorker, sentry: SentryReceiver) -> dict[str, bytes]:
    """Everything that this worker and the commands beside it have told anybody."""
    files = {str(path.relative_to(worker.folder)): path.read_bytes() for path in worker.folder.rglob("*") if path.is_file()}
    for path in worker.folder.glob("*.zip"):
        with zipfile.ZipFile(path) as packed:
            files.update({f"{path.name}/{name}": packed.read(name) for name in packed.namelist()})
    return {**files, **{f"sentry {number}": body for number, body in enumerate(sentry.bodies)}}


def assert_nothing_is_told(texts: dict[str, bytes]) -> None:
    found = [
        (where, spelled)
        for where, text in texts.items()
        for secret in (*SECRETS, PROXY_KEY, ALERT_KEY)
        for spelled in spellings(secret)
        if spelled.encode() in text
    ]
    assert not found, found[:20]


@pytest.mark.timeout(120)
def test_servers_that_fail_in_every_way_and_tell_our_keys_back_find_no_way_out(
    worker: RealWorker, serve: Serve, sentry: SentryReceiver
) -> None:
    portal, chain, calls, others = serve(HANDSHAKES), serve((*HANDSHAKES, *REFUSALS)), serve(CALLS), serve(CALLS, ALERT_KEY)
    worker.settings.update(
        {
            "PUMPWATCH_PUMPPORTAL_URL": secret_url("ws", portal.address),
            "PUMPWATCH_HELIUS_WS_URL": secret_url("ws", chain.address),
            "PUMPWATCH_HELIUS_RPC_URL": secret_url("http", calls.address),
            "PUMPWATCH_PRICES_URL": secret_url("http", others.address),
            "PUMPWATCH_ALERTS_URLS": f"json://{others.address}/{ALERT_KEY}/",
            "PUMPWATCH_ALERTS_FEED_DOWN_SECONDS": "1",
            "PUMPWATCH_ALERTS_SILENT_SECONDS": "3",
        }
    )
    worker.start()
    until(
        lambda: worker.process.poll() is not None or (portal.is_done and chain.is_done and sum(calls.served.values()) > 5),
        75,
        lambda: (portal.served, chain.served, calls.served),
    )
    assert worker.process.poll() is None, worker.log
    told = {path: page(worker, path) for path in ("/metrics", "/health")}
    for command in (
        ("status",),
        ("status", "--json"),
        ("check",),
        ("check", "--json"),
        ("alerts", "test"),
        ("alerts", "--json"),
        ("report",),
    ):
        ended = worker.command(*command)
        told[" ".join(command)] = (ended.out + ended.err).encode()
    worker.stop()

    asked = b"".join((*portal.asked, *chain.asked, *calls.asked))
    for secret in (PORTAL_KEY, HELIUS_KEY, PATH_KEY, QUERY_KEY):
        assert quote(secret, safe="").encode() in asked or secret.encode() in asked, "nothing was at stake"
    assert list(worker.folder.glob("*.zip"))
    assert any(ALERT_KEY.encode() in request for request in others.asked)
    assert b"pumpwatch_feed_failed_connects_total" in told["/metrics"]
    assert sentry.bodies
    assert_nothing_is_told({**told, **written(worker, sentry)})


@pytest.mark.timeout(120)
def test_no_way_to_the_server_is_no_way_out_for_a_key(worker: RealWorker, serve: Serve, sentry: SentryReceiver) -> None:
    hostile = serve((no_http, bad_header))
    worker.settings.update(
        {
            "PUMPWATCH_PUMPWATCH_LOG_FORMAT": "json",
            "PUMPWATCH_CONNECTION_BACKOFF_LONGEST_SECONDS": "5",
            "PUMPWATCH_PRICES_ENABLED": "no",
            "PUMPWATCH_PUMPPORTAL_URL": secret_url("wss", hostile.address),  # speaks no TLS
            "PUMPWATCH_HELIUS_WS_URL": secret_url("wss", "nowhere.invalid"),
            "PUMPWATCH_HELIUS_RPC_URL": secret_url("https", "nowhere.invalid"),
        }
    )
    told = seen_in_trouble(worker)

    assert hostile.asked
    assert_nothing_is_told({**told, **written(worker, sentry)})
    for line in (worker.folder / "pumpwatch.log").read_text(encoding="utf-8").splitlines():
        json.loads(line)


@pytest.mark.timeout(120)
def test_a_proxy_in_the_way_is_no_way_out_for_a_key_nor_for_its_own(
    worker: RealWorker, serve: Serve, sentry: SentryReceiver
) -> None:
    hostile = serve((http_answer(407), no_http, http_answer(403), bad_header, hang_up), PROXY_KEY)
    proxy = f"http://somebody:{quote(PROXY_KEY, safe='')}@{hostile.address}"
    worker.settings.update(dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), proxy))
    worker.settings.update(
        {
            "PUMPWATCH_CONNECTION_BACKOFF_LONGEST_SECONDS": "5",
            "PUMPWATCH_HELIUS_WS_URL": secret_url("wss", "nowhere.invalid"),
            "PUMPWATCH_HELIUS_RPC_URL": secret_url("https", "nowhere.invalid"),
        }
    )
    told = seen_in_trouble(worker)

    assert base64.b64encode(f"somebody:{PROXY_KEY}".encode()) in b"".join(hostile.asked), "nothing was at stake"
    assert_nothing_is_told({**told, **written(worker, sentry)})


def test_the_end_of_a_worker_that_nobody_lets_in_tells_no_key(worker: RealWorker, serve: Serve, sentry: SentryReceiver) -> None:
    refusing = serve((http_answer(401),))
    worker.settings["PUMPWATCH_PUMPPORTAL_URL"] = secret_url("ws", refusing.address)
    worker.settings["PUMPWATCH_HELIUS_WS_URL"] = secret_url("ws", refusing.address)
    worker.settings["PUMPWATCH_HELIUS_RPC_URL"] = secret_url("http", refusing.address)
    worker.start()

    assert worker.wait() == 5
    assert "every enabled feed was refused" in worker.log
    assert_nothing_is_told(written(worker, sentry))


def seen_in_trouble(worker: RealWorker) -> dict[str, bytes]:
    """What a worker says that reaches nobody, and the commands beside it."""
    worker.start(simulator=False)
    until(lambda: worker.log.count("connecting again in") >= 3 and "WARNING  backfill" in worker.log)
    told = {path: page(worker, path) for path in ("/metrics", "/health")}
    for command in (("status", "--json"), ("check",)):
        ended = worker.command(*command, patience=60)
        told[" ".join(command)] = (ended.out + ended.err).encode()
    worker.stop()
    return told
