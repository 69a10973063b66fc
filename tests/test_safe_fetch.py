"""Promises of the fetching of strangers' files: nothing inside our network is reached, and only a small file comes back."""

from __future__ import annotations

import gzip
import http.server
import os
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme
from strangers_site import HOST, PUBLIC, PUBLIC_V6, Site

from pumpwatch.bounded_http import LARGEST_BYTES, NotFetched, ServerTrouble
from pumpwatch.public_addresses import is_public
from pumpwatch.safe_fetch import SafeFetch

OK = b"HTTP/1.1 200 OK\r\n"

INSIDE = (
    *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "192.0.0.9", "192.88.99.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%1", "fc00::1", "fec0::1"),
    *("::ffff:10.0.0.1", "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::a00:1", "64:ff9b::808:808", "64:ff9b:1::1", "2002:a00:1::"),
    *("2001:0:a00:1::", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1"),
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def site(authority: trustme.CA) -> Iterator[Site]:
    site = Site(authority)
    yield site
    site.close()


# Where to


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_public_is_not_asked_also_beside_one_that_is(site: Site, address: str) -> None:
    assert not is_public(address)
    site.names = {HOST: [PUBLIC, address]}
    with pytest.raises(NotFetched, match="not a public one"):
        site.fetcher()(site.says("/", b"{}"))
    assert not site.dialled


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC_V6])
def test_a_public_address_is_asked(site: Site, address: str) -> None:
    site.names = {HOST: [address]}
    assert site.fetcher()(site.says("/", b"{}")) == b"{}"
    assert site.dialled == [(address, 443)]


def test_what_is_no_address_is_not_public() -> None:
    assert not is_public("makers.test")
    assert not is_public("")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "localhost", "10.0.0.1."],
)
def test_an_address_inside_is_seen_through_whatever_its_spelling(host: str) -> None:
    """With the system's own resolver."""
    dialled: list[str] = []

    def dial(address: str, *_: object) -> socket.socket:
        dialled.append(address)
        raise ConnectionRefusedError

    with pytest.raises(NotFetched):
        SafeFetch(dial=dial)(f"https://{host}/latest")
    assert not dialled


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/", "https://example.com:8443/", "https://example.com:80/", "file:///etc/passwd", "data:,x"),
        *("https:///x", "ftp://example.com/", "https://me:secret@example.com/", "https://secret@example.com/", "https://a:0/"),
        *("https://a:99999/", "https://exa mple.com/", "https://a/\r\nX: y", "https://exämple.com/", "//example.com/", ""),
        *("https://[::1", "https://[secret]/", "javascript:alert(1)"),
    ],
)
def test_only_https_on_its_port_is_asked_and_the_error_tells_nothing_of_the_url(site: Site, url: str) -> None:
    with pytest.raises(NotFetched) as raised:
        site.fetcher()(url)
    assert "secret" not in str(raised.value)
    assert not site.looked_up


@pytest.mark.parametrize("host", [".a", "a..b", "a" * 300, "*", "xn--a", "%00", "a_b"])
def test_a_host_that_is_none_is_an_answer_and_no_defect(host: str) -> None:
    with pytest.raises(NotFetched):
        SafeFetch(dial=lambda *_: pytest.fail("connected"))(f"https://{host}/")
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(NotFetched):
        SafeFetch(resolver=lambda *_: [PUBLIC], dial=lambda *_: ours, seconds=0.3)(f"https://{host}/")


def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([[PUBLIC], ["10.0.0.1"]])

    def resolve(host: str, _port: int) -> list[str]:
        site.looked_up.append(host)
        return next(answers)

    def dial(address: str, port: int, _seconds: float) -> socket.socket:
        site.dialled.append((address, port))
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: pytest.fail(f"looked up {host}"))
    with pytest.raises(NotFetched, match="cannot be reached"):
        site.fetcher(resolver=resolve, dial=dial)(f"https://{HOST}/")
    assert site.looked_up == [HOST]
    assert site.dialled == [(PUBLIC, 443)]


def test_the_connection_itself_asks_for_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is dialled is an address, for the system too."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: Any, *more: Any, **options: Any) -> Any:
        asked.append(str(host))
        return real(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(NotFetched):
            SafeFetch(simulated=True, resolver=lambda *_: ["127.0.0.1"], seconds=0.3)(f"https://localhost:{port}/")
    assert set(asked) <= {"127.0.0.1"}


def test_a_name_that_answers_differently_the_second_time_gains_nothing(site: Site) -> None:
    """DNS rebinding: the redirect looks the name up again, and its answer is checked again."""
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    url = site.says("/", b"", status=302, Location="/again")
    with pytest.raises(NotFetched, match="not a public one"):
        site.fetcher(resolver=lambda *_: next(answers))(url)
    assert site.dialled == [(PUBLIC, 443)]


def test_where_the_first_address_does_not_answer_the_second_may(site: Site) -> None:
    site.names = {HOST: ["2606:2800::1", PUBLIC, "93.184.215.15"]}
    assert site.fetcher()(site.says("/", b"{}")) == b"{}"
    assert site.dialled == [("2606:2800::1", 443), (PUBLIC, 443)]


@pytest.mark.parametrize(
    "target",
    [
        *("https://127.0.0.1/", "https://169.254.169.254/latest", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://0/"),
        *(
            "http://makers.test/",
            "https://makers.test:22/",
            "https://makers.test:8443/",
            "https://me:x@makers.test/",
            "//10.0.0.7/",
        ),
        *("https://internal.test/", "https://unknown.test/", "file:///etc/passwd", "data:application/json,{}", "https://["),
        *("https://]", "\x7f", "/ä", "https://a:b/", "https://.makers.test/"),
    ],
)
def test_a_redirect_is_looked_at_like_the_first_address(site: Site, target: str) -> None:
    site.names["internal.test"] = ["10.0.0.9"]
    with pytest.raises(NotFetched):
        site.fetcher()(site.says("/", b"", status=302, Location=target))
    assert site.dialled == [(PUBLIC, 443)]
    assert len(site.requests) == 1


def test_two_redirects_are_followed_and_no_third(site: Site) -> None:
    site.names[f"other.{HOST}"] = [PUBLIC_V6]
    site.says("/3", b"{}")
    site.says("/2", b"", status=307, Location="/3")
    site.says("/1", b"", status=302, Location=f"https://other.{HOST}/2")
    site.says("/0", b"", status=301, Location="/1")
    assert site.fetcher()(f"https://{HOST}/1") == b"{}"
    assert site.looked_up == [HOST, f"other.{HOST}", f"other.{HOST}"]
    with pytest.raises(NotFetched, match="more than twice"):
        site.fetcher()(f"https://{HOST}/0")
    assert len(site.requests) == 6


def test_a_gateway_may_send_us_on_to_itself_and_no_further(site: Site) -> None:
    site.names.update({f"x.{HOST}": [PUBLIC], "evil.test": [PUBLIC], f"evil{HOST}": [PUBLIC]})
    site.says("/file", b"{}")
    below = site.says("/below", b"", status=302, Location=f"https://x.{HOST}/file")
    assert site.fetcher()(below, within=(HOST,)) == b"{}"
    for elsewhere in ("https://evil.test/file", f"https://evil{HOST}/file"):
        with pytest.raises(NotFetched, match="another server"):
            site.fetcher()(site.says("/", b"", status=302, Location=elsewhere), within=(HOST,))
    assert "evil.test" not in site.looked_up


def test_a_certificate_that_is_not_to_be_trusted_ends_it(site: Site) -> None:
    with pytest.raises(ServerTrouble, match="certificate"):
        site.fetcher(context=None)(site.says("/", b"{}"))
    site.names["other.test"] = [PUBLIC]
    with pytest.raises(ServerTrouble, match="certificate"):
        site.fetcher()("https://other.test/")
    assert not site.requests


def test_nothing_is_sent_but_the_request(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    fetch = site.fetcher()
    url = site.says("/a?b=c", b'{"name": "x"}', Set_Cookie="id=1; Path=/", WWW_Authenticate="Basic")
    site.says("/", b"", status=302, Location="/a?b=c", Set_Cookie="id=2")
    assert fetch(url) == fetch(url) == fetch(f"https://{HOST}/") == b'{"name": "x"}'
    for request in site.requests:
        assert {name.lower() for name in request.headers} == {"host", "user-agent", "accept", "accept-encoding"}
        assert request.headers["Host"] == HOST
    assert set(site.dialled) == {(PUBLIC, 443)}, "no proxy"
    assert os.environ["HTTPS_PROXY"]


def test_simulated_data_ask_this_machine_alone_and_real_ones_never(site: Site) -> None:
    url = site.says("/", b"{}").replace(HOST, f"localhost:{site.port}")
    site.names["localhost"] = ["127.0.0.1"]
    assert site.fetcher(simulated=True)(url) == b"{}"
    with pytest.raises(NotFetched, match="on this machine"):
        site.fetcher(simulated=True)(f"https://{HOST}/")
    with pytest.raises(NotFetched, match="443"):
        site.fetcher()(url)
    site.names["localhost"] = ["127.0.0.1", PUBLIC]
    with pytest.raises(NotFetched, match="address"):
        site.fetcher(simulated=True)(url)
    assert len(site.requests) == 1


# How much


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_is_packed_is_unpacked_up_to_the_bound(site: Site, encoding: str) -> None:
    pack: Callable[[bytes], bytes] = gzip.compress if encoding == "gzip" else zlib.compress
    fits = b" " * LARGEST_BYTES
    fetch = site.fetcher()
    assert fetch(site.says("/fits", pack(fits), Content_Encoding=encoding)) == fits
    for bomb in (fits + b" ", b" " * 100_000_000):
        with pytest.raises(NotFetched, match="larger than 64 KiB"):
            fetch(site.says("/bomb", pack(bomb), Content_Encoding=encoding))
    with pytest.raises(NotFetched, match="cut short"):
        fetch(site.says("/cut", pack(fits)[:-9], Content_Encoding=encoding))
    with pytest.raises(NotFetched, match="HTTP as it should"):
        fetch(site.says("/wrong", b"not packed", Content_Encoding=encoding))


def test_a_bomb_is_not_even_unpacked_for_a_moment(site: Site) -> None:
    url = site.says("/bomb", gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")
    fetch = site.fetcher(seconds=20.0)
    tracemalloc.start()
    try:
        with pytest.raises(NotFetched, match="larger"):
            fetch(url)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_what_is_packed_otherwise_or_more_than_once_is_not_unpacked(site: Site) -> None:
    twice = gzip.compress(gzip.compress(b"{}"))
    for encoding in ("br", "gzip, gzip", "zstd"):
        with pytest.raises(NotFetched, match="not asked for"):
            site.fetcher()(site.says("/", twice, Content_Encoding=encoding))


def test_the_bound_holds_without_packing(site: Site) -> None:
    fits = b" " * LARGEST_BYTES
    assert site.fetcher()(site.says("/fits", fits)) == fits
    with pytest.raises(NotFetched, match="larger"):
        site.fetcher()(site.says("/more", fits + b" "))


def endless(*, head: bytes, piece: bytes) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        while True:
            handler.wfile.write(piece)

    return answer


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = OK + b"Content-Encoding: gzip\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "piece", "told"),
    [
        (CHUNKED, b"400\r\n" + b"x" * 1024 + b"\r\n", "larger"),
        (OK + b"\r\n", b"x" * 1024, "larger"),
        (PACKED + gzip.compress(b"")[:10], b"\x00\x00\x00\xff\xff" * 200, "larger"),
        (OK, b"X: " + b"y" * 1000 + b"\r\n", "HTTP as it should"),
        (b"", b"y" * 1000, "HTTP as it should"),
    ],
    ids=["chunked", "until the end", "packed nothing", "headers", "status line"],
)
def test_what_has_no_end_is_cut_off(site: Site, head: bytes, piece: bytes, told: str) -> None:
    site.answers["/"] = endless(head=head, piece=piece)
    with pytest.raises(NotFetched, match=told):
        site.fetcher(seconds=20.0)(f"https://{HOST}/")


def test_what_follows_the_end_of_what_is_packed_is_not_read(site: Site) -> None:
    site.answers["/"] = endless(head=PACKED + gzip.compress(b"{}"), piece=b"x" * 1000)
    assert site.fetcher(seconds=20.0)(f"https://{HOST}/") == b"{}"


@pytest.mark.parametrize(
    "pieces",
    [
        (OK, b"Content-Length: 10\r\n\r\n", b"{}"),
        (CHUNKED, b"5\r\n{}"),
        (CHUNKED, b"2\r\n{}\r\nno number\r\n"),
        (CHUNKED, b"-2\r\n{}"),
        (b"HTTP/1.1 99999999999 OK\r\n\r\n",),
        (b"\r\n\r\n",),
        (b"SSH-2.0-OpenSSH\r\n",),
        (),
    ],
    ids=lambda pieces: repr(b"".join(pieces)[-20:]),
)
def test_what_is_cut_short_or_no_http_is_an_answer_and_no_defect(site: Site, pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(NotFetched):
        site.fetcher()(site.sends("/", *pieces))


@pytest.mark.parametrize("status", [204, 304, 401, 404, 410, 500, 504])
def test_other_answers_are_told_by_their_number(site: Site, status: int) -> None:
    with pytest.raises(NotFetched, match=f"^HTTP {status}$") as raised:
        site.fetcher()(site.says("/", b"", status=status))
    assert not isinstance(raised.value, ServerTrouble)


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_server_that_has_too_much_of_us_is_told_apart(site: Site, status: int) -> None:
    with pytest.raises(ServerTrouble, match=f"HTTP {status}") as raised:
        site.fetcher()(site.says("/", b"", status=status, Retry_After="77"))
    assert raised.value.asked_seconds == 77


# How long


@pytest.mark.parametrize("head", [b"", OK + b"Content-Length: 1000\r\n\r\n", OK + b"\r\n", PACKED, CHUNKED])
def test_a_slow_drip_is_cut_off_in_time(site: Site, head: bytes) -> None:
    def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        while True:
            handler.wfile.write(b"\x1f" if head == PACKED else b"1")
            time.sleep(0.05)

    site.answers["/"] = drip
    began = time.monotonic()
    with pytest.raises(NotFetched):
        site.fetcher(seconds=0.6)(f"https://{HOST}/")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("head", [b"", OK, OK + b"\r\n{}"], ids=["nothing", "half a head", "half a body"])
def test_silence_is_cut_off_in_time_and_is_not_taken_for_an_end(site: Site, head: bytes) -> None:
    ends = threading.Event()

    def hang(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        ends.wait(30)

    site.answers["/"] = hang
    began = time.monotonic()
    with pytest.raises(NotFetched, match="in time"):
        site.fetcher(seconds=0.6)(f"https://{HOST}/")
    assert time.monotonic() - began < 5
    ends.set()


def test_a_server_that_says_nothing_to_the_handshake_is_cut_off_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fetch = SafeFetch(
            resolver=lambda *_: [PUBLIC],
            dial=lambda _, __, seconds: socket.create_connection(listener.getsockname(), seconds),
            seconds=0.4,
        )
        with pytest.raises(NotFetched, match="in time"):
            fetch(f"https://{HOST}/")


def test_redirects_share_the_time(site: Site) -> None:
    def slow(handler: http.server.BaseHTTPRequestHandler) -> None:
        time.sleep(0.5)
        handler.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: /then\r\nContent-Length: 0\r\n\r\n")

    site.answers.update({"/": slow, "/then": slow})
    with pytest.raises(NotFetched, match="in time"):
        site.fetcher(seconds=0.8)(f"https://{HOST}/")


def test_a_look_up_that_hangs_is_left_behind() -> None:
    ends = threading.Event()
    with pytest.raises(NotFetched, match="in time"):
        SafeFetch(resolver=lambda *_: [str(ends.wait(30))], seconds=0.2)("https://example.test/")
    ends.set()


def test_a_stop_ends_what_is_under_way(site: Site) -> None:
    ends = threading.Event()

    def hang(_: http.server.BaseHTTPRequestHandler) -> None:
        ends.wait(30)

    site.answers["/"] = hang
    fetch = site.fetcher(seconds=30.0)
    threading.Timer(0.3, fetch.stop).start()
    began = time.monotonic()
    with pytest.raises(NotFetched):
        fetch(f"https://{HOST}/")
    with pytest.raises(NotFetched):
        fetch(f"https://{HOST}/")
    assert time.monotonic() - began < 5
    ends.set()


def test_no_thread_is_left_behind(site: Site) -> None:
    before = set(threading.enumerate())
    assert site.fetcher()(site.says("/", b"{}")) == b"{}"
    for status in (404, 302):
        with pytest.raises(NotFetched):
            site.fetcher()(site.says("/", b"", status=status, Location="https://127.0.0.1/"))
    left = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("metadata")]
    for thread in left:
        thread.join(5)
        assert not thread.is_alive()
