"""US dollar rates: whom to believe, how politely they are asked, and what is fetched for trades of the past."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from price_site import Odd, Sources
from storage_samples import SIGNATURE, chain_trade, delivery

from pumpwatch import price_history
from pumpwatch.config import Endpoint, PricesSettings, load
from pumpwatch.decode.addresses import USDC
from pumpwatch.errors import DecodeError, SettingsError
from pumpwatch.events import WRAPPED_SOL, Delivery, Event, PoolSeen, QuotePriced
from pumpwatch.prices import Prices, may_run
from pumpwatch.providers import ORIGIN_HEADER
from pumpwatch.rate_sources import Asking, dollars, public_closes, public_spots
from pumpwatch.rates import Offer, Ranges, believed, choose, confirmed
from pumpwatch.storage.rates import PriceWorklist
from pumpwatch.storage.store import Store

NOW = 1_790_000_000
MINUTE = NOW // 60
OTHER = "pumpCmXqMfrsAkQ5r49WcJnRayYRqmXz6ae8H7H9Dfn"


class Run:
    """Prices with clocks that a test moves, whose events go straight into a real file."""

    def __init__(
        self, folder: Path, sources: Sources, *, origin: str = "mainnet", settings: PricesSettings | None = None
    ) -> None:
        self.path = folder / "trades.db"
        self.store = Store.open(self.path, origin=origin)
        self.sources = sources
        self.now = float(NOW)
        self.room = True
        self.origin = origin
        self.settings = settings or PricesSettings()
        self.prices = self._prices()

    def _prices(self) -> Prices:
        public = self.settings.endpoint is None
        return Prices(
            self.settings,
            database=self.path,
            put=self.take,
            put_history=self.take,
            origin=self.origin,
            spots=self.sources.spots if public else None,
            closes=self.sources.candles if public else None,
            timeout_seconds=1.0,
            clock=lambda: self.now,
            monotonic=lambda: self.now,
        )

    def take(self, events: Sequence[Event]) -> bool:
        if self.room:
            self.put(*events)
        return self.room

    def put(self, *events: Event) -> None:
        self.store.apply([Delivery(source="pumpwatch", received_at_us=int(self.now * 1e6), events=tuple(events))])

    def turn(self, *, after_seconds: float = 0.0) -> None:
        self.now += after_seconds
        self.sources.now = int(self.now)
        self.prices.turn()

    def start_anew(self) -> None:
        self.prices.close()
        self.prices = self._prices()

    def traded(self, *minutes: int, quote_mint: str = WRAPPED_SOL) -> None:
        """A trade in each minute, that backfill brought."""
        for minute in minutes:
            changes: dict[str, Any] = {"block_time": minute * 60 + 7, "slot": minute, "quote_mint": quote_mint}
            if quote_mint != WRAPPED_SOL:
                changes["mint"] = f"Mint{quote_mint[4:]}"
            self.store.apply(
                [delivery("backfill", chain_trade(signature=f"{minute:05d}{SIGNATURE[5:-9]}{minute:09d}", **changes))]
            )

    def rates(self, quote: str = WRAPPED_SOL) -> dict[int, tuple[float, str]]:
        rows = self.store._read("SELECT minute, usd, source FROM rates JOIN quotes ON id = quote_id WHERE mint = ?", (quote,))
        return {minute: (usd, source) for minute, usd, source in rows}

    def close(self) -> None:
        self.prices.close()
        self.store.close()


@pytest.fixture
def sources() -> Iterator[Sources]:
    running = Sources()
    yield running
    running.close()


@pytest.fixture
def run(tmp_path: Path, sources: Sources) -> Iterator[Run]:
    running = Run(tmp_path, sources)
    yield running
    running.close()


# Prices of now


def test_the_first_rate_is_told_by_two_sources_and_kept_with_source_and_time(run: Run, sources: Sources) -> None:
    run.turn()

    assert run.rates() == {MINUTE: (150.0, "coinbase")}
    assert run.rates(USDC) == {MINUTE: (0.9998, "coinbase")}
    assert {name for name, _ in sources.asked} == {"coinbase", "jupiter"}
    assert all(agent.startswith("pumpwatch/") for agent in sources.agents)
    (at_us,) = {row[0] for row in run.store._read("SELECT at_us FROM rates")}
    assert at_us == NOW * 1_000_000


def test_afterwards_one_source_will_do_for_ten_minutes(run: Run, sources: Sources) -> None:
    run.turn()
    for _ in range(9):
        run.turn(after_seconds=60)
    assert sources.count("jupiter") == 1

    run.turn(after_seconds=60)
    run.turn(after_seconds=60)

    assert sources.count("jupiter") == 2
    assert len(run.rates()) == 12


def test_nothing_is_asked_before_it_is_time(run: Run, sources: Sources) -> None:
    run.turn()
    before = len(sources.asked)

    run.turn(after_seconds=59)

    assert len(sources.asked) == before


def test_within_a_minute_the_last_rate_stays(run: Run, sources: Sources) -> None:
    run.now = MINUTE * 60.0
    run.prices._refresh_seconds = 20
    run.turn()
    sources.sol = 151.0
    run.turn(after_seconds=20)

    assert run.rates() == {MINUTE: (151.0, "coinbase")}


@pytest.mark.parametrize("lie", [1500.0, 15.0, 165.0])
def test_a_lie_of_the_first_source_is_outvoted_and_it_is_left_alone(run: Run, sources: Sources, lie: float) -> None:
    sources.answers["coinbase"] = lambda path, _: {
        "data": {"amount": str(lie if "SOL" in path else 1), "base": path[11:].partition("-")[0], "currency": "USD"}
    }
    run.turn()
    assert run.rates() == {MINUTE: (150.0, "jupiter")}
    asked = sources.count("coinbase")

    run.turn(after_seconds=1)
    run.prices._due = 0
    run.turn()

    assert sources.count("coinbase") == asked


def test_a_jump_that_a_second_source_confirms_is_believed(run: Run, sources: Sources) -> None:
    run.turn()
    sources.sol = 120.0
    run.turn(after_seconds=60)

    assert run.rates()[MINUTE + 1] == (120.0, "coinbase")
    assert sources.count("jupiter") == 2


def test_a_jump_that_nobody_confirms_is_not_stored(run: Run, sources: Sources) -> None:
    run.turn()
    sources.sol = 1500.0
    for name in ("jupiter", "coingecko", "binance"):
        sources.answers[name] = lambda *_: Odd(status=500)
    run.turn(after_seconds=60)

    assert list(run.rates()) == [MINUTE]


def test_one_source_alone_never_makes_the_first_rate(run: Run, sources: Sources) -> None:
    for name in ("jupiter", "coingecko", "binance"):
        sources.answers[name] = lambda *_: Odd(status=500)
    for _ in range(5):
        run.turn(after_seconds=60)

    assert run.rates() == {}


def test_sources_that_all_differ_are_none(run: Run, sources: Sources) -> None:
    sources.answers["jupiter"] = lambda *_: {WRAPPED_SOL: {"usdPrice": 170.0}}
    sources.answers["coingecko"] = lambda *_: {"solana": {"usd": 200.0, "last_updated_at": NOW}}
    sources.answers["binance"] = lambda *_: {"symbol": "SOLUSDT", "price": "100.0"}
    run.turn()

    assert run.rates() == {}


def test_the_last_known_rate_is_remembered_across_a_restart(run: Run, sources: Sources) -> None:
    run.turn()
    for name in ("jupiter", "coingecko", "binance"):
        sources.answers[name] = lambda *_: Odd(status=500)
    run.start_anew()
    run.turn(after_seconds=60)

    assert run.rates()[MINUTE + 1] == (150.0, "coinbase")


@pytest.mark.parametrize(
    "trouble",
    [
        Odd(status=500),
        Odd(status=302, headers={"Location": "/elsewhere/v2/prices/SOL-USD/spot"}),
        Odd(status=429, headers={"Retry-After": "120"}),
        Odd(b"<html>blocked</html>"),
        Odd(b"[" * 100_000),
        Odd(b'{"data":{"amount":"149.0","base":"SOL","currency":"USD"}}' + b" " * 2_000_000),
        Odd(silent_seconds=30),
        Odd(status=451),
        Odd(headers={"Content-Length": "100000"}),
        Odd(b'{"data":{"amount":"150.0","base":"SOL","currency":"EUR"}}'),
    ],
    ids=["500", "redirect", "429", "html", "nested", "giant", "hanging", "451", "cut short", "other currency"],
)
def test_the_next_source_steps_in_whatever_is_wrong_with_one(run: Run, sources: Sources, trouble: Odd) -> None:
    sources.answers["coinbase"] = lambda *_: trouble
    began = time.monotonic()
    run.turn()

    assert run.rates() == {MINUTE: (150.0, "jupiter")}
    assert sources.count("coinbase") == 1, "the trouble is the server's: not asked for the next quote either"
    assert sources.count("elsewhere") == 0
    assert time.monotonic() - began < 10


def test_a_source_that_says_too_fast_is_left_alone_as_long_as_it_asks(run: Run, sources: Sources) -> None:
    sources.answers["coinbase"] = lambda *_: Odd(status=429, headers={"Retry-After": "299"})
    run.turn()
    for _ in range(4):
        run.turn(after_seconds=60)
    assert sources.count("coinbase") == 1

    for _ in range(8):
        run.turn(after_seconds=60)

    assert sources.count("coinbase") == 2


@pytest.mark.parametrize(
    "value", ["0", "-5", "nan", "inf", "1e400", "1_5", " 150", "", True, None, [150], 0, -1.5, 1e8, 1e-12, 10**400]
)
def test_what_is_no_price_is_none(value: object) -> None:
    assert dollars(value) is None


@pytest.mark.parametrize(("value", "usd"), [("119.30", 119.3), (119.3, 119.3), (119, 119.0), ("1", 1.0), ("1.2e2", 120.0)])
def test_a_price_is_a_number_or_its_text(value: object, usd: float) -> None:
    assert dollars(value) == usd


def test_an_old_price_of_coingecko_is_no_price_of_now() -> None:
    (spot,) = (spot for spot in public_spots() if spot.name == "coingecko")
    body = b'{"solana":{"usd":119.3,"last_updated_at":1789990000}}'

    assert spot.read(body, Asking("", (WRAPPED_SOL,)), NOW) == {}
    assert spot.read(body, Asking("", (WRAPPED_SOL,)), 1_789_990_060) == {WRAPPED_SOL: 119.3}


def test_all_sources_are_asked_over_tls() -> None:
    bases = [spot.base for spot in public_spots()] + [closes.base for closes in public_closes()]

    assert all(base.startswith("https://") for base in bases)


def test_a_stop_ends_a_request_that_hangs(run: Run, sources: Sources) -> None:
    for name in ("coinbase", "jupiter", "coingecko", "binance"):
        sources.answers[name] = lambda *_: Odd(silent_seconds=30)
    run.prices._live[0].server._poster._timeout_seconds = 30
    run.prices.start()
    while not sources.asked:
        time.sleep(0.01)
    began = time.monotonic()
    run.prices.stop()
    run.prices.join(5)

    assert not run.prices.is_alive()
    assert run.prices.error is None
    assert time.monotonic() - began < 2


# A quote that only Jupiter knows


def test_what_only_one_source_knows_must_be_said_twice(run: Run, sources: Sources) -> None:
    run.put(PoolSeen(pool="pool", mint="mint", quote_mint=OTHER))
    sources.others[OTHER] = 0.0031
    run.turn()
    assert run.rates(OTHER) == {}

    run.turn(after_seconds=15)
    assert [usd for usd, _ in run.rates(OTHER).values()] == [0.0031]

    sources.others[OTHER] = 0.031
    run.turn(after_seconds=60)
    assert [usd for usd, _ in run.rates(OTHER).values()] == [0.0031]


def test_what_no_source_knows_has_no_rate(run: Run) -> None:
    run.put(PoolSeen(pool="pool", mint="mint", quote_mint=OTHER))
    for _ in range(4):
        run.turn(after_seconds=60)

    assert run.rates(OTHER) == {}


# Rates of the past


def test_a_trade_of_the_past_gets_the_close_of_its_minute(run: Run, sources: Sources) -> None:
    past = MINUTE - 5_000
    run.turn()
    run.traded(past)
    run.turn(after_seconds=60)

    assert run.rates()[past] == (sources.closes(past), "coinbase")
    (row,) = run.store._read("SELECT price, price_usd FROM trade_log")
    assert row[1] == pytest.approx(row[0] * (140 + past % 60 / 100))


def test_many_minutes_are_asked_for_by_stretches_the_newest_first_and_once(run: Run, sources: Sources) -> None:
    run.turn()
    run.traded(*range(MINUTE - 2_000, MINUTE - 10, 7))
    for _ in range(20):
        run.turn(after_seconds=60)
    stretches = [target for name, target in sources.asked if name == "exchange"]
    ends = [int(target.rpartition("end=")[2]) // 60 for target in stretches]

    assert len(stretches) == 7
    assert ends == sorted(ends, reverse=True)
    assert set(range(MINUTE - 2_000, MINUTE - 10, 7)) <= set(run.rates())


def test_a_rate_of_now_is_not_replaced_by_a_close(run: Run, sources: Sources) -> None:
    run.turn()
    run.put(QuotePriced(quote_mint=WRAPPED_SOL, minute=MINUTE, usd=77.0, source="close", at_us=(NOW + 999) * 1_000_000))
    run.put(QuotePriced(quote_mint=WRAPPED_SOL, minute=MINUTE - 1, usd=77.0, source="close", at_us=NOW * 1_000_000))
    run.put(QuotePriced(quote_mint=WRAPPED_SOL, minute=MINUTE - 1, usd=78.0, source="second", at_us=(NOW + 9) * 1_000_000))
    run.put(QuotePriced(quote_mint=WRAPPED_SOL, minute=MINUTE - 1, usd=79.0, source="live", at_us=(MINUTE * 60 - 5) * 1_000_000))

    assert run.rates() == {MINUTE: (150.0, "coinbase"), MINUTE - 1: (79.0, "live")}


def test_minutes_that_no_source_has_are_not_asked_for_again_not_even_after_a_restart(run: Run, sources: Sources) -> None:
    sources.closes = lambda minute: None if MINUTE - 700 < minute < MINUTE - 600 else 150.0
    run.turn()
    run.traded(*range(MINUTE - 720, MINUTE - 580, 3))
    run.turn(after_seconds=60)
    asked = sources.count("exchange")
    assert asked == 1
    assert MINUTE - 650 not in run.rates()

    for _ in range(3):
        run.turn(after_seconds=60)
    run.start_anew()
    for _ in range(3):
        run.turn(after_seconds=60)

    assert sources.count("exchange") == asked


def test_the_second_exchange_fills_what_the_first_lacks(run: Run, sources: Sources) -> None:
    past = MINUTE - 100
    sources.closes = lambda minute: 150.0
    sources.answers["exchange"] = lambda *_: [[(past - 1) * 60, 149, 151, 150, 150, 1]]
    run.turn()
    run.traded(past - 1, past)
    run.turn(after_seconds=60)

    assert run.rates()[past - 1][1] == "coinbase"
    assert run.rates()[past] == (150.0, "binance (USDT)")


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_closes_that_lie_are_believed_of_nobody(run: Run, sources: Sources, factor: float) -> None:
    past = MINUTE - 3_000
    honest = sources.closes
    sources.answers["exchange"] = lambda _path, query: [
        [minute * 60, 1, 1, 1, (honest(minute) or 0) * factor, 1]
        for minute in range(int(query["start"]) // 60, int(query["end"]) // 60 + 1)
    ]
    run.turn()
    run.traded(past)
    run.turn(after_seconds=60)

    assert run.rates()[past] == (honest(past), "binance (USDT)")


def test_one_lying_candle_is_found_between_honest_ones(run: Run, sources: Sources) -> None:
    bad = MINUTE - 50
    sources.closes = lambda minute: 1500.0 if minute == bad else 150.0
    sources.answers["binance"] = lambda *_: Odd(status=500)
    run.turn()
    run.traded(*range(MINUTE - 60, MINUTE - 40))
    run.turn(after_seconds=60)

    assert bad not in run.rates()
    assert run.rates()[bad - 1][0] == run.rates()[bad + 1][0] == 150.0


def test_a_crash_of_the_past_is_believed_when_both_exchanges_tell_it(run: Run, sources: Sources) -> None:
    sources.closes = lambda minute: 150.0 if minute > MINUTE - 50 else 230.0
    run.turn()
    run.traded(*range(MINUTE - 60, MINUTE - 40))
    run.turn(after_seconds=60)

    assert run.rates()[MINUTE - 55][0] == 230.0
    assert run.rates()[MINUTE - 45][0] == 150.0


def test_exchanges_in_trouble_are_asked_later(run: Run, sources: Sources) -> None:
    past = MINUTE - 100
    sources.closes = lambda _: 150.0
    sources.answers["exchange"] = sources.answers["binance"] = lambda *_: Odd(status=503)
    run.turn()
    run.traded(past)
    run.turn(after_seconds=60)
    assert past not in run.rates()
    sources.answers.clear()
    for _ in range(30):
        run.turn(after_seconds=60)

    assert run.rates()[past] == (150.0, "coinbase")


def test_rates_of_the_past_wait_for_room(run: Run, sources: Sources) -> None:
    past = MINUTE - 100
    sources.closes = lambda _: 150.0
    run.turn()
    run.traded(past)
    run.room = False
    run.turn(after_seconds=60)
    run.room = True
    run.turn(after_seconds=60)

    assert run.rates()[past] == (150.0, "coinbase")


def test_closes_of_what_nothing_trades_against_are_not_asked_for(run: Run, sources: Sources) -> None:
    run.turn()
    run.traded(MINUTE - 100)
    run.turn(after_seconds=60)
    assert not [target for name, target in sources.asked if name == "binance" and "USDCUSDT" in target]

    sources.closes = lambda _: 1.0
    run.traded(MINUTE - 200, quote_mint=USDC)
    run.turn(after_seconds=60)

    assert run.rates(USDC)[MINUTE - 200] == (1.0, "binance (USDT)")


def test_a_long_record_is_gone_through_to_its_beginning_and_then_anew(
    run: Run, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_history, "_NEWEST_MINUTES", 10)
    monkeypatch.setattr(price_history, "_OLDER_MINUTES", 20)
    sources.closes = lambda _: 150.0
    run.turn()
    minutes = [MINUTE - 10 - 5 * step for step in range(80)]
    run.put(*(QuotePriced(quote_mint=WRAPPED_SOL, minute=m, usd=150.0, source="s", at_us=NOW * 1_000_000) for m in minutes))
    for late in (minutes[-1] - 20, minutes[60] + 2, minutes[-1] - 40):
        run.traded(*minutes, late)
        for _ in range(10):
            run.turn(after_seconds=60)

        assert run.rates()[late] == (150.0, "coinbase")


def test_a_walk_down_the_minutes_is_made_of_seeks(run: Run) -> None:
    run.traded(MINUTE)
    worklist = PriceWorklist(run.path)
    from pumpwatch.storage import rates as questions

    try:
        plan = worklist._rows(f"EXPLAIN QUERY PLAN {questions._WALK}", quote=WRAPPED_SOL, before=MINUTE + 1, steps=9)
    finally:
        worklist.close()

    details = [row[3] for row in plan if "trades" in row[3]]
    assert details
    assert all("SEARCH trades USING COVERING INDEX trades_time" in detail for detail in details)


# Of what origin


@pytest.mark.parametrize(
    ("origin", "url", "may"),
    [
        ("mainnet", None, True),
        ("mainnet", "https://prices.example", True),
        ("simulator", None, False),
        ("simulator", "https://prices.example", False),
        ("simulator", "http://127.0.0.1:1", True),
        ("replay", None, False),
        ("replay", "https://prices.example", True),
    ],
)
def test_simulated_and_replayed_data_get_no_prices_of_the_public(origin: str, url: str | None, may: bool) -> None:
    settings = PricesSettings(endpoint=None if url is None else Endpoint.of(url))

    assert may_run(settings, origin) is may
    assert not may_run(PricesSettings(enabled=False, endpoint=settings.endpoint), origin)


@pytest.mark.parametrize(
    ("origin", "says", "stored"), [("simulator", "simulator", 2), ("simulator", None, 0), ("mainnet", "simulator", 0)]
)
def test_prices_of_another_origin_are_refused(
    tmp_path: Path, sources: Sources, origin: str, says: str | None, stored: int
) -> None:
    headers = {} if says is None else {ORIGIN_HEADER: says}

    def answer(path: str, _query: dict[str, str]) -> Odd:
        base = path.rpartition("/")[0].rpartition("/")[2].partition("-")[0]
        return Odd(f'{{"data":{{"amount":"1.5","base":"{base}","currency":"USD"}}}}'.encode(), headers=headers)

    sources.answers["mine"] = answer
    run = Run(tmp_path, sources, origin=origin, settings=PricesSettings(endpoint=Endpoint.of(f"{sources.url}/mine?key=abc")))
    try:
        run.turn()
        run.turn(after_seconds=60)
        assert len(run.rates()) + len(run.rates(USDC)) == stored
        assert all("key=abc" in target for _, target in sources.asked)
    finally:
        run.close()


# Settings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"REFRESH_SECONDS": "14"}, "must be at least 15"),
        ({"REFRESH_SECONDS": "1", "URL": "https://prices.example"}, "must be at least 15"),
        ({"URL": "http://prices.example"}, "must begin with https://"),
        ({"ENABLED": "perhaps"}, "is neither yes nor no"),
    ],
)
def test_settings_that_would_hammer_or_show_themselves_are_errors(tmp_path: Path, settings: dict[str, str], says: str) -> None:
    environ = {f"PUMPWATCH_PRICES_{name}": value for name, value in settings.items()}

    with pytest.raises(SettingsError, match=says):
        load(config=None, environ=environ, directory=tmp_path)


def test_a_url_with_a_key_stays_secret_and_out_of_the_file(tmp_path: Path) -> None:
    url = "https://prices.example/v1?key=0123456789abcdef"
    settings = load(config=None, environ={"PUMPWATCH_PRICES_URL": url}, directory=tmp_path)

    assert settings.prices.endpoint is not None
    assert settings.prices.endpoint.url == url
    assert "0123456789abcdef" in settings.secrets
    assert "0123456789abcdef" not in repr(settings)
    (tmp_path / "pumpwatch.ini").write_text(f"[prices]\nurl = {url}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="PUMPWATCH_PRICES_URL"):
        load(config=None, environ={}, directory=tmp_path)


# Pure


def test_two_offers_that_agree_confirm_each_other() -> None:
    offers = [Offer("a", 1500.0), Offer("b", 150.0), Offer("c", 151.0)]

    chosen = choose(offers, last=None, confirm=True, is_all=False)

    assert chosen is not None
    assert (chosen.offer.source, chosen.confirmed) == ("b", True)
    assert choose(offers[:2], last=150.0, confirm=False, is_all=True) is None


def test_closes_are_compared_with_the_nearest_that_is_believed() -> None:
    closes = {10: 100.0, 11: 104.0, 12: 1_000.0, 13: 108.0, 9: 97.0, 8: 50.0, 7: 95.0}

    assert believed(closes, (10, 100.0)) == {7: 95.0, 9: 97.0, 10: 100.0, 11: 104.0, 13: 108.0}
    assert believed(closes, None) == {}
    assert confirmed({1: 100.0, 2: 100.0, 3: 100.0}, {1: 101.0, 2: 200.0}) == {1: 100.0}


def test_ranges_join_and_forget_the_oldest() -> None:
    ranges = Ranges([(10, 12), (20, 22)], most=2)
    ranges.add([13, 14, 19, 40])

    assert ranges.as_tuple() == ((19, 22), (40, 40))
    assert [minute for minute in (18, 19, 22, 23, 39, 40, 41) if minute in ranges] == [19, 22, 40]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"message":"NotFound"}', b"[1]", b'[["a",1,2,3,4]]', b"[[1]]", b"[" * 100_000])
def test_what_is_no_list_of_candles_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        public_closes()[0].read(body, 0, MINUTE)
