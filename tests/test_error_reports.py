"""Errors to Sentry: what arrives, and what never does."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from loguru import logger
from real_worker import clean_environment
from secret_spellings import spellings
from sentry_receiver import SentryReceiver

from pumpwatch import error_reports, telemetry
from pumpwatch.error_reports import ErrorReports
from pumpwatch.redaction import Redactor
from pumpwatch.telemetry import set_up_logging

KEY = "s3cr3t/key+with=odd"


@pytest.fixture
def receiver() -> Iterator[SentryReceiver]:
    started = SentryReceiver()
    yield started
    started.close()


@pytest.fixture(autouse=True)
def _log(tmp_path: Path) -> Iterator[None]:
    set_up_logging(level="DEBUG", log_file=tmp_path / "x.log", secrets=(KEY,))
    yield
    error_reports.finish()
    logger.remove()
    telemetry._redactor = Redactor()


def open_url(url: str, key: str) -> None:
    raise OSError(f"cannot reach {url}", key)


def fail(secret_local: str) -> None:
    headers = {"Authorization": f"Bearer {secret_local}", "plain": secret_local}
    try:
        open_url(f"https://mainnet.helius-rpc.com/?api-key={quote(secret_local)}", secret_local)
    except OSError as error:
        raise RuntimeError(f"no answer to {headers}") from error


def test_an_error_arrives_with_its_traceback_and_without_any_spelling_of_a_secret(receiver: SentryReceiver) -> None:
    error_reports.start(receiver.dsn)
    try:
        fail(KEY)
    except RuntimeError as error:
        logger.opt(exception=error).error("the {} feed failed with {}", "helius", KEY)
    error_reports.finish()

    [event] = receiver.events
    assert event["logentry"]["formatted"] == "the helius feed failed with [hidden]"
    assert event["level"] == "error"
    assert [value["type"] for value in event["exception"]["values"]] == ["OSError", "RuntimeError"]
    assert event["exception"]["values"][1]["stacktrace"]["frames"][-1]["function"] == "fail"
    told = receiver.bodies[0].decode() + receiver.heads[0]
    assert not [spelled for spelled in spellings(KEY) if spelled in told]
    assert "secret_local" not in told
    assert "vars" not in told


def test_nothing_of_the_machine_and_its_user_is_told(receiver: SentryReceiver) -> None:
    error_reports.start(receiver.dsn)
    logger.error("cannot open {}", Path.home() / "pumpwatch.db")
    error_reports.finish()

    told = receiver.bodies[0].decode()
    assert socket.gethostname() not in told
    assert "server_name" not in receiver.events[0]
    assert receiver.events[0]["logentry"]["formatted"].startswith("cannot open ~")
    assert "abs_path" not in told


def test_what_ends_a_thread_is_reported(receiver: SentryReceiver) -> None:
    from pumpwatch.threads import WorkerThread

    class Broken(WorkerThread):
        def work(self) -> None:
            raise ValueError(KEY)

    error_reports.start(receiver.dsn)
    thread = Broken("broken")
    thread.start()
    thread.join()
    error_reports.finish()

    [event] = receiver.events
    assert (event["level"], event["tags"]["thread"]) == ("fatal", "broken")
    assert KEY not in receiver.bodies[0].decode()


def test_the_last_report_of_a_process_that_ends_itself_arrives(receiver: SentryReceiver, tmp_path: Path) -> None:
    code = """
import sys
from loguru import logger
from pumpwatch import error_reports
error_reports.start(sys.argv[1])
logger.critical("stuck")
error_reports.end_process(70)
"""
    done = subprocess.run([sys.executable, "-c", code, receiver.dsn], env=clean_environment(tmp_path), check=False, timeout=30)

    assert done.returncode == 70
    assert [event["logentry"]["formatted"] for event in receiver.events] == ["stuck"]


def test_warnings_are_not_reported_and_a_repeated_error_once_a_minute(receiver: SentryReceiver) -> None:
    error_reports.start(receiver.dsn)
    logger.warning("reconnecting")
    for number in range(100):
        logger.error("again {}", number)
    error_reports.finish()

    assert [event["logentry"]["formatted"] for event in receiver.events] == ["again 0"]


def test_reports_are_bounded_by_the_hour(receiver: SentryReceiver) -> None:
    reports = ErrorReports(receiver.dsn)
    allowed = [reports._may_report(f"place {number}", float(number)) for number in range(3700)]
    reports.close()

    assert sum(allowed[:3600]) == 60
    assert sum(allowed) == 120
    assert reports._may_report("place 0", 1e6) is True


def test_a_receiver_that_hangs_delays_neither_the_log_nor_the_end(receiver: SentryReceiver) -> None:
    receiver.silent.set()
    error_reports.start(receiver.dsn)
    began = time.monotonic()
    logger.error("one")
    assert time.monotonic() - began < 0.5
    error_reports.finish()

    assert time.monotonic() - began < 4
    receiver.closing.set()


def test_nobody_there_is_no_trouble(receiver: SentryReceiver, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error_reports.start(f"http://key@127.0.0.1:{port}/1")
    logger.error("one")
    error_reports.finish()

    assert "one" in (tmp_path / "x.log").read_text(encoding="utf-8")


def test_the_librarys_thread_is_a_daemon_and_no_hook_is_left(receiver: SentryReceiver) -> None:
    hooks = (sys.excepthook, threading.excepthook, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    started = threading.Thread.start
    error_reports.start(receiver.dsn)
    logger.error("one")

    assert all(thread.daemon for thread in threading.enumerate() if "sentry" in thread.name.lower())
    assert hooks == (sys.excepthook, threading.excepthook, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    assert threading.Thread.start is started


@pytest.mark.parametrize("dsn", ["nonsense", "http://key@sentry.example/1", "https://sentry.example/1"])
def test_a_bad_dsn_is_one_warning_that_does_not_show_it(dsn: str, tmp_path: Path) -> None:
    error_reports.start(dsn)

    [line] = (tmp_path / "x.log").read_text(encoding="utf-8").splitlines()
    assert "WARNING" in line
    assert "SENTRY_DSN" in line
    assert dsn not in line


def test_without_the_library_one_warning_names_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    error_reports.start("https://key@sentry.example/1")

    [line] = (tmp_path / "x.log").read_text(encoding="utf-8").splitlines()
    assert 'pip install "pumpwatch[sentry]"' in line


def test_without_a_dsn_the_library_is_not_loaded(tmp_path: Path) -> None:
    code = "import sys, pumpwatch.cli.main; from pumpwatch import error_reports; error_reports.start(None)"
    code += "; print('sentry_sdk' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean_environment(tmp_path), capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "False"
