"""Who gets an answer from the web page, over real sockets: what a stranger's page in this browser could try is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import flask
import pytest
from page_server import ACTION_TOKEN, Served, served

from pumpwatch.config import DashboardSettings
from pumpwatch.dashboard.guard import COOKIE, Guard
from pumpwatch.dashboard.problems import Problem

TOKEN = "a-token-that-nobody-would-guess"
MINT = "So11111111111111111111111111111111111111112"
PIN = f'{{"mint": "{MINT}", "action": "pin"}}'.encode()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "no.db") as found:
        yield found


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "no.db", token=TOKEN) as found:
        yield found


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "[::1]:{port}", "[::1]"])
def test_its_own_names_are_answered(page: Served, host: str) -> None:
    assert page.ask("/api/welcome", headers={"Host": host.format(port=page.port)}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example:{port}", "evil@127.0.0.1"),
        *("127.0.0.1:{port}@evil.example", "[::2]", "0.0.0.0", "127.1", "2130706433", "", "127.0.0.1 evil", "127.0.0.1:x"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/tokens", "/api/live", "/static/base.css", "/login", "/nothing"])
def test_any_other_name_is_refused_before_anything_is_said(page: Served, host: str, path: str) -> None:
    got = page.ask(path, headers={"Host": host.format(port=page.port)})

    assert got.status in (400, 403)
    assert ACTION_TOKEN.encode() not in got.body


def test_a_request_without_a_name_or_with_two_is_refused(page: Served) -> None:
    assert page.raw(b"GET / HTTP/1.1\r\n\r\n").split(b" ")[1] in (b"400", b"403")
    assert page.raw(b"GET / HTTP/1.0\r\n\r\n").split(b" ")[1] in (b"400", b"403")
    two = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert page.raw(two).split(b" ")[1] in (b"400", b"403")


def test_configured_names_are_answered(tmp_path: Path) -> None:
    with served(tmp_path / "no.db", hosts=("pump.home.arpa",)) as page:
        assert page.ask("/", headers={"Host": "pump.home.arpa"}).status == 200
        assert page.ask("/", headers={"Host": "other.home.arpa"}).status == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "POST"])
def test_nothing_but_reading_is_understood(page: Served, method: str) -> None:
    got = page.ask("/api/tokens", method=method, headers=page.own)

    assert got.status == 405
    assert "access-control-allow-origin" not in got.headers


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example:{port}"}, 403),
        ({"Origin": "file://127.0.0.1:{port}"}, 403),
        ({"X-Pumpwatch-Action": "wrong"}, 403),
        ({"X-Pumpwatch-Action": ""}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_only_our_own_page_of_this_run_may_pin(page: Served, change: dict[str, str], status: int) -> None:
    changed = {name: value.format(port=page.port) for name, value in change.items()}

    assert page.ask("/api/watch", method="POST", headers={**page.own, **changed}, body=PIN).status == status


@pytest.mark.parametrize("missing", ["Origin", "X-Pumpwatch-Action"])
def test_what_our_page_sends_is_needed(page: Served, missing: str) -> None:
    headers = {name: value for name, value in page.own.items() if name != missing}

    assert page.ask("/api/watch", method="POST", headers=headers, body=PIN).status == 403


def test_our_own_page_gets_through_to_where_there_is_no_worker(page: Served) -> None:
    got = page.ask("/api/watch", method="POST", headers=page.own, body=PIN)

    assert (got.status, got.error) == (503, "no_worker")


def test_every_answer_tells_the_browser_to_do_no_more_than_we_mean(page: Served) -> None:
    for path in ("/", "/api/welcome", "/api/tokens", "/static/base.css", "/nothing", "/login"):
        headers = page.ask(path).headers

        policy = headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == ("same-origin" if path == "/login" else "no-referrer")
        assert not any(name.startswith("access-control") for name in headers)
        assert "server" not in headers


def test_with_a_token_nothing_is_told_without_it(locked: Served) -> None:
    for path in ("/api/tokens", "/api/live", "/api/openapi.json", "/api/welcome"):
        assert (locked.ask(path).status, locked.ask(path).error) == (401, "login_needed")
    for path in ("/", "/system", f"/token/{MINT}", "/static/core/api.js"):
        got = locked.ask(path)
        assert (got.status, got.headers["location"]) == (303, "/login")
        assert ACTION_TOKEN.encode() not in got.body
    assert ACTION_TOKEN.encode() not in locked.ask("/login").body


def test_the_token_opens_by_login_and_by_bearer(locked: Served) -> None:
    form = {"Origin": f"http://{locked.host}", "Content-Type": "application/x-www-form-urlencoded"}

    entered = locked.ask("/login", method="POST", headers=form, body=f"token={TOKEN}".encode())

    assert (entered.status, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Path=/" in cookie
    assert locked.ask("/", headers={"Cookie": cookie.partition(";")[0]}).status == 200
    assert locked.ask("/api/welcome", headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
    assert locked.ask("/api/welcome", headers={"Cookie": f"{COOKIE}={TOKEN}x"}).status == 401
    assert locked.ask("/api/welcome", headers={"Authorization": "Bearer " + "x" * 30}).status == 401
    assert locked.ask("/api/welcome", headers={"Authorization": f"Basic {TOKEN}"}).status == 401


def test_behind_tls_the_cookie_is_for_tls_alone(locked: Served) -> None:
    form = {"Origin": f"https://{locked.host}", "Content-Type": "application/x-www-form-urlencoded"}

    assert "Secure" in locked.ask("/login", method="POST", headers=form, body=f"token={TOKEN}".encode()).headers["set-cookie"]


def test_a_login_from_another_page_is_refused(locked: Served) -> None:
    form = {"Origin": "http://evil.example", "Content-Type": "application/x-www-form-urlencoded"}

    assert locked.ask("/login", method="POST", headers=form, body=f"token={TOKEN}".encode()).status == 403


def test_a_wrong_token_is_told_without_repeating_it(locked: Served) -> None:
    form = {"Origin": f"http://{locked.host}", "Content-Type": "application/x-www-form-urlencoded"}

    got = locked.ask("/login", method="POST", headers=form, body=b"token=<script>alert(1)</script>")

    assert got.status == 403
    assert b"This is not the token" in got.body
    assert b"<script>alert" not in got.body


def test_guessing_ends_after_a_few_and_begins_again_after_a_minute() -> None:
    now = [0.0]
    guard = Guard(DashboardSettings(token=TOKEN), action_token="a", clock=lambda: now[0])
    for _ in range(10):
        assert not guard.admit("wrong")

    with pytest.raises(Problem) as refused:
        guard.admit(TOKEN)
    assert refused.value.status == 429
    now[0] = 61.0
    assert guard.admit(TOKEN)


@pytest.mark.parametrize(
    "path",
    [
        *("/static/../guard.py", "/static/%2e%2e/guard.py", "/static/..%2fguard.py", "/static//etc/passwd", "/static/%00"),
        *("/vendor/plotly-../x.js", "/vendor/plotly-1.js", "/token/<script>", "/token/%0d%0aX:y", "/wallet/" + "1" * 300),
        *("//evil.example/", "/\\evil.example", "/api/tokens/%ff%fe", "/api/tokens?limit=%00", "/api/tokens?limit=1&limit=2"),
    ],
)
def test_odd_paths_end_as_what_they_are(page: Served, path: str) -> None:
    got = page.ask(path)

    assert got.status in (400, 404, 308)
    assert b"Traceback" not in got.body
    assert "x" not in got.headers


def test_too_much_is_refused(page: Served) -> None:
    assert page.ask("/api/watch", method="POST", headers=page.own, body=b"x" * 100_000).status == 413
    assert page.raw(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 50_000 + b"\r\n\r\n").split(b" ")[1] in (b"400", b"431")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"mint": 1, "action": "pin"}', b'{"mint": "x", "action": "pin"}', b'{"mint": "x"}', b"\xff"]
)
def test_a_bad_body_is_a_bad_request(page: Served, body: bytes) -> None:
    got = page.ask("/api/watch", method="POST", headers=page.own, body=body)

    assert (got.status, got.error) == (400, "bad_argument")


def test_errors_of_ours_are_told_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> flask.Response:
        raise RuntimeError("secret-in-an-error")

    monkeypatch.setattr("pumpwatch.dashboard.api_system.welcome", broken)
    with served(tmp_path / "no.db") as page:
        got = page.ask("/api/welcome")

    assert (got.status, got.error) == (500, "defect")
    assert b"secret" not in got.body
