"""What people do on pump.fun, one transaction at a time: each method drafts one, and moves the coins it touches."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from solders.signature import Signature

from pumpwatch.simulator import arithmetic as sums
from pumpwatch.simulator import chain, payloads
from pumpwatch.simulator.coin import Coin, Filled
from pumpwatch.simulator.logs import Call, Data, Emitted, Step, Text
from pumpwatch.simulator.names import pick_name
from pumpwatch.simulator.transaction import Change, Draft, Notice, foreign_event, trade_steps
from pumpwatch.simulator.truth import Ledger, TradeRow
from pumpwatch.simulator.wire import encode

UpgradeKind: TypeAlias = Literal["tail", "renamed", "middle"]
Kind: TypeAlias = Literal["plain", "mayhem", "usdc"]

#: What the mayhem program writes after each trade of its agent; no event of ours.
_MAYHEM_EVENT: Final = bytes.fromhex("31487b2d6e40b085") + bytes(295)

#: An event that no published layout knows: it still counts in the index.
UNKNOWN_EVENT: Final = bytes.fromhex("0badc0dedeadbeef") + bytes(40)

_USDC_VIRTUAL_QUOTE: Final = 4_500_000_000

#: Smaller sells could not pay their fees (each at least one unit); one that pays nothing at all is legal on a curve.
_LEAST_CURVE_QUOTE: Final = 100
_LEAST_POOL_GROSS: Final = 10_000


@dataclass(slots=True)
class Clock:
    """The chain's present: set by the market before each draft."""

    slot: int
    block_time: int


#: First 8 bytes of sha256("event:TradeEventV2").
_RENAMED: Final = sha256(b"event:TradeEventV2").digest()[:8]

#: A field of 32 bytes behind the mint: where the side (0 or 1) used to be is a byte of it.
_NEW_FIELD: Final = b"\xa5" * 32


@dataclass(slots=True)
class Upgrade:
    """
    How the programs' events differ from those of the published layouts.

    Attributes:
        tail_bytes: Behind every trade event, on curve and pool.
        coming: What is done to the next trade events of curves, one after the other: ``renamed`` or ``middle``.
        unreadable: Numbers of the trades whose events nobody can read.
    """

    tail_bytes: int = 0
    coming: deque[UpgradeKind] = field(default_factory=deque)
    unreadable: set[int] = field(default_factory=set)

    def of_curve(self, payload: bytes, number: int) -> bytes:
        """The event of trade *number* on a curve, as the upgraded program writes it."""
        payload += b"\x5a" * self.tail_bytes
        if not self.coming:
            return payload
        self.unreadable.add(number)
        if self.coming.popleft() == "renamed":
            return _RENAMED + payload[8:]
        return payload[:40] + _NEW_FIELD + payload[40:]

    def of_pool(self, payload: bytes) -> bytes:
        """The event of a trade on a pool."""
        return payload + b"\x5a" * self.tail_bytes


class Deals:
    """Drafts transactions with one random source; everything follows from its seed."""

    def __init__(self, rng: random.Random, ledger: Ledger, clock: Clock) -> None:
        self._rng = rng
        self._ledger = ledger
        self._clock = clock
        self.upgrade = Upgrade()
        self.wallets = [self._address() for _ in range(240)]

    def _address(self) -> str:
        return chain.address(self._rng.randbytes(32))

    def _draft(self, payer: str, *, router: bool = False) -> Draft:
        signature = str(Signature.from_bytes(self._rng.randbytes(64)))
        return Draft(signature, payer, router=self._rng.choice(chain.ROUTERS) if router else None)

    def wallet(self) -> str:
        """One of the traders."""
        return self._rng.choice(self.wallets)

    def launch(self, *, kind: Kind, hostile: bool, keeps_fees: bool, first_buy: bool) -> Draft:
        """Create a coin, with its creator's first buy in the same transaction."""
        rng = self._rng
        name, symbol = pick_name(rng, hostile=hostile)
        coin = Coin(
            mint=self._address(),
            creator=self.wallet(),
            name=name,
            symbol=symbol,
            uri=f"https://ipfs.io/ipfs/{rng.randbytes(12).hex()}",
            keeps_fees=keeps_fees,
            is_mayhem=kind == "mayhem",
            quote_mint=chain.USDC if kind == "usdc" else chain.WRAPPED_SOL,
            virtual_quote=_USDC_VIRTUAL_QUOTE if kind == "usdc" else sums.START_VIRTUAL_QUOTE,
            supply=2 * sums.SUPPLY if kind == "mayhem" else sums.SUPPLY,
        )
        draft = self._draft(coin.creator)
        created = draft.event(chain.PUMP, payloads.created(coin, block_time=self._clock.block_time))
        draft.call(chain.PUMP, "CreateV2", (created,), self._accounts(coin, coin.creator), units=109_769)
        row = None
        if first_buy:
            paid = int(coin.virtual_quote * rng.uniform(0.002, 0.08))
            filled = coin.buy_tokens(coin.creator, sums.curve_tokens(coin.virtual_quote, coin.virtual_token, paid))
            row = self._curve_traded(draft, coin, coin.creator, filled, tell=False)
        draft.touched.append(coin)
        draft.notices.append(Notice("create", coin, row, coin.holders.get(coin.creator, 0)))
        return draft

    def _accounts(self, coin: Coin, wallet: str) -> tuple[str, ...]:
        return (chain.PUMP_GLOBAL, chain.FEE_RECIPIENT, coin.mint, coin.curve, wallet, coin.creator, chain.SPL_2022)

    def _pool_accounts(self, coin: Coin, wallet: str) -> tuple[str, ...]:
        return (coin.pool, wallet, chain.PUMPSWAP_GLOBAL, coin.mint, coin.quote_mint, coin.creator, chain.SPL_2022)

    def _row(self, draft: Draft, coin: Coin, wallet: str, filled: Filled, venue: Literal["curve", "pool"]) -> TradeRow:
        """The truth of a trade just made; its event is the next one of *draft*."""
        on_pool = venue == "pool"
        return TradeRow(
            number=len(self._ledger) + len(draft.rows),
            signature=draft.signature,
            event_index=draft.next_index,
            slot=self._clock.slot,
            block_time=self._clock.block_time,
            mint=coin.mint,
            wallet=wallet,
            is_buy=filled.is_buy,
            venue=venue,
            quote_mint=coin.quote_mint,
            by_agent=wallet == chain.MAYHEM_AGENT,
            token_amount=filled.tokens,
            quote_amount=filled.quote,
            trader_quote_amount=filled.trader_quote,
            protocol_fee=filled.protocol_fee,
            creator_fee=filled.creator_fee,
            lp_fee=filled.lp_fee,
            virtual_token_reserves=coin.base if on_pool else coin.virtual_token,
            virtual_quote_reserves=coin.effective if on_pool else coin.virtual_quote,
            real_token_reserves=coin.base if on_pool else coin.real_token,
            real_quote_reserves=coin.vault if on_pool else coin.real_quote,
        )

    def _keep(self, draft: Draft, coin: Coin, wallet: str, row: TradeRow, *, tell: bool = True) -> None:
        draft.rows.append(row)
        draft.touched.append(coin)
        if tell:
            draft.notices.append(Notice("trade", coin, row, coin.holders.get(wallet, 0)))

    def _curve_traded(
        self, draft: Draft, coin: Coin, wallet: str, filled: Filled, *, tell: bool = True, extra: tuple[Step, ...] = ()
    ) -> TradeRow:
        """Write a curve trade just made, and what follows if it emptied the curve."""
        time = self._clock.block_time
        row = self._row(draft, coin, wallet, filled, "curve")
        self._keep(draft, coin, wallet, row, tell=tell)
        event = self._curve_event(draft, coin, wallet, filled, row)
        steps = [*extra, *trade_steps(event, is_buy=filled.is_buy)]
        if coin.stage == "complete":
            steps.append(draft.event(chain.PUMP, payloads.completed(coin, wallet, block_time=time)))
            if coin.keeps_fees and coin.is_sol and not coin.is_mayhem:
                bought = coin.post_complete_buy(wallet, self._rng.randrange(10**6, 10**12), exact_quote=self._rng.random() < 0.5)
                self._keep(draft, coin, wallet, self._row(draft, coin, wallet, bought, "pool"))
                steps.append(draft.event(chain.PUMP, payloads.post_complete_bought(coin, wallet, bought, block_time=time)))
        draft.call(chain.PUMP, "Buy" if filled.is_buy else "Sell", tuple(steps), self._accounts(coin, wallet), units=71_497)
        return row

    def _curve_event(self, draft: Draft, coin: Coin, wallet: str, filled: Filled, row: TradeRow) -> Emitted:
        payload = payloads.curve_trade(coin, wallet, filled, block_time=self._clock.block_time)
        return draft.event(chain.PUMP, self.upgrade.of_curve(payload, row.number))

    def _pool_traded(self, draft: Draft, coin: Coin, wallet: str, filled: Filled) -> None:
        row = self._row(draft, coin, wallet, filled, "pool")
        self._keep(draft, coin, wallet, row)
        payload = payloads.pool_trade(coin, wallet, filled, block_time=self._clock.block_time)
        event = draft.event(chain.PUMPSWAP, self.upgrade.of_pool(payload))
        name = ("Buy" if filled.is_buy else "Sell") + ("V2" if coin.keeps_fees else "")
        steps = trade_steps(event, is_buy=filled.is_buy)
        draft.call(chain.PUMPSWAP, name, steps, self._pool_accounts(coin, wallet), units=86_654)

    def trade(self, coin: Coin, *, wallets: Iterable[str] | None = None, several: int = 1, push: float = 0.03) -> Draft:
        """Buys and sells of one coin, in one transaction; buys only where nobody can sell."""
        draft = self._draft(self.wallet(), router=several > 1 or self._rng.random() < 0.3)
        for wallet in wallets or [draft.payer] * several:
            if coin.stage == "complete":
                break
            self._buy_or_sell(draft, coin, wallet, push)
        return draft

    def _buy_or_sell(self, draft: Draft, coin: Coin, wallet: str, push: float) -> None:
        if self._rng.random() < (0.1 if coin.runner else 0.45):
            seller = wallet if wallet in coin.holders else next(iter(coin.holders), None)
            if seller is not None and self._sell(draft, coin, seller, self._part(coin.holders[seller])):
                return
        self._buy(draft, coin, wallet, self._rng.uniform(0.2, 1.0) * push * (4 if coin.runner else 1))

    def _part(self, held: int) -> int:
        """How much of a holding is sold: all, a part, or dust."""
        drawn = self._rng.random()
        if drawn < 0.4:
            return held
        if drawn < 0.45:
            return min(held, self._rng.randrange(1, 20_000))
        return max(1, int(held * self._rng.random()))

    def _buy(self, draft: Draft, coin: Coin, wallet: str, push: float) -> None:
        exact_quote = self._rng.random() < 0.3
        if coin.stage == "pool":
            paid = max(int(coin.effective * push / 10), _LEAST_POOL_GROSS)
            amount = paid if exact_quote else max(1, sums.pool_tokens(coin.base, coin.effective, paid))
            self._pool_traded(draft, coin, wallet, coin.pool_buy(wallet, amount, exact_quote=exact_quote))
            return
        paid = max(2, int(coin.virtual_quote * push))
        tokens = max(1, sums.curve_tokens(coin.virtual_quote, coin.virtual_token, paid))
        filled = coin.buy_quote(wallet, paid) if exact_quote else coin.buy_tokens(wallet, tokens)
        self._curve_traded(draft, coin, wallet, filled)

    def _sell(self, draft: Draft, coin: Coin, wallet: str, tokens: int) -> bool:
        """Sell, unless the venue could not pay it."""
        if coin.stage == "pool":
            gross = sums.pool_proceeds(coin.base, coin.effective, tokens)
            # What is virtual in a pool's quote side cannot be paid out, and kept fees are not the pool's.
            if not _LEAST_POOL_GROSS <= gross <= coin.vault - coin.pool_kept:
                return False
            self._pool_traded(draft, coin, wallet, coin.pool_sell(wallet, tokens))
            return True
        quote = sums.curve_proceeds(coin.virtual_quote, coin.virtual_token, tokens)
        if quote > coin.real_quote or 0 < quote < _LEAST_CURVE_QUOTE:
            return False
        self._curve_traded(draft, coin, wallet, coin.sell(wallet, tokens))
        return True

    def round_trip(self, coin: Coin) -> Draft:
        """Buy and sell the same tokens at once: token reserves return, the quote reserve keeps a lamport or so."""
        draft = self._draft(self.wallet(), router=True)
        before = coin.holders.get(draft.payer, 0)
        self._buy(draft, coin, draft.payer, 0.004)
        if coin.stage != "complete":
            self._sell(draft, coin, draft.payer, coin.holders[draft.payer] - before)
        return draft

    def hop(self, sold: Coin, bought: Coin) -> Draft | None:
        """Swap one coin for another: one event each, fees on the first hop only."""
        seller = next(iter(sold.holders), None)
        if seller is None or sold.stage != "curve" or bought.stage != "curve" or sold.quote_mint != bought.quote_mint:
            return None
        tokens = self._part(sold.holders[seller])
        paid = sums.curve_proceeds(sold.virtual_quote, sold.virtual_token, tokens)
        if not 1000 < paid <= sold.real_quote:
            return None
        draft = self._draft(seller, router=True)
        self._curve_traded(draft, sold, seller, sold.sell(seller, tokens))
        wanted = max(1, sums.curve_tokens(bought.virtual_quote, bought.virtual_token, paid))
        self._curve_traded(draft, bought, seller, bought.buy_tokens(seller, wanted, free=True))
        return draft

    def agent(self, coin: Coin) -> Draft:
        """A trade of the mayhem agent: priced on the old reserves, without fees, the emitted virtual quote re-anchored."""
        agent = chain.MAYHEM_AGENT
        draft = self._draft(agent)
        held = coin.holders.get(agent, 0)
        tokens = max(1, int((held or coin.real_token) * self._rng.uniform(0.01, 0.3)))
        payable = sums.curve_proceeds(coin.virtual_quote, coin.virtual_token, tokens) <= coin.real_quote
        if held and payable and self._rng.random() < 0.5:
            filled = coin.sell(agent, tokens, agent=True)
        else:
            filled = coin.buy_tokens(agent, min(tokens, coin.real_token // 4 + 1), agent=True)
        coin.virtual_quote = coin.real_quote + self._rng.randrange(2_000_000_000, 38_000_000_000)
        row = self._row(draft, coin, agent, filled, "curve")
        self._keep(draft, coin, agent, row)
        event = self._curve_event(draft, coin, agent, filled, row)
        name = Text("Program log: Instruction: " + ("Buy" if filled.is_buy else "Sell"))
        steps = (name, *trade_steps(event, is_buy=False))
        traded = Call(chain.PUMP, steps, self._accounts(coin, agent), units=63_402)
        body = (name, traded, Data(_MAYHEM_EVENT), Call(chain.MAYHEM, units=6_533))
        draft.raw(Call(chain.MAYHEM, body, units=142_877))
        return draft

    def housekeeping(self, coin: Coin) -> Draft:
        """A trade behind other events of the same program, one of them unknown to everybody: they count in its index."""
        draft = self._draft(self.wallet())
        time = self._clock.block_time
        collected = encode("CollectCreatorFeeEvent", {"timestamp": time, "creator": chain.key(coin.creator), "creator_fee": 5})
        draft.call(chain.PUMP, "CollectCreatorFee", (draft.event(chain.PUMP, collected),), (coin.creator,), units=9_000)
        if self._rng.random() < 0.3:
            draft.call(chain.PUMP, "Extra", (draft.event(chain.PUMP, UNKNOWN_EVENT),), (coin.creator,), units=8_000)
        if coin.stage != "complete":
            self._buy(draft, coin, draft.payer, 0.01)
        return draft

    def mayhem_params(self, coin: Coin) -> Draft:
        """Give a mayhem coin other virtual reserves; nothing is traded."""
        draft = self._draft(self.wallet())
        before = coin.virtual_token, coin.virtual_quote
        coin.virtual_token = coin.real_token + self._rng.randrange(200, 400) * 10**12
        coin.virtual_quote = coin.real_quote + self._rng.randrange(2_000_000_000, 38_000_000_000)
        event = draft.event(chain.PUMP, payloads.mayhem_params(coin, before, block_time=self._clock.block_time))
        body = (Text("Program log: Instruction: UpdateMayhemVirtualParams"), event)
        updated = Call(chain.PUMP, body, self._accounts(coin, draft.payer), units=21_000)
        draft.raw(Call(chain.MAYHEM, (updated,), units=48_000))
        draft.touched.append(coin)
        draft.changes.append(Change("mayhem params", coin.mint))
        return draft

    def liquidity(self, coin: Coin) -> Draft:
        """Add something to a pool, or take it out again."""
        draft = self._draft(self.wallet())
        is_deposit = self._rng.random() < 0.5
        moved = coin.deposit(50) if is_deposit else coin.withdraw(50)
        kind = "deposit" if is_deposit else "withdraw"
        payload = payloads.liquidity(coin, draft.payer, moved, is_deposit=is_deposit, block_time=self._clock.block_time)
        event = draft.event(chain.PUMPSWAP, payload)
        draft.call(chain.PUMPSWAP, kind.capitalize(), (event,), self._pool_accounts(coin, draft.payer), units=70_000)
        draft.touched.append(coin)
        draft.changes.append(Change(kind, coin.mint))
        return draft

    def sweep(self, coin: Coin) -> Draft:
        """Collect the fees that a pool kept."""
        draft = self._draft(self.wallet())
        payload = payloads.pool_swept(coin, draft.payer, coin.sweep(), block_time=self._clock.block_time)
        event = draft.event(chain.PUMPSWAP, payload)
        draft.call(chain.PUMPSWAP, "SweepPoolFee", (event,), self._pool_accounts(coin, draft.payer), units=40_000)
        draft.touched.append(coin)
        return draft

    def failure(self, coin: Coin) -> Draft:
        """A transaction that fails, half of them after pump had already written its event."""
        draft = self._draft(self.wallet(), router=True)
        shadow = copy.copy(coin)
        shadow.holders = {}
        if shadow.stage == "curve" and self._rng.random() < 0.5:
            self._buy(draft, shadow, draft.payer, 0.02)
            self.upgrade.unreadable.difference_update(row.number for row in draft.rows)
            draft.rows.clear()
            draft.notices.clear()
            draft.touched.clear()
        else:
            body = (Text("Program log: !a"),) * self._rng.randrange(1, 12)
            draft.raw(Call(self._rng.choice(chain.ROUTERS), body, self._accounts(coin, draft.payer), units=9_108))
        draft.failed = "custom program error: 0x1772"
        return draft

    def impostor(self, coin: Coin) -> Draft:
        """Another program writes, byte for byte, a TradeEvent of a coin that it does not own."""
        draft = self._draft(self.wallet())
        shadow = copy.copy(coin)
        shadow.holders = {}
        filled = shadow.buy_tokens(draft.payer, 1_000_000)
        payload = payloads.curve_trade(shadow, draft.payer, filled, block_time=self._clock.block_time)
        call = foreign_event(chain.MOONSHOT, payload)
        draft.raw(Call(call.program, call.body, self._accounts(coin, draft.payer), units=call.units))
        return draft

    def migration(self, coin: Coin) -> Draft:
        """Open the canonical pool of a completed coin."""
        draft = self._draft(self.wallet())
        time = self._clock.block_time
        coin.graduate(self._rng.choice((17_584_505_288, 0, 0, -1_000_000_000)) if coin.is_sol else 0)
        opened = draft.event(chain.PUMPSWAP, payloads.pool_created(coin, draft.payer, block_time=time))
        pool_body: list[Step] = [Text("Program log: Instruction: CreatePool"), opened]
        if coin.virtual > 0:
            pool_body.append(draft.event(chain.PUMPSWAP, payloads.boosted(coin, block_time=time)))
        create_pool = Call(chain.PUMPSWAP, tuple(pool_body), self._pool_accounts(coin, draft.payer), units=120_000)
        done = draft.event(chain.PUMP, payloads.migrated(coin, draft.payer, block_time=time))
        draft.call(chain.PUMP, "MigrateV2", (create_pool, done), self._accounts(coin, draft.payer), units=260_000)
        draft.touched.append(coin)
        draft.notices.append(Notice("migrate", coin))
        return draft
