"""The log file: private, rotating, and as JSON for programs."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from secret_spellings import spellings

from pumpwatch import telemetry
from pumpwatch.log_files import LogFile
from pumpwatch.redaction import Redactor
from pumpwatch.telemetry import set_up_logging

KEY = "s3cr3t/key+with=odd"

posix = pytest.mark.skipif(os.name == "nt", reason="files have no modes there")


@pytest.fixture(autouse=True)
def _leave_no_logging_behind() -> Iterator[None]:
    yield
    logger.remove()
    telemetry._redactor = Redactor()
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, telemetry._StandardLogging)]


@pytest.fixture
def records(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    path = tmp_path / "x.log"
    set_up_logging(level="DEBUG", log_file=path, secrets=(KEY,), as_json=True)
    return lambda: [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_each_line_is_one_object_of_a_fixed_shape(records: Callable[[], list[dict[str, Any]]]) -> None:
    logger.info("{}: connected", "helius")

    [record] = records()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["time"])
    assert re.fullmatch(r"(\w+\.)*test_log_files:\d+", record["where"])
    assert {**record, "time": "", "where": ""} == {
        "time": "",
        "level": "INFO",
        "thread": "MainThread",
        "where": "",
        "message": "helius: connected",
    }


def test_an_exception_is_a_list_of_lines_without_variables_and_secrets(records: Callable[[], list[dict[str, Any]]]) -> None:
    def connect(secret_local: str, balance: int) -> None:
        raise OSError(secret_local, balance // 10**9)

    try:
        connect(KEY, int("123456789" + "0123"))
    except OSError as error:
        logger.opt(exception=error).error("failed with {}", KEY)

    [record] = records()
    assert record["message"] == "failed with [hidden]"
    assert record["exception"][0] == "Traceback (most recent call last):"
    assert record["exception"][-1] == "OSError: [Errno [hidden]] 1234"
    text = json.dumps(record)
    assert not [spelled for spelled in spellings(KEY) if spelled in text]
    assert "1234567890123" not in text


def test_hostile_text_stays_in_its_line_and_shows_itself(records: Callable[[], list[dict[str, Any]]], tmp_path: Path) -> None:
    logger.info("symbol {}", 'x"\n{"level":"CRITICAL"}\u2028\x9b2J\u202e\x1b[2J{}')

    [record] = records()
    assert record["message"] == r'symbol x"\n{"level":"CRITICAL"}\u2028\x9b2J\u202e\x1b[2J{}'
    assert (tmp_path / "x.log").read_bytes().isascii()


def test_a_librarys_record_names_the_library(records: Callable[[], list[dict[str, Any]]]) -> None:
    logging.getLogger("websocket").error("odd %s", KEY)

    [record] = records()
    assert record["where"].startswith("websocket:")
    assert record["message"] == "websocket: odd [hidden]"


def test_people_get_text_on_the_console_whatever_the_file_has(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    set_up_logging(level="INFO", log_file=tmp_path / "x.log", secrets=(), as_json=True)
    logger.info("connected")

    assert re.fullmatch(r"\S+ \S+Z INFO     connected\n", capsys.readouterr().err)


@posix
def test_a_log_file_is_its_users_alone_after_each_rotation_too(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        file = LogFile(tmp_path / "x.log", kept=2, most_bytes=50)
        for number in range(20):
            file.write(f"line {number}\n")
        file.close()
    finally:
        os.umask(before)

    assert {stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 3


@posix
def test_the_mode_of_a_file_that_is_there_is_its_owners_choice(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.touch(mode=0o640)
    path.chmod(0o640)
    file = LogFile(path, kept=2)
    file.write("x\n")
    file.close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_as_many_old_files_are_kept_as_the_settings_say(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "x.log", kept=12, most_bytes=10)
    for number in range(100):
        file.write(f"line {number}\n")
    file.close()

    assert len(list(tmp_path.iterdir())) == 13
