"""``pumpwatch dashboard`` as a process: how it starts, what it never tells, how it ends."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cli_samples import Record
from secret_spellings import spellings

SECRETS = {
    "PUMPPORTAL_API_KEY": "pumpportal-key-0123456789",
    "HELIUS_API_KEY": "helius-key-0123456789abcdef",
    "SENTRY_DSN": "https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/2",
    "PUMPWATCH_ALERTS_URLS": "discord://123456789012345678/alert-token-0123456789",
    "PUMPWATCH_DASHBOARD_TOKEN": "dashboard-token-0123456789",
}
MINT = "So11111111111111111111111111111111111111112"


def environ(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUMPWATCH_") and name not in SECRETS}
    return {**kept, "PUMPWATCH_PUMPWATCH_DATABASE": str(folder / "market.db"), **more}


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "pumpwatch", "dashboard", *options]


@contextmanager
def running(folder: Path, *options: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        command("--port", "0", *options),
        cwd=folder,
        env=environ(folder, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            assert process.stdout is not None
            yield process, urlsplit(process.stdout.readline().strip()).netloc
        finally:
            if process.poll() is None:
                process.kill()


def ask(place: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(place, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, str(answer.getheaders()).encode() + answer.read()
    finally:
        connection.close()


def test_it_serves_before_there_is_a_record_and_makes_none(tmp_path: Path) -> None:
    with running(tmp_path) as (_, place):
        assert ask(place, "/")[0] == 200
        status, body = ask(place, "/api/tokens")
        assert status == 503
        assert b"no_database" in body
        assert b'"is_ready":false' in ask(place, "/api/welcome")[1]

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals to another process are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_whatever_streams_are_open(record: Record, tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, PUMPWATCH_PUMPWATCH_DATABASE=str(record.database)) as (process, place):
        streams = [http.client.HTTPConnection(place, timeout=10) for _ in range(5)]
        for stream in streams:
            stream.request("GET", "/api/live?board=1")
            assert stream.getresponse().status == 200
        began = time.monotonic()
        process.send_signal(number)
        out, said = process.communicate(timeout=10)
        for stream in streams:
            stream.close()

    assert process.returncode == 0
    assert time.monotonic() - began < 5
    assert out == ""
    assert "Traceback" not in said
    assert "ERROR" not in said


def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            command("--port", str(port)), cwd=tmp_path, env=environ(tmp_path), capture_output=True, text=True, check=False
        )

    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert f"127.0.0.1:{port} cannot be listened on" in line
    assert "give another --port" in line


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "example.com"])
def test_others_need_a_token(tmp_path: Path, host: str) -> None:
    ended = subprocess.run(
        command("--host", host, "--port", "0"), cwd=tmp_path, env=environ(tmp_path), capture_output=True, text=True, check=False
    )

    assert ended.returncode == 4
    [line] = ended.stderr.splitlines()
    assert "PUMPWATCH_DASHBOARD_TOKEN" in line


@pytest.mark.parametrize(
    ("token", "said"), [("tooshort0", "shorter than 20 characters"), ("with a blank in it somewhere", "blanks or characters")]
)
def test_a_bad_token_is_refused_without_showing_it(tmp_path: Path, token: str, said: str) -> None:
    ended = subprocess.run(
        command(),
        cwd=tmp_path,
        env=environ(tmp_path, PUMPWATCH_DASHBOARD_TOKEN=token),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 4
    assert said in ended.stderr
    assert token not in ended.stderr


def test_a_token_in_the_settings_file_is_refused(tmp_path: Path) -> None:
    token = SECRETS["PUMPWATCH_DASHBOARD_TOKEN"]
    (tmp_path / "pumpwatch.ini").write_text(f"[dashboard]\ntoken = {token}\n", encoding="utf-8")

    ended = subprocess.run(command(), cwd=tmp_path, env=environ(tmp_path), capture_output=True, text=True, check=False)

    assert ended.returncode == 4
    assert "put it into .env" in ended.stderr
    assert token not in ended.stderr


@pytest.mark.parametrize("package", ["flask", "waitress", "plotly"])
def test_without_its_packages_it_says_what_to_install(tmp_path: Path, package: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n", encoding="utf-8")

    ended = subprocess.run(
        command(),
        cwd=tmp_path,
        env={**environ(tmp_path), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith('pip install "pumpwatch[web]"')


def test_no_secret_is_on_any_page(record: Record, tmp_path: Path) -> None:
    mint = record.mints[0]
    token = {"Authorization": f"Bearer {SECRETS['PUMPWATCH_DASHBOARD_TOKEN']}"}
    with running(tmp_path, **SECRETS, PUMPWATCH_PUMPWATCH_DATABASE=str(record.database)) as (process, place):
        told = [
            ask(place, path, token)
            for path in (
                *("/", "/system", f"/token/{mint}", f"/wallet/{MINT}", "/login", "/nothing", "/api/openapi.json"),
                *("/api/tokens", f"/api/tokens/{mint}", f"/api/tokens/{mint}/proof", "/api/system", "/api/welcome"),
                *(
                    "/api/changes?system=1&board=1",
                    "/api/tokens?limit=no",
                    f"/api/wallets/{MINT}",
                    f"/api/wallets/{record.wallet}",
                ),
            )
        ]
        process.terminate()
        out, said = process.communicate(timeout=10)

    assert {status for status, _ in told} == {200, 400, 404}
    everything = b"".join(body for _, body in told) + out.encode() + said.encode()
    for secret in SECRETS.values():
        for spelling in spellings(secret):
            assert spelling.encode() not in everything
