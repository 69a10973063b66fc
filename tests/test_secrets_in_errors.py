"""Errors of one call each: their texts, their tracebacks and what is logged of them have no key in any spelling."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hostile_endpoints import CALLS, Case, HostileServer
from loguru import logger
from real_worker import clean_environment
from secret_spellings import spellings

from pumpwatch import telemetry
from pumpwatch.backfill.answers import RpcFailed
from pumpwatch.backfill.rpc import Rpc
from pumpwatch.config import Endpoint
from pumpwatch.config_endpoint import secret_parts
from pumpwatch.events import Delivery, Rejected
from pumpwatch.redaction import Redactor
from pumpwatch.storage.intake import Intake
from pumpwatch.telemetry import set_up_logging

KEY = "helius-KEY/0a1b2c3d"
PATH_KEY = "path.key~7f8e9d0c"
ALL = spellings(KEY) | spellings(PATH_KEY)


@pytest.fixture(autouse=True)
def _leave_no_logging_behind() -> Iterator[None]:
    yield
    logger.remove()
    telemetry._redactor = Redactor()


@pytest.mark.parametrize("case", CALLS, ids=lambda case: str(case.__name__))
def test_a_call_that_fails_tells_no_key(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = HostileServer((case,), (KEY, PATH_KEY))
    url = f"http://{server.address}/v2/{quote(PATH_KEY)}/x"
    endpoint = Endpoint.of(url, key=KEY)
    set_up_logging(level="DEBUG", log_file=tmp_path / "x.log", secrets=(KEY, *secret_parts(url)))
    try:
        with Rpc(endpoint, timeout_seconds=1, tries=2, first_wait_seconds=0.01) as rpc, pytest.raises(RpcFailed) as raised:
            rpc.call("getSlot")
        logger.opt(exception=raised.value).error("backfill: {}", raised.value)
    finally:
        server.close()

    assert quote(KEY, safe="").encode() in server.asked[0]
    written = (tmp_path / "x.log").read_text(encoding="utf-8") + capsys.readouterr().err
    assert "Traceback" in written
    assert not [spelled for spelled in ALL if spelled in written]
    assert not [spelled for spelled in ALL if spelled in str(raised.value)]


_UNCAUGHT = """
import sys, threading
from pathlib import Path
from pumpwatch.cli import main
from pumpwatch.telemetry import set_up_logging
from pumpwatch.threads import WorkerThread
from pumpwatch.watchdog import Watchdog

KEY = sys.argv[1]
set_up_logging(level="DEBUG", log_file=Path("x.log"), secrets=(KEY,), as_json=sys.argv[2] == "json")
sys.excepthook, threading.excepthook = main._log_uncaught, main._log_uncaught_in_thread

def fail(local_key):
    headers = {"Authorization": local_key}
    try:
        raise KeyError(headers)
    except KeyError as error:
        raise ExceptionGroup("several", [OSError(local_key), ValueError(headers)]) from error

class Broken(WorkerThread):
    def work(self):
        fail(KEY)

for thread in (threading.Thread(target=fail, args=(KEY,)), Broken("broken")):
    thread.start()
    thread.join()
Watchdog(lambda: (), stuck_after_seconds=1, on_stuck=lambda reason: None, end=lambda status: None)._finish(KEY)
fail(KEY)
"""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_nobody_catches_is_logged_without_keys_and_variables(tmp_path: Path, log_format: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _UNCAUGHT, KEY, log_format],
        cwd=tmp_path,
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=50,
    )
    written = done.stdout + done.stderr + (tmp_path / "x.log").read_text(encoding="utf-8")

    assert done.returncode == 1
    assert written.count("ExceptionGroup") >= 6
    assert "stuck" in written
    assert not [spelled for spelled in spellings(KEY) if spelled in written]


def test_a_key_that_a_server_tells_is_not_in_the_spill(tmp_path: Path) -> None:
    set_up_logging(level="CRITICAL", log_file=None, secrets=(KEY,))
    message = f'{{"error": "no, {KEY}, no"}}'.encode()
    events = (Rejected(kind="unknown shape", reason=f"says {KEY}", raw=message),)
    intake = Intake(tmp_path / "x.spill", queue_size=0, spill_bytes=1 << 20, now_us=1)
    assert intake.put(Delivery(source="helius", received_at_us=1, events=events, raw=message))
    assert intake.put(Delivery(source="helius", received_at_us=2, events=(), raw=b"prefix " + message))
    taken = intake.take(10, timeout_seconds=0)
    intake.close()

    assert [delivery.raw for delivery in taken] == [b'{"error": "no, [hidden], no"}', b'prefix {"error": "no, [hidden], no"}']
    [rejected] = taken[0].events
    assert isinstance(rejected, Rejected)
    assert (rejected.raw, rejected.reason) == (taken[0].raw, "says [hidden]")


def test_raw_bytes_without_a_secret_stay_the_same_object() -> None:
    raw = b'{"api-key": "somebody else"}' * 100

    assert Redactor((KEY,)).redact_bytes(raw) is raw
    assert Redactor(()).redact_bytes(raw) is raw
    assert Redactor((KEY,)).redact_bytes(KEY.upper().encode() + b"\xff") == b"[hidden]\xff"
