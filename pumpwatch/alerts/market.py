"""
PURE. What the trades that were just recorded say that somebody should hear of.

Amounts are of tokens that trade against SOL. What only PumpPortal has told so far is said to be so.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, NamedTuple

from pumpwatch.config_operations import AlertsSettings
from pumpwatch.events import AlertRaised
from pumpwatch.storage.newest import Fresh, NewToken
from pumpwatch.symbols import matches
from pumpwatch.telemetry import visible

#: A trade that happened longer ago comes from a repair: nobody is woken for it.
LIVE_SECONDS: Final = 300

_LAMPORTS: Final = 1e9
_TOKEN_UNITS: Final = 1e6

#: Tokens whose last trades are remembered, and trades of each.
_MOST_TOKENS: Final = 5_000
_MOST_TRADES: Final = 5_000


class _Traded(NamedTuple):
    at: float
    lamports: int
    is_buy: bool
    price: float | None


class _Token:
    """What is remembered of one token: its last trades, and what was told of it when."""

    def __init__(self) -> None:
        self.trades: deque[_Traded] = deque(maxlen=_MOST_TRADES)
        self.told: dict[str, float] = {}


class Market:
    """
    Judges trades in the order in which they were recorded. One thread.

    Args:
        wallets: Says which are watched now.

    """

    def __init__(self, settings: AlertsSettings, *, wallets: Callable[[], Collection[str]]) -> None:
        self._settings = settings
        self._wallets = wallets
        self._tokens: OrderedDict[str, _Token] = OrderedDict()

    @property
    def is_on(self) -> bool:
        """Whether any rule is."""
        s = self._settings
        amounts = (s.large_trade_sol, s.large_trade_curve_percent, s.burst_volume_sol, s.burst_buys, s.price_move_percent)
        return any((*amounts, s.creator_sells, s.graduation_percent, s.graduated, s.new_tokens)) or bool(
            s.wallet_trades and self._wallets()
        )

    def judge(self, trades: Iterable[Fresh], new_tokens: Iterable[NewToken], *, now: float, now_us: int) -> Iterator[AlertRaised]:
        """
        What is to be told of these.

        Args:
            now: Unix seconds; *now_us* in microseconds, for the rows.

        """
        for number, (rule, subject, text, completeness) in enumerate(self._found(trades, new_tokens, now)):
            yield AlertRaised(
                rule=rule,
                subject=subject,
                severity="info",
                raised_at_us=now_us + number,  # what is alike is still two
                text=text,
                is_market=True,
                lasts=False,
                completeness=completeness,
            )

    def _found(
        self, trades: Iterable[Fresh], new_tokens: Iterable[NewToken], now: float
    ) -> Iterator[tuple[str, str, str, str | None]]:
        pattern = self._settings.new_tokens
        for created in new_tokens:
            is_wanted = pattern and any(matches(pattern, text) for text in (created.name, created.symbol) if text)
            if is_wanted and now - created.first_seen_us / 1e6 < LIVE_SECONDS:
                text = f"new token {_name(created.symbol)} ({visible(created.name or 'no name', limit=40)}), mint {created.mint}"
                yield "new token", created.mint, text, None
        for trade in trades:
            if now - trade.at < LIVE_SECONDS:
                for rule, text in self._of_trade(trade):
                    told = record(trade)
                    yield rule, trade.mint, f"{text}; mint {trade.mint}; {told}", told

    def _of_trade(self, trade: Fresh) -> Iterator[tuple[str, str]]:
        settings = self._settings
        name, side = _name(trade.symbol), "buy" if trade.is_buy else "sell"
        unsure = "" if trade.is_confirmed else ", not confirmed yet"
        sol = trade.quote_amount / _LAMPORTS if trade.is_sol and trade.quote_amount is not None else None
        amount = f"{sol:,.4g} SOL" if sol is not None else f"{trade.token_amount / _TOKEN_UNITS:,.0f} tokens"
        by = f"{side} of {amount} in {name} by {trade.wallet}{unsure}"
        if settings.large_trade_sol and sol is not None and sol >= settings.large_trade_sol:
            yield "large trade", by
        elif settings.large_trade_curve_percent and trade.curve_tokens and not trade.in_pool:
            percent = trade.token_amount * 100 / trade.curve_tokens
            if percent >= settings.large_trade_curve_percent:
                yield "large trade", f"{by}: {percent:.1f} % of what the curve had to sell"
        if settings.wallet_trades and trade.wallet in self._wallets():
            yield "wallet trades", by
        if settings.creator_sells and trade.is_by_creator and not trade.is_buy:
            yield "creator sells", f"its creator: {by}"
        token = self._token(trade.mint)
        yield from self._graduation(trade, token, name)
        yield from self._window(trade, token, name)

    def _graduation(self, trade: Fresh, token: _Token, name: str) -> Iterator[tuple[str, str]]:
        settings = self._settings
        if settings.graduated and trade.has_graduated and "graduated" not in token.told:
            token.told["graduated"] = trade.at
            # One that was in its pool when it was first heard of has not graduated now.
            if trade.graduated_at is not None and trade.at - trade.graduated_at < LIVE_SECONDS:
                yield "graduated", f"{name} has graduated: it trades in its pool now"
        percent, progress = settings.graduation_percent, trade.progress
        is_near = bool(percent) and not trade.has_graduated and progress is not None and progress >= percent
        if is_near and "graduation near" not in token.told:
            token.told["graduation near"] = trade.at
            yield "graduation near", f"{progress:.1f} % of the curve of {name} is sold: it is about to graduate"

    def _window(self, trade: Fresh, token: _Token, name: str) -> Iterator[tuple[str, str]]:
        settings = self._settings
        if not (settings.burst_volume_sol or settings.burst_buys or settings.price_move_percent):
            return
        seconds = settings.window_seconds
        lamports = trade.quote_amount or 0 if trade.is_sol else 0
        token.trades.append(_Traded(trade.at, lamports, trade.is_buy, trade.price))
        while token.trades and token.trades[0].at <= trade.at - seconds:
            token.trades.popleft()
        volume = sum(each.lamports for each in token.trades) / _LAMPORTS
        if settings.burst_volume_sol and volume >= settings.burst_volume_sol and self._is_new(token, "burst of volume", trade.at):
            yield "burst of volume", f"{volume:,.4g} SOL were traded in {name} within {seconds:g} s"
        buys = sum(each.is_buy for each in token.trades)
        if settings.burst_buys and buys >= settings.burst_buys and self._is_new(token, "burst of buys", trade.at):
            yield "burst of buys", f"{buys} buys of {name} within {seconds:g} s"
        first = next((each.price for each in token.trades if each.price), None)
        if settings.price_move_percent and first and trade.price:
            move = (trade.price / first - 1) * 100
            if abs(move) >= settings.price_move_percent and self._is_new(token, "price move", trade.at):
                yield "price move", f"the price of {name} moved by {move:+.1f} % within {seconds:g} s"

    def _is_new(self, token: _Token, rule: str, at: float) -> bool:
        """Whether it was not told within the cool-down."""
        before = token.told.get(rule)
        if before is not None and 0 <= at - before < max(self._settings.cooldown_minutes * 60, self._settings.window_seconds):
            return False
        token.told[rule] = at
        return True

    def _token(self, mint: str) -> _Token:
        token = self._tokens.setdefault(mint, _Token())
        self._tokens.move_to_end(mint)
        if len(self._tokens) > _MOST_TOKENS:
            self._tokens.popitem(last=False)
        return token


def record(trade: Fresh) -> str:
    """How far the record behind an alert is to be trusted."""
    if trade.completeness == "complete":
        return "record complete"
    if trade.completeness == "holes":
        return f"record with {trade.holes or 'some'} holes"
    if trade.completeness == "unproven":
        return f"record unproven: {visible(trade.reason or 'not judged yet', limit=80)}"
    return f"record complete: {trade.completeness}"


def _name(symbol: str | None) -> str:
    return visible(symbol, limit=20) if symbol else "a token without a symbol"
