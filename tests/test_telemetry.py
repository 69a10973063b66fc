from __future__ import annotations

import base64
import io
import logging
import re
import sys
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger
from secret_spellings import spellings

from pumpwatch import telemetry
from pumpwatch.log_files import LogFile
from pumpwatch.redaction import Redactor
from pumpwatch.telemetry import Counters, LogSink, redact, set_up_logging, visible

KEY = "s3cr3t/key+with=odd"
URL = "https://rpc.example.org/v2/pathsecret1234?token=querysecret99"


@pytest.fixture(autouse=True)
def _leave_no_logging_behind() -> Iterator[None]:
    yield
    logger.remove()
    telemetry._redactor = Redactor()
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, telemetry._StandardLogging)]


@pytest.fixture
def log(tmp_path: Path) -> LogReader:
    path = tmp_path / "logs" / "pumpwatch.log"
    set_up_logging(level="DEBUG", log_file=path, secrets=(KEY, URL, "pathsecret1234"))
    return LogReader(path)


class LogReader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def text(self) -> str:
        return self._path.read_text(encoding="utf-8")

    def lines(self) -> list[str]:
        return self.text().splitlines()


def test_a_line_has_utc_time_level_and_message(log: LogReader) -> None:
    logger.info("{}: connected", "helius")

    [line] = log.lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z INFO     helius: connected", line)


@pytest.mark.parametrize(
    "spelled",
    [
        KEY,
        quote(KEY, safe=""),
        quote(KEY),
        f"wss://pumpportal.fun/api/data?api-key={quote(KEY)}",
        "https://mainnet.helius-rpc.com/?api-key=unknownkey1",
        "wss://ATLAS-mainnet.helius-rpc.com:443/unknownkey1",
        "https://user:unknownkey1@mainnet.helius-rpc.com/x",
        URL,
        "https://rpc.example.org/v3/unknownkey1",
        "api_key='unknownkey1'",
        '{"api-key": "unknownkey1"}',
        "x-api-key: unknownkey1",
        "Authorization: Bearer unknownkey1",
        "Max retries exceeded with url: /unknownkey1?x=1 (Caused by ...)",
        "GET /unknownkey1 HTTP/1.1",
    ],
)
def test_no_spelling_of_a_secret_reaches_the_log(log: LogReader, capsys: pytest.CaptureFixture[str], spelled: str) -> None:
    logger.error("failed: {}", spelled)

    for text in (log.text(), redact(spelled), visible(spelled, limit=500)):
        assert "[hidden]" in text
        for secret in (KEY, quote(KEY), quote(KEY, safe=""), "unknownkey1", "pathsecret1234", "querysecret99"):
            assert secret not in text


@pytest.mark.parametrize("prefix", ["", ":", "user:", "somebody:", "12"])
@pytest.mark.parametrize("suffix", ["", ":", "@x", "and more"])
@pytest.mark.parametrize("secret", [KEY, "pathsecret1234", "k1f9x2ab", "0a1b2c3d-secret-key-4e5f"])
def test_no_spelling_of_a_secret_survives_whatever_stands_around_it(secret: str, prefix: str, suffix: str) -> None:
    redactor = Redactor((secret,))
    packed = base64.b64encode(f"{prefix}{secret}{suffix}".encode()).decode()

    for spelled in (*spellings(secret), packed):
        shown = redactor.redact(f"the server says {spelled} indeed")
        assert "[hidden]" in shown, spelled
        assert not [left for left in spellings(secret) if left in shown]
        assert len(shown) <= len("the server says [hidden] indeed") + 8 + len(prefix) * 2 + len(suffix) * 2


def test_ordinary_text_stays_as_it_is() -> None:
    redactor = Redactor((KEY, URL, "pathsecret1234"))
    text = "pumpportal feed: no data for 75 s; dHJhZGU= 7365 %2F So11111111111111111111111111111111111111112"

    assert redactor.redact(text) == text


def test_the_host_of_a_url_stays_readable(log: LogReader) -> None:
    logger.info("connecting to {} and {}", "wss://pumpportal.fun", f"https://mainnet.helius-rpc.com/?api-key={KEY}")
    logger.info("metadata at {}", "https://ipfs.io/ipfs/bafkrei")

    assert "connecting to wss://pumpportal.fun and https://mainnet.helius-rpc.com/[hidden]" in log.lines()[0]
    assert "metadata at https://ipfs.io/ipfs/bafkrei" in log.lines()[1]


def test_a_traceback_shows_neither_secrets_nor_variables(log: LogReader) -> None:
    def connect(key: str, _balance: int) -> None:
        raise requests.ConnectionError(f"https://mainnet.helius-rpc.com/?api-key={key}", quote(key, safe=""))

    balance = int("1234567890123")
    try:
        connect(KEY, balance)
    except requests.ConnectionError as error:
        logger.opt(exception=error).error("failed")

    text = log.text()
    assert "ConnectionError" in text
    assert "in connect" in text
    assert KEY not in text
    assert quote(KEY, safe="") not in text
    assert "1234567890123" not in text


def test_a_secret_cut_by_a_length_limit_does_not_leave_its_first_half(log: LogReader) -> None:
    assert KEY[:6] not in visible("x" * 72 + KEY)
    assert KEY[:6] not in visible("ü" * 72 + KEY)


def test_a_forged_line_in_a_message_or_an_exception_stays_part_of_its_own_line(log: LogReader) -> None:
    forged = "x\n2026-01-01 00:00:00.000Z CRITICAL all keys leaked\r\x1b[2J\u2028next"

    logger.info("symbol {}", forged)
    logger.opt(exception=ValueError(forged)).error("failed")

    assert "\x1b" not in log.text()
    genuine = [line for line in log.lines() if not line.startswith("    | ")]
    assert len(genuine) == 2
    assert r"symbol x\n2026-01-01" in genuine[0]


def test_braces_and_markup_in_a_message_are_only_text(log: LogReader) -> None:
    logger.info("{}", "{record} {0} <red>{extra[x]}</red>")

    assert log.text().endswith("INFO     {record} {0} <red>{extra[x]}</red>\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain TOKEN", "Plain TOKEN"),
        ("Ünïcode 狗 🚀", "Ünïcode 狗 🚀"),
        ("a\nb\tc\x00\x7f", r"a\nb\tc\x00\x7f"),
        ("USD\u202eCFD", r"USD\u202eCFD"),
        ("zero\u200bwidth\u00ad\ufeff", r"zero\u200bwidth\xad\ufeff"),
        ("no\u00a0break\u3000", r"no\xa0break\u3000"),
        ("\u3164\u2800", r"\u3164\u2800"),
        ("lone \ud800", r"lone \ud800"),
        ("e\u0301", "e\u0301"),
        ("Z\u0301\u0302\u0303", "Z\u0301\u0302" + r"\u0303"),
        (b"bytes", "b'bytes'"),
        (None, "None"),
    ],
)
def test_hostile_text_is_made_visible(text: object, expected: str) -> None:
    assert visible(text) == expected


def test_visible_text_has_a_bounded_length() -> None:
    assert visible("x" * 81) == "x" * 79 + "…"
    assert visible("x" * 80) == "x" * 80
    assert len(visible("\u202e" * 80, limit=20)) == 20


@given(st.text(st.characters(), max_size=200))
def test_visible_text_is_one_line_without_invisible_characters(text: str) -> None:
    shown = visible(text, limit=100)

    assert len(shown) <= 100
    assert not any(unicodedata.category(character)[0] == "C" for character in shown)
    assert len(shown.splitlines()) <= 1


class BrokenStream:
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise AssertionError


def test_a_failing_sink_neither_raises_nor_writes_elsewhere_and_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    sink = LogSink(BrokenStream())
    logger.remove()
    logger.add(sink, format="{exception}", catch=False)

    for _ in range(3):
        logger.error("lost")

    assert sink.failures == 3
    assert capsys.readouterr() == ("", "")


def test_a_closed_standard_error_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logging(level="INFO", log_file=tmp_path / "x.log", secrets=())
    stream.close()

    logger.info("still here")

    assert "still here" in (tmp_path / "x.log").read_text(encoding="utf-8")


def test_a_process_without_standard_error_logs_into_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    set_up_logging(level="INFO", log_file=tmp_path / "x.log", secrets=())

    logger.info("still here")

    assert "still here" in (tmp_path / "x.log").read_text(encoding="utf-8")


def test_a_log_file_starts_anew_at_its_size_and_keeps_a_bounded_number(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    file = LogFile(path, most_bytes=100, kept=2)
    for number in range(100):
        file.write(f"line {number} ü\n")
    file.close()

    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x.log", "x.log.1", "x.log.2"]
    kept = "".join((tmp_path / name).read_text(encoding="utf-8") for name in ("x.log.2", "x.log.1", "x.log"))
    assert kept.splitlines() == [f"line {number} ü" for number in range(100)][-len(kept.splitlines()) :]
    assert all(entry.stat().st_size < 120 for entry in tmp_path.iterdir())


def test_a_rename_that_fails_costs_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.log"
    file = LogFile(path, most_bytes=100, kept=2)
    attempts = []

    def refuse(self: Path, target: Path) -> Path:
        attempts.append(target)
        raise PermissionError(32, "used by another process")

    monkeypatch.setattr(Path, "replace", refuse)
    for number in range(30):
        file.write(f"line {number:03d}\n")
    file.close()

    assert path.read_text(encoding="utf-8").splitlines() == [f"line {number:03d}" for number in range(30)]
    assert 1 < len(attempts) < 28


def test_libraries_speak_through_the_same_log_and_never_below_warning(log: LogReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    logging.getLogger()._cache.clear()  # type: ignore[attr-defined]
    logging.getLogger("websocket").error("error from callback: %s", KEY)
    logging.getLogger("urllib3.connectionpool").debug("GET %s", URL)
    logging.getLogger("anything").warning("odd\nline")

    lines = log.lines()
    assert [line.split("Z ", 1)[1] for line in lines] == [
        "ERROR    websocket: error from callback: [hidden]",
        r"WARNING  anything: odd\nline",
    ]


def test_setting_up_again_replaces_and_doubles_nothing(log: LogReader, tmp_path: Path) -> None:
    set_up_logging(level="INFO", log_file=tmp_path / "second.log", secrets=())
    logger.info("once")
    logging.getLogger("websocket").error("once")

    assert log.text() == ""
    assert len((tmp_path / "second.log").read_text(encoding="utf-8").splitlines()) == 2


def test_ctrl_c_inside_of_a_library_is_no_error_of_it(log: LogReader) -> None:
    pool = logging.getLogger("sqlalchemy.pool.impl.QueuePool")
    pool.error("Exception during reset or similar", exc_info=KeyboardInterrupt())
    pool.error("something else")

    assert [line.split("Z ", 1)[1] for line in log.lines()] == ["ERROR    sqlalchemy.pool.impl.QueuePool: something else"]


def test_counters_lose_nothing_between_threads() -> None:
    counters = Counters()

    def count() -> None:
        for _ in range(1000):
            counters.add("messages")
            counters.add("bytes", 3)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counters.snapshot() == {"messages": 4000, "bytes": 12_000}


@pytest.mark.parametrize(("log_file", "told"), [("x.log", "grave"), (None, "plain grave")])
def test_what_is_in_the_log_file_is_not_put_into_another_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_file: str | None, told: str
) -> None:
    with (tmp_path / "cron.log").open("w", encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        set_up_logging(level="INFO", log_file=None if log_file is None else tmp_path / log_file, secrets=())
        logger.info("plain")
        logger.warning("grave")
        logger.remove()

    lines = (tmp_path / "cron.log").read_text(encoding="utf-8").splitlines()
    assert " ".join(line.split()[-1] for line in lines) == told
    if log_file is not None:
        assert "plain" in (tmp_path / log_file).read_text(encoding="utf-8")
