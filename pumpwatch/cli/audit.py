"""``audit``: prove the record again, without a network, or against the chain's accounts now."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pumpwatch.audit import TokenAudit, audit
from pumpwatch.cli import output
from pumpwatch.cli.look import full_mint
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.config import Settings
from pumpwatch.continuity import State
from pumpwatch.events import WRAPPED_SOL
from pumpwatch.providers import provider_of
from pumpwatch.storage.evidence import AnchorSeen, Evidence, open_evidence
from pumpwatch.storage.queries import decimals_of, open_reader
from pumpwatch.storage.schema import VENUES
from pumpwatch.telemetry import visible

#: How long a running worker may take to record what the chain had when it was asked, and how long it may record nothing at all.
_CATCH_UP_SECONDS: Final = 20.0
_QUIET_SECONDS: Final = 4.0

_SHOWN_BREAKS: Final = 5


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser("audit", help="prove again that the record is complete; 1 if trades are missing")
    command.add_argument("mint", metavar="MINT", nargs="*", help="only these: their mints, or the beginnings of them")
    command.add_argument("--chain", action="store_true", help="also compare with the accounts on the chain now")
    command.add_argument("--json", action="store_true", help="one JSON document on standard output")
    command.set_defaults(function=show_audit)


def show_audit(settings: Settings, arguments: argparse.Namespace) -> int:
    """Exit status 0: nothing is missing; 1: something is, or nothing can be proven. DatabaseError (4): there is no database."""
    path = settings.pumpwatch.database
    with open_reader(path) as reader:
        mints = [full_mint(reader, mint) for mint in dict.fromkeys(arguments.mint)] or None
        quotes = reader.quotes()
    with open_evidence(path) as evidence:
        asked = _ask_chain(settings, evidence, mints) if arguments.chain else None
        tokens = audit(evidence, mints, asked=asked)
        gaps_open = evidence.gaps_open()
        if arguments.json:
            found = list(tokens)
            total = _Total.of(found)
            output.print_json({"proven": total.is_proven, "gaps_open": gaps_open, "tokens": found})
            return 0 if total.is_proven else 1
        total = _Total()
        for token in tokens:
            total.add(token)
            _print_token(token, decimals_of(token.quote_mint, quotes))
    print(total.text(gaps_open))
    return 0 if total.is_proven else 1


class _Total:
    """Of all tokens."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.trades = self.links = self.holes = self.differing = 0

    @classmethod
    def of(cls, tokens: Iterable[TokenAudit]) -> _Total:
        total = cls()
        for token in tokens:
            total.add(token)
        return total

    def add(self, token: TokenAudit) -> None:
        self.states[token.completeness] += 1
        self.trades += token.trades
        self.links += token.links
        self.holes += token.holes
        self.differing += token.is_watched and token.chain == "differs"

    @property
    def is_proven(self) -> bool:
        """Nothing is known to be missing, and something is proven."""
        return not self.holes and not self.differing and any(self.states[state] for state in ("complete", "since", "spell"))

    def text(self, gaps_open: int) -> str:
        states = (
            ", ".join(f"{count} {'with holes' if state == 'holes' else state}" for state, count in self.states.most_common())
            or "none"
        )
        tokens = self.states.total()
        said = ", ".join(
            _counted(*what) for what in ((self.trades, "trade"), (self.links, "link"), (self.holes, "hole"), (gaps_open, "gap"))
        )
        proven = sum(self.states[state] for state in ("complete", "since", "spell"))
        word = "NOT PROVEN" if not self.is_proven else "PROVEN" if proven == tokens else f"PROVEN for {proven} of them"
        return f"{_counted(tokens, 'token')}: {states}; {said} open: {word}"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _print_token(token: TokenAudit, decimals: int | None) -> None:
    name = f"{visible(token.symbol, limit=12)} " if token.symbol else ""
    slots = "no slot" if token.first_slot is None else f"slots {token.first_slot} to {token.last_slot}"
    provisional = f" ({token.provisional} provisional)" if token.provisional else ""
    print(f"{name}{visible(token.mint)}")
    trades = _counted(token.trades, "trade") + provisional
    print(f"  {trades}, {_counted(token.links, 'link')}, {_counted(token.breaks, 'break')}, {slots}")
    if token.baseline_slot is not None:
        print(f"  begins with the baseline at slot {token.baseline_slot}: older trades were taken out, and the")
        print(f"    record was {_WORDS.get(token.baseline_completeness or '', 'unproven')} then")
    for source, seen in token.sources.items():
        late = "" if seen.late_seconds is None else f", late {seen.late_seconds:.1f} s (95 %: {seen.latest_seconds:.1f} s)"
        print(f"  {source} {seen.trades}, alone {seen.alone}{late}")
    for one in token.missing[:_SHOWN_BREAKS]:
        what = "missing" if one.counts else visible(one.reason or "not watched then", limit=100)
        tokens, quote = output.amount(one.token_amount, output.TOKEN_DECIMALS), output.amount(one.quote_amount, decimals)
        hint = "; one trade would fit" if one.fits_one_trade else ""
        print(f"  {one.venue} slots {one.from_slot} to {one.to_slot}: {what}")
        print(f"    net {tokens} tokens, {quote} {output.quote_name(token.quote_mint)}{hint}")
    if token.breaks > _SHOWN_BREAKS:
        print(f"  ... and {token.breaks - _SHOWN_BREAKS} breaks more")
    if token.chain is not None:
        print(f"  chain: {_ON_CHAIN[token.chain]}")
    print(f"  {_verdict_text(token)}")
    if token.reason:
        print(f"    {visible(token.reason, limit=300)}")


def _verdict_text(token: TokenAudit) -> str:
    """``complete, proven to slot 366000085``."""
    until = output.moment(token.complete_until)
    words = {
        "complete": "complete",
        "since": f"complete since {output.moment(token.complete_from)} UTC",
        "spell": f"complete from {output.moment(token.complete_from)} to {until} UTC, not watched now",
        "holes": _counted(token.holes, "hole"),
        "unproven": "unproven",
    }
    proven = "" if token.proven_to_slot is None else f", proven to slot {token.proven_to_slot}"
    return words[token.completeness] + proven


_WORDS: Final = {
    "complete": "complete",
    "since": "complete since it was watched",
    "spell": "complete while it was watched",
    "holes": "with holes",
}
_ON_CHAIN: Final = {
    "agrees": "the account is in the state that the last recorded trade left",
    "differs": "the account is in a state that no recorded trade left",
    "no account": "there is no such account",
}


def _ask_chain(settings: Settings, evidence: Evidence, mints: Sequence[str] | None) -> dict[str, AnchorSeen]:
    """
    The accounts of these tokens, or of all that are watched, once the record has had time to follow.

    Raises:
        AnswerIsNo: They cannot be read.

    """
    from pumpwatch.backfill.anchor import Snapshots, Target  # they bring the HTTP client
    from pumpwatch.backfill.rpc import Rpc, RpcFailed

    targets = [
        Target(mint, "pool" if is_graduated else "curve", quote_mint or WRAPPED_SOL)
        for mint, quote_mint, is_graduated in evidence.accounts(mints)
    ]
    endpoint = settings.helius.rpc
    provider = provider_of(endpoint.host, is_loopback=endpoint.is_loopback)
    try:
        with Rpc(endpoint, timeout_seconds=settings.connection.connect_timeout_seconds, provider=provider, tries=2) as rpc:
            anchors = list(Snapshots(rpc).take(targets))
    except RpcFailed as error:
        raise AnswerIsNo(f"the chain cannot be asked ({endpoint.shown}): {error}") from error
    asked = {
        anchor.mint: AnchorSeen(
            VENUES[anchor.venue],
            anchor.slot,
            anchor.asked_at_us,
            anchor.block_time,
            anchor.exists,
            State(
                anchor.virtual_token_reserves,
                anchor.virtual_quote_reserves,
                anchor.real_token_reserves,
                anchor.real_quote_reserves,
            ),
        )
        for anchor in anchors
    }
    _wait(evidence, asked)
    return asked


def _wait(evidence: Evidence, asked: dict[str, AnchorSeen]) -> None:
    """Until the record explains all that was *asked*, or does not grow any more."""
    now = time.monotonic()
    until, commit, changed = now + _CATCH_UP_SECONDS, evidence.last_commit_us(), now
    behind = list(asked)
    while True:
        behind = [token.mint for token in audit(evidence, behind, asked=asked) if token.is_watched and token.chain == "differs"]
        now = time.monotonic()
        if not behind or now > until or now - changed > _QUIET_SECONDS:
            return
        time.sleep(0.5)
        if evidence.last_commit_us() != commit:
            commit, changed = evidence.last_commit_us(), time.monotonic()
