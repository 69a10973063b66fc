"""Promises of the files behind tokens' uris: who is asked for what, how often, and what is kept of the answers."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from base64 import b32encode
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from storage_samples import MINT, WALLET, delivery
from strangers_site import PUBLIC, Site

from pumpwatch.bounded_http import NotFetched, ServerTrouble
from pumpwatch.building import Parts
from pumpwatch.config import load
from pumpwatch.config_endpoint import Endpoint
from pumpwatch.config_model import MetadataSettings
from pumpwatch.errors import SettingsError
from pumpwatch.events import Event, MetadataFetched, SpellStarted, TokenCreated
from pumpwatch.metadata import Metadata
from pumpwatch.metadata_uri import OnIpfs, is_cid, on_ipfs, read_texts
from pumpwatch.storage.offchain import MetadataRow, metadata_of
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.store import Store

#: The empty folder of IPFS, and some file.
V0 = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
OTHER_MINT = "9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump"
V1 = "b" + b32encode(b"\x01\x55\x12\x20" + hashlib.sha256(b"file").digest()).decode().lower().rstrip("=")


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
        (f"ipfs://user@{V0}", None),
        (f"https://{V0}.ipfs.dweb.link/", None),
        (f"https://{V1}.ipfs", None),
        (f"ipns://{V1}", None),
        (f"https://ipfs.io/ipns/{V1}", None),
        (f"ipfs://{V0}/" + "a" * 300, None),
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
    assert V1[-1] in "aeimquy4", "it has two bits to spare"
    assert not is_cid(V1[:-1] + chr(ord(V1[-1]) + 1))
    assert not is_cid("b" + b32encode(b"\x02\x55\x12\x20" + b"x" * 32).decode().lower().rstrip("="))


@given(st.binary(min_size=32, max_size=32), st.integers(0, 0x7F))
def test_every_hash_has_a_cid_that_is_found_wherever_it_stands(digest: bytes, codec: int) -> None:
    cid = "b" + b32encode(bytes((1, codec)) + b"\x12\x20" + digest).decode().lower().rstrip("=")
    assert is_cid(cid)
    for uri in (f"ipfs://{cid}/a", f"https://x/ipfs/{cid}/a", f"https://{cid}.ipfs.x.y/a", f"http://x/y/ipfs/{cid}/a?b#c"):
        assert on_ipfs(uri) == OnIpfs(cid, "/a")


@given(st.text(max_size=70))
def test_no_text_is_a_cid_by_chance(text: str) -> None:
    assert not is_cid(text)
    assert not is_cid(f"Qm{text}") or len(text) == 44


@given(st.text() | st.text("ipfs:/.%b2Qm").map(lambda text: f"https://a/ipfs/{V0}/{text}"))
def test_no_uri_makes_a_path_that_leads_elsewhere(uri: str) -> None:
    found = on_ipfs(uri)
    if found is not None:
        assert is_cid(found.cid)
        assert found.path == "" or found.path.startswith("/")
        assert not {".", "..", ""} & set(found.path.split("/")[1:])
        assert found.path.isascii()
        assert not set(found.path) & set(" \r\n?#\\")


# What a file says


def test_texts_are_bounded_and_everything_else_is_left_out() -> None:
    content = json.dumps({"name": "A\x00\ud800" + "b" * 9000, "symbol": 7, "description": None, "twitter": ["x"], "image": "i"})
    found = read_texts(content.encode())
    assert found is not None
    assert found.name is not None
    assert found.name.startswith("A\ufffd\ufffdbbb")
    assert len(found.name) == 256
    assert found[1:] == (None, None, "i", None, None, None)
    assert read_texts(b'\xef\xbb\xbf{"name": "x"}') is not None
    for wrong in (b"", b"[]", b"1", b"<html>", b'{"a": ', b"\xff", b"[" * 100_000):
        assert read_texts(wrong) is None


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary() | st.dictionaries(st.sampled_from(["name", "symbol", "image", "website", "x"]), HOSTILE).map(json.dumps))
def test_whatever_a_file_holds_what_is_kept_can_be_stored(content: bytes | str) -> None:
    found = read_texts(content.encode() if isinstance(content, str) else content)
    assert found is not None or isinstance(content, bytes)
    for text in found or ():
        assert text is None or (0 < len(text) <= 1000 and "\0" not in text and text.encode())


# The thread


class Shop:
    """Stands where the fetching is: what each URL brings, and which were asked for."""

    def __init__(self) -> None:
        self.brings: dict[str, bytes | NotFetched] = {}
        self.asked: list[str] = []
        self.within: list[Collection[str] | None] = []
        self.stopped = False

    def __call__(self, url: str, *, within: Collection[str] | None = None) -> bytes:
        self.asked.append(url)
        self.within.append(within)
        found = self.brings.get(url, NotFetched("HTTP 404"))
        if isinstance(found, NotFetched):
            raise found
        return found

    def stop(self) -> None:
        self.stopped = True


class Bench:
    """A record, the thread over it, and a clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store.open(path, origin="mainnet")
        self.shop = Shop()
        self.now = 0.0
        self.has_room = True

    def watch(self, mint: str, uri: str) -> None:
        created = TokenCreated(signature="c" * 88, mint=mint, bonding_curve=WALLET, developer=WALLET, uri=uri)
        spell = SpellStarted(kind="token", address=mint, reason="asked", at_us=1)
        self.store.apply([delivery("helius", created), delivery("pumpwatch", spell)])

    def put(self, event: Event) -> bool:
        if self.has_room:
            self.store.apply([delivery("pumpwatch", event)])
        return self.has_room

    def metadata(self, mode: Literal["ipfs", "https"] = "ipfs", *, pinned: tuple[str, ...] = ()) -> Metadata:
        gateways = (Endpoint.of("https://one.test"), Endpoint.of("https://two.test"))
        return Metadata(
            MetadataSettings(fetch=mode, gateways=gateways),
            database=self.path,
            pinned=pinned,
            put=self.put,
            origin="mainnet",
            fetch=self.shop,
            monotonic=lambda: self.now,
        )

    def found(self, mint: str = MINT) -> MetadataRow | None:
        with open_reader(self.path) as reader:
            return metadata_of(reader, mint)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "record.db")
    yield bench
    bench.store.close()


def test_a_file_on_ipfs_comes_from_the_gateways_alone_another_one_after_a_failure(bench: Bench) -> None:
    bench.watch(MINT, f"https://makers-own.test/ipfs/{V0}/1.json")
    bench.shop.brings[f"https://two.test/ipfs/{V0}/1.json"] = b'{"name": "Cat", "twitter": "https://x.com/cat"}'
    metadata = bench.metadata("https", pinned=(MINT,))

    assert metadata.turn()
    found = bench.found()
    assert found is not None
    assert (found.error, found.name, found.source) == ("HTTP 404", None, "one.test")
    assert not metadata.turn(), "not at once"
    bench.now += 61
    assert metadata.turn()
    found = bench.found()
    assert found is not None
    assert (found.error, found.name, found.twitter, found.source) == (None, "Cat", "https://x.com/cat", "two.test")
    assert found.fetched_at_us > 1_000_000_000_000_000

    bench.now += 1_000_000
    assert not metadata.turn(), "once is enough"
    assert bench.shop.asked == [f"https://{host}.test/ipfs/{V0}/1.json" for host in ("one", "two")]
    assert bench.shop.within == [("one.test", "two.test")] * 2

    bench.put(MetadataFetched(mint=MINT, at_us=9, source="x", error="later trouble"))
    with closing(sqlite3.connect(bench.path)) as connection:
        assert connection.execute("SELECT name, error FROM metadata").fetchall() == [("Cat", None)]


def test_the_makers_own_server_is_asked_for_pinned_tokens_alone(bench: Bench) -> None:
    bench.watch(MINT, "https://makers-own.test/own.json?key=1")
    bench.shop.brings["https://makers-own.test/own.json?key=1"] = b'{"description": "mine"}'
    assert not bench.metadata("ipfs").turn()
    assert not bench.metadata("https").turn()
    assert not bench.metadata("ipfs", pinned=(MINT,)).turn()
    assert not bench.shop.asked
    assert bench.metadata("https", pinned=(MINT,)).turn()
    found = bench.found()
    assert found is not None
    assert (found.description, found.source) == ("mine", "makers-own.test")


@pytest.mark.parametrize("uri", ["http://a.test/x", "data:application/json,{}", "file:///etc/passwd", "", "ipns://x", "ar://x"])
def test_other_uris_are_not_asked_for_also_of_pinned_tokens(bench: Bench, uri: str) -> None:
    bench.watch(MINT, uri)
    assert not bench.metadata("https", pinned=(MINT,)).turn()


def test_what_fails_is_tried_again_ever_later_and_given_up_then(bench: Bench) -> None:
    bench.watch(MINT, f"ipfs://{V0}")
    for host in ("one", "two"):
        bench.shop.brings[f"https://{host}.test/ipfs/{V0}"] = b"<html>"
    metadata = bench.metadata()
    times = []
    for bench.now in range(0, 12_000, 60):
        if metadata.turn():
            times.append(bench.now)
    assert times == [0, 60, 660, 4260]
    found = bench.found()
    assert found is not None
    assert found.error == "it is no JSON object"


def test_a_server_in_trouble_is_left_alone_and_the_other_one_is_asked(bench: Bench) -> None:
    """Also for other tokens: they would all run into it."""
    mints = [MINT, OTHER_MINT]
    for mint in mints:
        bench.watch(mint, f"ipfs://{V0}/{mint}")
        bench.shop.brings[f"https://one.test/ipfs/{V0}/{mint}"] = ServerTrouble("HTTP 429", 200.0)
        bench.shop.brings[f"https://two.test/ipfs/{V0}/{mint}"] = b"{}"
    metadata = bench.metadata()
    for bench.now in range(0, 190, 10):
        metadata.turn()
    assert sum(url.startswith("https://one.test") for url in bench.shop.asked) == 1
    assert all((found := bench.found(mint)) is not None and found.error is None for mint in mints)


def test_where_nobody_can_be_reached_no_file_is_given_up_for_it_soon(bench: Bench) -> None:
    bench.watch(MINT, f"ipfs://{V0}")
    for host in ("one", "two"):
        bench.shop.brings[f"https://{host}.test/ipfs/{V0}"] = ServerTrouble("it cannot be reached")
    metadata = bench.metadata()
    for bench.now in range(0, 600, 5):
        metadata.turn()
    assert 1 < len(bench.shop.asked) <= 3


def test_the_newest_of_the_watch_list_come_first_and_what_is_let_go_is_not_asked_for(bench: Bench) -> None:
    bench.watch(MINT, f"ipfs://{V0}/old")
    bench.watch(OTHER_MINT, f"ipfs://{V0}/new")
    metadata = bench.metadata()
    assert [metadata.turn() for _ in range(3)] == [True, True, False]
    assert [url.rpartition("/")[2] for url in bench.shop.asked] == ["new", "old"]


def test_what_finds_no_room_is_fetched_again(bench: Bench) -> None:
    bench.watch(MINT, f"ipfs://{V0}")
    for host in ("one", "two"):
        bench.shop.brings[f"https://{host}.test/ipfs/{V0}"] = b'{"name": "x"}'
    metadata = bench.metadata()
    bench.has_room = False
    assert metadata.turn()
    assert bench.found() is None
    bench.has_room = True
    assert not metadata.turn()
    bench.now += 61
    assert metadata.turn()
    assert bench.found() is not None


def test_without_a_record_nothing_is_asked(tmp_path: Path, bench: Bench) -> None:
    bench.path = tmp_path / "none.db"
    assert not bench.metadata().turn()


def test_a_stop_ends_the_fetching(bench: Bench) -> None:
    metadata = bench.metadata()
    metadata.start()
    metadata.stop()
    metadata.join(10)
    assert not metadata.is_alive()
    assert metadata.error is None
    assert bench.shop.stopped


def test_hostile_texts_are_stored_as_they_are_and_no_url_is(bench: Bench) -> None:
    hostile = "\x1b[2J<script>\u202e'); DROP TABLE metadata; --\x00\ud800"
    bench.watch(MINT, "https://makers.test/secret-path?token=secret")
    bench.shop.brings["https://makers.test/secret-path?token=secret"] = json.dumps({"name": hostile}).encode()
    assert bench.metadata("https", pinned=(MINT,)).turn()
    found = bench.found()
    assert found is not None
    assert found.name == hostile.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    with closing(sqlite3.connect(bench.path)) as connection:
        assert "secret" not in str(connection.execute("SELECT * FROM metadata").fetchall())


# Settings, and the whole way


def settings_of(tmp_path: Path, **environ: str) -> Any:
    environ = {"PUMPWATCH_BACKFILL_ENABLED": "no", **{f"PUMPWATCH_METADATA_{name}": value for name, value in environ.items()}}
    return load(config=None, environ=environ, directory=tmp_path)


def test_it_is_off_by_default(tmp_path: Path) -> None:
    metadata = settings_of(tmp_path).metadata
    assert metadata.fetch == "off"
    assert [gateway.shown for gateway in metadata.gateways] == ["https://ipfs.io", "https://dweb.link"]


@pytest.mark.parametrize(
    "gateways",
    [
        "",
        "http://ipfs.io",
        "ipfs.io",
        "https://ipfs.io/key",
        "https://me:key@ipfs.io",
        "https://ipfs.io?key=1",
        "https://ipfs.io:8080",
    ],
)
def test_gateways_are_public_servers_without_keys(tmp_path: Path, gateways: str) -> None:
    with pytest.raises(SettingsError, match=r"(?i)gateways"):
        settings_of(tmp_path, GATEWAYS=gateways)


def test_gateways_are_taken_with_or_without_a_slash(tmp_path: Path) -> None:
    found = settings_of(tmp_path, GATEWAYS="https://a.test/, http://127.0.0.1:81").metadata.gateways
    assert [gateway.url for gateway in found] == ["https://a.test", "http://127.0.0.1:81"]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Parts]]:
    made = []

    def make(**environ: str) -> Parts:
        store = Store.open(tmp_path / "pumpwatch.db", origin="simulator")
        made.append(Parts(settings_of(tmp_path, **environ), store, folder=tmp_path, origin="simulator", plays=None))
        return made[-1]

    yield make
    for parts in made:
        parts.intake.close()
        parts.store.close()


def test_when_it_is_off_no_thread_is_there(build: Callable[..., Parts]) -> None:
    parts = build()
    assert parts.metadata is None
    assert not any(thread.name == "metadata" for thread in parts.threads)


def test_when_it_is_on_a_file_goes_all_the_way_into_the_record(build: Callable[..., Parts], tmp_path: Path) -> None:
    """Thread, intake, writer and record are those of the program; the gateway is on this machine, as for simulated data."""
    site = Site(trustme.CA(), secure=False)
    site.says(f"/ipfs/{V0}/1", b'{"name": "Whole", "website": "https://whole.test"}')
    parts = build(FETCH="ipfs", GATEWAYS=f"http://127.0.0.1:{site.port}")
    assert parts.metadata is not None
    created = TokenCreated(signature="c" * 88, mint=MINT, bonding_curve=WALLET, developer=WALLET, uri=f"ipfs://{V0}/1")
    parts.store.apply([delivery("helius", created)])
    parts.tell(SpellStarted(kind="token", address=MINT, reason="asked", at_us=1))
    threads = (parts.writer, parts.metadata)
    for thread in threads:
        thread.start()
    found = None
    deadline = time.monotonic() + 20
    while found is None and time.monotonic() < deadline:
        time.sleep(0.05)
        with open_reader(tmp_path / "pumpwatch.db") as reader:
            found = metadata_of(reader, MINT)
    for thread in reversed(threads):
        thread.stop()
        thread.join(10)
        assert thread.error is None
    site.close()
    assert found is not None
    assert (found.name, found.website, found.source, found.error) == ("Whole", "https://whole.test", "127.0.0.1", None)


def test_over_tls_with_all_rules_a_gateway_may_send_us_below_itself(bench: Bench) -> None:
    """As dweb.link does."""
    site = Site(trustme.CA())
    site.names = {"one.test": [], "two.test": [], "gateway.test": [PUBLIC], f"{V1}.ipfs.gateway.test": [PUBLIC]}
    site.says(f"/ipfs/{V1}", b"", status=301, Location=f"https://{V1}.ipfs.gateway.test/")
    site.says("/", b'{"symbol": "DEEP"}')
    bench.watch(MINT, f"https://{V1}.ipfs.makers.test")
    metadata = Metadata(
        MetadataSettings(fetch="ipfs", gateways=(Endpoint.of("https://gateway.test"),)),
        database=bench.path,
        pinned=(),
        put=bench.put,
        origin="mainnet",
        fetch=site.fetcher(),
    )
    assert metadata.turn()
    site.close()
    found = bench.found()
    assert found is not None
    assert (found.symbol, found.source, found.error) == ("DEEP", "gateway.test", None)
    assert site.looked_up == ["gateway.test", f"{V1}.ipfs.gateway.test"]
