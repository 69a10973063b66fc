"""Promises of the fetching of strangers' files: nothing inside our network is reached, and only small texts come back."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import socket
import sqlite3
import ssl
import threading
import time
import zlib
from base64 import b32encode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from storage_samples import MINT, WALLET, delivery

from pumpwatch.config_endpoint import Endpoint
from pumpwatch.config_model import MetadataSettings
from pumpwatch.events import Event, MetadataFetched, SpellStarted, TokenCreated
from pumpwatch.metadata import Metadata
from pumpwatch.metadata_uri import OnIpfs, is_cid, on_ipfs, read_texts
from pumpwatch.safe_fetch import LARGEST_BYTES, NotFetched, SafeFetch, is_public
from pumpwatch.storage.offchain import metadata_of
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.store import Store

#: The empty folder of IPFS, and a real file of a token.
V0 = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
V1 = "b" + b32encode(b"\x01\x55\x12\x20" + hashlib.sha256(b"file").digest()).decode().lower().rstrip("=")

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Site:
    """A server of this machine, with TLS, that answers as it is told to."""

    def __init__(self, context: ssl.SSLContext) -> None:
        site = self
        self.answers: dict[str, Answer] = {}
        self.requests: list[http.server.BaseHTTPRequestHandler] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append(self)
                site.answers[self.path](self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that hangs up is what is tested

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def says(self, path: str, body: bytes, *, status: int = 200, **headers: str) -> str:
        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer
        return self.url + path


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def site(authority: trustme.CA) -> Iterator[Site]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    site = Site(context)
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def fetch(trusting: ssl.SSLContext) -> SafeFetch:
    return SafeFetch(may_use_loopback=True, context=trusting, seconds=2.0)


# What a uri names


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        (f"ipfs://{V0}", OnIpfs(V0, "")),
        (f"ipfs://ipfs/{V0}/1.json", OnIpfs(V0, "/1.json")),
        (f"https://ipfs.io/ipfs/{V0}", OnIpfs(V0, "")),
        (f"http://10.0.0.1:8080/ipfs/{V1}/a%20b.json?x=1#y", OnIpfs(V1, "/a%20b.json")),
        (f"https://{V1}.ipfs.dweb.link/meta", OnIpfs(V1, "/meta")),
        (f"  https://cf-ipfs.com/ipfs/{V0}  ", OnIpfs(V0, "")),
        (f"https://ipfs.io/ipfs/{V0}/../../etc", None),
        (f"https://ipfs.io/ipfs/{V0}/%2e%2e/x", None),
        (f"https://ipfs.io/ipfs/{V0}/a%2fb", None),
        (f"https://ipfs.io/ipfs/{V0}/a%0d%0aHost:x", None),
        (f"https://ipfs.io/ipfs/{V0[:-1]}", None),
        (f"ftp://ipfs.io/ipfs/{V0}", None),
        ("https://example.com/meta.json", None),
        ("data:application/json,{}", None),
        ("https://[", None),
        ("ipfs://", None),
        ("", None),
        ("https://ipfs.io/ipfs", None),
        ("x" * 100_000, None),
    ],
)
def test_the_content_is_taken_out_of_any_uri_and_nothing_else(uri: str, found: OnIpfs | None) -> None:
    assert on_ipfs(uri) == found


def test_a_cid_is_a_sha256_hash_and_not_only_looks_like_one() -> None:
    assert is_cid(V0)
    assert is_cid(V1)
    assert not is_cid("Qm" + "z" * 44)
    assert not is_cid(V0.replace("U", "0"))
    assert not is_cid("b" + b32encode(b"\x01\x55\x13\x20" + b"x" * 32).decode().lower().rstrip("="))
    assert not is_cid("b" + b32encode(b"\x02\x55\x12\x20" + b"x" * 32).decode().lower().rstrip("="))


@given(st.text() | st.text("ipfs:/.%b2Qm").map(lambda text: f"https://a/ipfs/{V0}/{text}"))
def test_no_uri_makes_a_path_that_leads_elsewhere(uri: str) -> None:
    found = on_ipfs(uri)
    if found is not None:
        assert is_cid(found.cid)
        assert found.path == "" or found.path.startswith("/")
        assert "/.." not in found.path
        assert found.path.isascii()
        assert not set(found.path) & set(" \r\n?#\\")


# What may be asked


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1"),
        *("255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8"),
        *("64:ff9b::a00:1", "64:ff9b::808:808", "2002:a00:1::", "2001:0:a00:1::", "ff02::1", "2001:db8::1", "240.0.0.1", "name"),
    ],
)
def test_an_address_that_is_not_public_is_not_asked(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(NotFetched, match="not a public one"):
        SafeFetch(resolver=lambda *_: ["93.184.215.14", address])("https://example.test/x")


def test_a_public_address_may_be_asked() -> None:
    assert is_public("93.184.215.14")
    assert is_public("2606:2800:21f:cb07:6820:80da:af6b:8b2c")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.com/",
            "https://example.com:8443/",
            "file:///etc/passwd",
            "data:,x",
            "https:///x",
            "ftp://example.com/",
        ),
        *("https://me:secret@example.com/", "https://example.com:0/", "https://exa mple.com/", "https://example.com/\r\nX: y"),
        *("https://exämple.com/", "//example.com/", "", "https://[::1"),
    ],
)
def test_only_https_on_its_port_is_asked_and_the_error_tells_nothing_of_the_url(url: str) -> None:
    with pytest.raises(NotFetched) as raised:
        SafeFetch(resolver=lambda *_: pytest.fail("asked for its address"))(url)
    assert "secret" not in str(raised.value)


def test_loopback_is_not_asked_unless_the_data_are_simulated(site: Site, trusting: ssl.SSLContext) -> None:
    url = site.says("/", b"{}")
    with pytest.raises(NotFetched):
        SafeFetch(context=trusting)(url)
    with pytest.raises(NotFetched, match="not a public one"):
        SafeFetch(context=trusting, https_port=site.port)(url)
    assert not site.requests


def test_what_is_there_is_fetched_with_nothing_but_the_request(site: Site, fetch: SafeFetch) -> None:
    url = site.says("/a?b=c", b'{"name": "x"}', Set_Cookie="id=1")
    assert fetch(url) == b'{"name": "x"}'
    assert fetch(url) == b'{"name": "x"}'
    sent = {name.lower() for name in site.requests[-1].headers}
    assert sent == {"host", "user-agent", "accept", "accept-encoding"}
    assert site.requests[0].headers["Host"] == f"localhost:{site.port}"


def test_a_name_is_looked_up_once_and_the_checked_address_is_used(
    site: Site, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = site.says("/", b"{}")
    asked: list[str] = []
    addresses = iter([["127.0.0.1"], ["10.0.0.1"]])
    real = socket.getaddrinfo

    def look_up(host: Any, *more: Any, **options: Any) -> Any:
        asked.append(str(host))
        return real(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    fetch = SafeFetch(may_use_loopback=True, context=trusting, resolver=lambda *_: next(addresses))
    assert fetch(url) == b"{}"
    assert set(asked) == {"127.0.0.1"}, "connecting asks for the address, not for the name again"


@pytest.mark.parametrize(
    "target",
    [
        *(
            "https://127.0.0.1/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "http://example.com/",
        ),
        *("https://10.0.0.7/", "https://internal.test/", "https://example.com:22/", "file:///etc/passwd", "data:,x", ""),
    ],
)
def test_a_redirect_is_looked_at_like_the_first_address(site: Site, trusting: ssl.SSLContext, target: str) -> None:
    url = site.says("/", b"", status=302, Location=target)
    inside = {"internal.test": ["10.0.0.9"], "127.0.0.1": ["127.0.0.1"]}
    fetch = SafeFetch(
        may_use_loopback=True,
        context=trusting,
        seconds=2.0,
        resolver=lambda host, _: ["127.0.0.1"] if host == "localhost" else inside.get(host, [host]),
    )
    with pytest.raises(NotFetched):
        fetch(url)
    assert len(site.requests) <= 3


def test_two_redirects_are_followed_and_no_third(site: Site, fetch: SafeFetch) -> None:
    site.says("/3", b"{}")
    site.says("/2", b"", status=307, Location="/3")
    site.says("/1", b"", status=302, Location=f"{site.url}/2")
    site.says("/0", b"", status=301, Location="/1")
    assert fetch(f"{site.url}/1") == b"{}"
    with pytest.raises(NotFetched, match="more than twice"):
        fetch(f"{site.url}/0")


def test_a_certificate_that_is_not_to_be_trusted_ends_it(site: Site) -> None:
    with pytest.raises(NotFetched, match="certificate"):
        SafeFetch(may_use_loopback=True)(site.says("/", b"{}"))
    assert not site.requests


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_what_is_packed_is_unpacked_up_to_the_bound(site: Site, fetch: SafeFetch, pack: Callable[[bytes], bytes]) -> None:
    encoding = "gzip" if pack is gzip.compress else "deflate"
    fits = b" " * LARGEST_BYTES
    assert fetch(site.says("/fits", pack(fits), Content_Encoding=encoding)) == fits
    with pytest.raises(NotFetched, match="larger than 64 KiB"):
        fetch(site.says("/bomb", pack(b" " * 50_000_000), Content_Encoding=encoding))
    with pytest.raises(NotFetched, match="cut short"):
        fetch(site.says("/cut", pack(fits)[:-9], Content_Encoding=encoding))
    with pytest.raises(NotFetched, match="not asked for"):
        fetch(site.says("/br", b"x", Content_Encoding="br"))


def test_what_has_no_end_is_cut_off(site: Site, fetch: SafeFetch) -> None:
    def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:
            handler.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")

    site.answers["/"] = endless
    with pytest.raises(NotFetched, match="larger"):
        fetch(f"{site.url}/")


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_slow_drip_is_cut_off_in_time(site: Site, trusting: ssl.SSLContext, where: str) -> None:
    def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
        if where == "body":
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
        while True:
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)

    site.answers["/"] = drip
    began = time.monotonic()
    with pytest.raises(NotFetched, match="in time"):
        SafeFetch(may_use_loopback=True, context=trusting, seconds=0.6)(f"{site.url}/")
    assert time.monotonic() - began < 10


def test_a_look_up_that_hangs_is_left_behind() -> None:
    ends = threading.Event()
    with pytest.raises(NotFetched, match="in time"):
        SafeFetch(resolver=lambda *_: [str(ends.wait(30))], seconds=0.2)("https://example.test/")
    ends.set()


@pytest.mark.parametrize("status", [204, 304, 401, 404, 500])
def test_other_answers_are_told_by_their_number(site: Site, fetch: SafeFetch, status: int) -> None:
    with pytest.raises(NotFetched, match=f"HTTP {status}"):
        fetch(site.says("/", b"", status=status))


# What a file says


def test_texts_are_bounded_and_everything_else_is_left_out() -> None:
    content = json.dumps({"name": "A\x00\ud800" + "b" * 9000, "symbol": 7, "description": None, "twitter": ["x"], "image": "i"})
    found = read_texts(content.encode())
    assert found is not None
    assert found.name is not None
    assert found.name.startswith("A\ufffd\ufffdbbb")
    assert len(found.name) == 256
    assert found[1:] == (None, None, "i", None, None, None)
    for wrong in (b"", b"[]", b"1", b"<html>", b'{"a": ', b"\xff", b"[" * 100_000):
        assert read_texts(wrong) is None


# The thread


@pytest.fixture
def record(tmp_path: Path) -> Iterator[tuple[Path, Store]]:
    path = tmp_path / "record.db"
    store = Store.open(path, origin="simulator")
    yield path, store
    store.close()


def watch(store: Store, mint: str, uri: str) -> None:
    created = TokenCreated(signature="c" * 88, mint=mint, bonding_curve=WALLET, developer=WALLET, uri=uri)
    store.apply(
        [delivery("helius", created), delivery("pumpwatch", SpellStarted(kind="token", address=mint, reason="asked", at_us=1))]
    )


def made(path: Path, store: Store, fetch: SafeFetch, site: Site, *, mode: Any = "ipfs", pinned: tuple[str, ...] = ()) -> Metadata:
    def put(event: Event) -> bool:
        store.apply([delivery("pumpwatch", event)])
        return True

    gateways = (Endpoint.of(f"{site.url}/down"), Endpoint.of(site.url))
    settings = MetadataSettings(fetch=mode, gateways=gateways)
    times = iter(range(0, 1_000_000, 10_000))
    return Metadata(
        settings, database=path, pinned=pinned, put=put, origin="simulator", fetch=fetch, monotonic=lambda: float(next(times))
    )


def test_a_file_on_ipfs_comes_from_the_gateways_alone_the_next_one_after_a_failure(
    record: tuple[Path, Store], fetch: SafeFetch, site: Site
) -> None:
    path, store = record
    watch(store, MINT, f"https://makers-own.test/ipfs/{V0}/1.json")
    site.says(f"/down/ipfs/{V0}/1.json", b"", status=504)
    site.says(f"/ipfs/{V0}/1.json", b'{"name": "Cat", "twitter": "https://x.com/cat"}')
    metadata = made(path, store, fetch, site)

    assert metadata.turn()
    with open_reader(path) as reader:
        found = metadata_of(reader, MINT)
    assert found is not None
    assert (found.error, found.name, found.source) == ("HTTP 504", None, "localhost")
    assert metadata.turn()
    with open_reader(path) as reader:
        found = metadata_of(reader, MINT)
    assert found is not None
    assert (found.error, found.name, found.twitter) == (None, "Cat", "https://x.com/cat")
    assert not metadata.turn(), "once is enough"

    store.apply([delivery("pumpwatch", MetadataFetched(mint=MINT, at_us=9, source="x", error="later trouble"))])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name, error FROM metadata").fetchall() == [("Cat", None)]


def test_the_makers_own_server_is_asked_for_pinned_tokens_alone(record: tuple[Path, Store], fetch: SafeFetch, site: Site) -> None:
    path, store = record
    watch(store, MINT, site.says("/own.json", b'{"description": "mine"}'))
    assert not made(path, store, fetch, site).turn()
    assert not made(path, store, fetch, site, mode="https").turn()
    assert not made(path, store, fetch, site, mode="ipfs", pinned=(MINT,)).turn()
    assert not site.requests
    assert made(path, store, fetch, site, mode="https", pinned=(MINT,)).turn()
    with open_reader(path) as reader:
        found = metadata_of(reader, MINT)
    assert found is not None
    assert found.description == "mine"


def test_what_fails_is_given_up_after_a_few_tries(record: tuple[Path, Store], fetch: SafeFetch, site: Site) -> None:
    path, store = record
    watch(store, MINT, f"ipfs://{V0}")
    site.says(f"/down/ipfs/{V0}", b"not json")
    site.says(f"/ipfs/{V0}", b"not json")
    metadata = made(path, store, fetch, site)
    assert [metadata.turn() for _ in range(6)] == [True] * 4 + [False] * 2
    assert len(site.requests) == 4
