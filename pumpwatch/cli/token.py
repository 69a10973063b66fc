"""``token``: all about one token."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from pumpwatch.cli import output
from pumpwatch.cli.look import completeness, full_mint
from pumpwatch.cli.numbers import count_to
from pumpwatch.cli.output import Column, Sentence
from pumpwatch.cli.positions import money, note, percent, print_notes, tokens
from pumpwatch.config import Settings
from pumpwatch.storage.about import LAST_TRADES, About, about
from pumpwatch.storage.board import BoardRow
from pumpwatch.storage.launch import Buyers, Progress
from pumpwatch.storage.offchain import MetadataRow
from pumpwatch.storage.positions import PositionRow, share_of_supply
from pumpwatch.storage.queries import GapRow, SourceCounts, SpellRow, decimals_of, open_reader
from pumpwatch.telemetry import visible

_MOST_TRADERS: Final = 10_000

#: Of the minutes in which its curve was sold: the first of them are shown, and the last.
_SHOWN_MINUTES: Final = 6

Quotes = Mapping[str, int | None]

_WINDOW_COLUMNS: Final = (
    *(Column("LAST", 4), Column("TRADES", 7, is_number=True), Column("BUYS", 7, is_number=True)),
    *(Column("SELLS", 7, is_number=True), Column("VOLUME", 10, is_number=True), Column("IN", 5)),
    *(Column("USD", 10, is_number=True), Column("CHANGE", 8, is_number=True), Column("RECORD", 8)),
)
_TRADER_COLUMNS: Final = (
    *(Column("WALLET", 9), Column("BUYS", 5, is_number=True), Column("SELLS", 5, is_number=True)),
    *(Column("SPENT", 9, is_number=True), Column("RECEIVED", 9, is_number=True), Column("PROFIT", 9, is_number=True)),
    *(Column("IN", 5), Column("NET TOKENS", 10, is_number=True), Column("SHARE", 7, is_number=True), Column("", 1)),
)


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser("token", help="all about one token")
    command.add_argument("mint", metavar="MINT", help="its mint, or the beginning of it")
    command.add_argument(
        "--limit", type=count_to(_MOST_TRADERS, least=0), default=5, metavar="N", help="so many of its traders (default: 5)"
    )
    command.add_argument(
        "--order",
        choices=("volume", "profit", "net", "last"),
        default="volume",
        help="which traders: by what they spent and received, by realised profit, by tokens bought and not sold, or the last "
        "(default: volume)",
    )
    command.add_argument("--json", action="store_true", help="one JSON document on standard output")
    command.set_defaults(function=show_token)


def show_token(settings: Settings, arguments: argparse.Namespace) -> int:
    """Exit status 0; AnswerIsNo (1): there is no such token."""
    now = time.time()
    with open_reader(settings.pumpwatch.database) as reader:
        mint = full_mint(reader, arguments.mint)
        found = about(reader, mint, traders=arguments.limit, order=arguments.order, now=now)
        assert found is not None
        quotes = reader.quotes()
        shares = [share_of_supply(reader, mint, row.net_bought) for row in found.traders]
    if arguments.json:
        document = msgspec.to_builtins(found)
        output.print_json({**document.pop("row"), **document})
        return 0
    output.print_fields([*_names(found), *_record(found, quotes), *_figures(found.row, quotes, now), *_beginning(found)])
    print()
    _print_windows(found, quotes)
    if found.traders:
        print()
        _print_traders(found, shares, arguments.order, quotes)
    return 0


_Fields = Iterator[tuple[str, object]]


def _names(about: About) -> _Fields:
    row = about.row
    yield from (("symbol", row.symbol), ("name", row.name), ("mint", row.mint), ("status", row.status))
    if row.pool is not None:
        yield "pool", row.pool
    kinds = ((row.is_mayhem_mode, "mayhem"), (row.is_cashback_enabled, "cashback"), (row.is_holder_reward, "holder reward"))
    if flags := ", ".join(name for flag, name in kinds if flag):
        yield "kind", flags
    yield from (("creator", row.creator), ("developer", row.developer), ("created (UTC)", output.moment(row.created_at)))
    if about.metadata is not None:
        yield from _metadata(about.metadata)


def _metadata(found: MetadataRow) -> _Fields:
    """Its maker's words: nobody has checked them."""
    if found.error is not None:
        yield "metadata", Sentence(f"not there: {visible(found.error, limit=200)}")
        return
    for name in ("description", "website", "twitter", "telegram", "image"):
        if value := getattr(found, name):
            yield name, Sentence(visible(value, limit=300))


def _record(about: About, quotes: Quotes) -> _Fields:
    row = about.row
    yield "completeness", Sentence(completeness(row))
    yield "complete from (UTC)", output.moment(row.complete_from)
    yield "complete until (UTC)", output.moment(row.complete_until)
    yield from (("proven to slot", row.proven_to_slot), ("holes", row.holes))
    for gap in about.gaps:
        yield "gap", Sentence(visible(_gap_text(gap, row, quotes), limit=500))
    for spell in about.spells:
        yield "watched", Sentence(visible(spell_text(spell), limit=200))
    yield "delivered by", Sentence(_sources_text(about.sources))
    if about.pruned_until is not None:
        yield "pruned", Sentence(output.pruned_text(about.pruned_until, is_one=True))


def _figures(row: BoardRow, quotes: Quotes, now: float) -> _Fields:
    sides = f"{output.count(row.buys, 'buy')}, {output.count(row.sells, 'sell')}"
    yield "trades", f"{row.trades} ({sides}); {row.completeness}"
    yield "wallets", f"{row.wallets}; {row.completeness}"
    yield "volume", _figure(output.amount(row.volume, decimals_of(row.quote_mint, quotes)), row)
    yield "price", _figure(output.number(row.price), row)
    yield "highest", _figure(output.number(row.price_high), row)
    yield "lowest", _figure(output.number(row.price_low), row)
    yield "market cap", _figure(output.number(row.market_cap), row)
    if row.price_usd is not None and row.usd_at is not None:
        cap = "" if row.market_cap_usd is None else f", market cap {row.market_cap_usd:.4g} USD"
        age = f"rate {output.ago(now - row.usd_at)} old"
        yield "in US dollars", Sentence(f"price {row.price_usd:.4g} USD{cap} ({age}); {row.completeness}")
    yield "curve sold", output.UNKNOWN if row.progress is None else f"{row.progress:.4g} %; {row.completeness}"
    yield "first trade (UTC)", output.moment(row.first_trade_at)
    yield "last trade (UTC)", output.moment(row.last_trade_at)


def _beginning(about: About) -> _Fields:
    row, launch = about.row, about.launch
    yield "developer traded", Sentence(_position_text(row, about.developer_position, row.developer))
    if row.creator != row.developer:
        yield "creator traded", Sentence(_position_text(row, about.creator_position, row.creator))
    if launch.is_pruned:
        yield "first buyers", Sentence("not known any more: their trades were taken out ([retention])")
    else:
        yield "bought at creation", Sentence(_buyers_text(row, launch.in_transaction))
        yield "bought in its slot", Sentence(_buyers_text(row, launch.in_slot))
        yield "bought in 3 slots", Sentence(_buyers_text(row, launch.in_first_slots))
    yield "top 10 net", Sentence(_largest_text(about))
    if about.progress:
        yield "sold by (UTC)", Sentence(f"{_progress_text(about.progress)}; {row.completeness}")


def _position_text(row: BoardRow, position: PositionRow | None, who: str | None) -> str:
    if who is None:
        return output.UNKNOWN
    if position is None:
        return f"never; {row.completeness}"
    bought, sold = tokens(position.bought), tokens(position.sold)
    buys, sells = output.count(position.buys, "buy"), output.count(position.sells, "sell")
    return f"{buys} of {bought} tokens, {sells} of {sold}; {row.completeness}"


def _buyers_text(row: BoardRow, buyers: Buyers | None) -> str:
    if buyers is None:
        return output.UNKNOWN
    share = f" ({percent(buyers.share)} of the supply)" if buyers.share is not None else ""
    of_developer = f", {tokens(buyers.bought_by_developer)} of it the developer" if buyers.bought_by_developer else ""
    return f"{output.count(buyers.wallets, 'wallet')}: {tokens(buyers.bought)} tokens{share}{of_developer}; {row.completeness}"


def _largest_text(about: About) -> str:
    held, wallets = about.largest, output.count(about.largest.wallets, "wallet")
    share = f" ({percent(held.share)} of the supply)" if held.share is not None else ""
    return f"{wallets}: {tokens(held.net_bought)} tokens bought and not sold{share}; {about.row.completeness}"


def _progress_text(progress: Sequence[Progress]) -> str:
    """The first minutes, and the last."""
    first, last = progress[:_SHOWN_MINUTES], progress[_SHOWN_MINUTES:][-1:]
    shown = [f"{_end(minute, progress[0])} {minute.percent:.3g} %" for minute in (*first, *last)]
    if len(progress) > len(shown):
        shown.insert(-1, "...")
    return ", ".join(shown)


def _end(minute: Progress, first: Progress) -> str:
    """The end of a minute; with the day, if it is not that of the first."""
    same_day = minute.at // 86_400 == first.at // 86_400
    return output.short_moment(minute.at + 60)[6 if same_day else 0 : -3]


def _print_windows(about: About, quotes: Quotes) -> None:
    row = about.row
    rows = []
    for name, window in about.windows.items():
        volume = money(window.volume, row.quote_mint, quotes)
        usd = None if window.volume_usd is None else f"{window.volume_usd:.2f}"
        change = output.change(window.price_change)
        counts = (name, window.trades, window.buys, window.sells, volume, output.quote_name(row.quote_mint))
        rows.append((*counts, usd, change, row.completeness))
    output.print_table(_WINDOW_COLUMNS, rows)


def _print_traders(about: About, shares: Sequence[float | None], order: str, quotes: Quotes) -> None:
    print(f"traders by {order} of {about.row.wallets}, in trades alone; record {about.row.completeness}")
    rows = []
    for row, share in zip(about.traders, shares, strict=True):
        amounts = (money(amount, row.quote_mint, quotes) for amount in (row.spent, row.received, row.realised_profit))
        name = output.quote_name(row.quote_mint)
        rows.append((row.wallet, row.buys, row.sells, *amounts, name, tokens(row.net_bought), percent(share), note(row)))
    output.print_table(_TRADER_COLUMNS, rows)
    print_notes(about.traders)


def _gap_text(gap: GapRow, row: BoardRow, quotes: Quotes) -> str:
    """``break, open: slots 11 to 15; -3.5 tokens, 0.2 SOL``: the amounts are by how much the reserves changed unseen."""
    if gap.from_slot is not None and gap.to_slot is not None:
        where = f"slots {gap.from_slot} to {gap.to_slot}"
    else:
        where = f"from {output.moment(gap.from_us / 1e6)}"
        where += f" to {output.moment(gap.to_us / 1e6)}" if gap.to_us is not None else " on"
    shown = f"{gap.cause}{f' ({gap.feed})' if gap.feed else ''}, {gap.state}: {where}"
    if gap.net_token_amount is not None or gap.net_quote_amount is not None:
        moved = output.amount(gap.net_token_amount, output.TOKEN_DECIMALS)
        quote = output.amount(gap.net_quote_amount, decimals_of(row.quote_mint, quotes))
        shown += f"; reserves changed by {moved} tokens, {quote} {output.quote_name(row.quote_mint)}"
    return f"{shown}; {gap.reason}" if gap.reason else shown


def _sources_text(sources: SourceCounts) -> str:
    if not sources.trades and not sources.dropped:
        return output.UNKNOWN
    counts = (
        *(("pumpportal", sources.pumpportal), ("helius", sources.helius), ("backfill", sources.backfill)),
        *(("backfill alone", sources.backfilled), ("told but not on the chain", sources.dropped)),
    )
    said = ", ".join(f"{name} {count}" for name, count in counts if count)
    return f"{said} (of the last {LAST_TRADES})" if sources.trades + sources.dropped >= LAST_TRADES else said


def _figure(shown: str, row: BoardRow) -> str:
    """A number in the token's quote, with its completeness; unknown is only that."""
    return shown if shown == output.UNKNOWN else f"{shown} {output.quote_name(row.quote_mint)}; {row.completeness}"


def spell_text(spell: SpellRow) -> str:
    """``since 2026-09-21 14:13:20 (admitted)``."""
    since = f"{output.moment(spell.started_at_us / 1e6)} ({spell.reason})"
    if spell.ended_at_us is None:
        return f"since {since}"
    return f"from {since} to {output.moment(spell.ended_at_us / 1e6)} ({spell.end_reason})"
