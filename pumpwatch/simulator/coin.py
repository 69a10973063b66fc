"""One coin: its curve, later its pool, and the trades that move them by the programs' exact integers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from pumpwatch.simulator import arithmetic as sums
from pumpwatch.simulator.chain import SPL, SPL_2022, WRAPPED_SOL, ZERO_KEY, bonding_curve, canonical_pool, key, token_account

Stage: TypeAlias = Literal["curve", "complete", "pool"]


class Filled(NamedTuple):
    """
    What a trade did.

    Attributes:
        quote: Net of fees: what moved the curve; on a pool the net (buy) or gross (sell) amount.
        exact_quote: The trader fixed the quote amount, not the tokens.
        base_before: Of a pool: the token vault BEFORE the trade; *vault_before* and *virtual_before* its quote side.
    """

    is_buy: bool
    tokens: int
    quote: int
    protocol_fee: int
    creator_fee: int
    lp_fee: int
    buyback: int
    exact_quote: bool
    base_before: int = 0
    vault_before: int = 0
    virtual_before: int = 0

    @property
    def trader_quote(self) -> int:
        """Paid or received by the trader, fees included."""
        fees = self.protocol_fee + self.creator_fee + self.lp_fee
        return self.quote + fees if self.is_buy else self.quote - fees


@dataclass(slots=True)
class Coin:
    """
    State of one coin. Only the market's thread changes it.

    Attributes:
        quote_mint: Address of the quote (wrapped SOL for SOL).
        keeps_fees: A third-version curve: fees stay on it, the zero key stands as their recipient.
        virtual_token: Virtual reserves of the curve; ``real_*`` likewise.
        base, vault, virtual: Of the pool: token vault, quote vault, virtual quote reserve (signed).
        holders: Balances by wallet, for sells.
        runner: The market pushes it until it graduates.
        pool_kept: Fees in the pool's quote vault that a sweep will take out.
        vaults: The pool's token accounts, base and quote, once it is open.
    """

    mint: str
    creator: str
    name: str
    symbol: str
    uri: str
    quote_mint: str = WRAPPED_SOL
    is_mayhem: bool = False
    keeps_fees: bool = False
    runner: bool = False
    stage: Stage = "curve"
    supply: int = sums.SUPPLY
    virtual_token: int = sums.START_VIRTUAL_TOKEN
    virtual_quote: int = sums.START_VIRTUAL_QUOTE
    real_token: int = sums.START_REAL_TOKEN
    real_quote: int = 0
    base: int = 0
    vault: int = 0
    virtual: int = 0
    trades: int = 0
    fees_kept: int = 0
    pool_kept: int = 0
    holders: dict[str, int] = field(default_factory=dict)
    curve: str = ""
    pool: str = ""
    vaults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.curve = bonding_curve(self.mint)
        self.pool = canonical_pool(self.mint, self.quote_mint)

    @property
    def is_sol(self) -> bool:
        return self.quote_mint == WRAPPED_SOL

    @property
    def quote_key(self) -> bytes:
        """How the curve's events name the quote."""
        return ZERO_KEY if self.is_sol else key(self.quote_mint)

    @property
    def effective(self) -> int:
        """Quote side that prices the pool."""
        return self.vault + self.virtual

    def buy_tokens(self, wallet: str, tokens: int, *, agent: bool = False, free: bool = False) -> Filled:
        """Buy exactly *tokens* from the curve, at most what is left."""
        tokens = min(tokens, self.real_token)
        cost = sums.curve_cost(self.virtual_quote, self.virtual_token, tokens)
        return self._curve_bought(wallet, tokens, cost, exact_quote=False, no_fees=agent or free)

    def buy_quote(self, wallet: str, paid: int, *, agent: bool = False) -> Filled:
        """Buy from the curve for *paid* (net); what empties the curve is cut and priced by tokens."""
        tokens = sums.curve_tokens(self.virtual_quote, self.virtual_token, paid)
        if tokens >= self.real_token:
            return self.buy_tokens(wallet, self.real_token, agent=agent)
        return self._curve_bought(wallet, tokens, paid, exact_quote=True, no_fees=agent)

    def _curve_bought(self, wallet: str, tokens: int, quote: int, *, exact_quote: bool, no_fees: bool) -> Filled:
        self.virtual_token -= tokens
        self.real_token -= tokens
        self.virtual_quote += quote
        self.real_quote += quote
        self.holders[wallet] = self.holders.get(wallet, 0) + tokens
        if self.real_token == 0:
            self.stage = "complete"
        return self._curve_filled(tokens, quote, is_buy=True, exact_quote=exact_quote, no_fees=no_fees)

    def sell(self, wallet: str, tokens: int, *, agent: bool = False, free: bool = False) -> Filled:
        """Sell *tokens* to the curve."""
        quote = sums.curve_proceeds(self.virtual_quote, self.virtual_token, tokens)
        assert quote <= self.real_quote, "a curve cannot pay more than it holds"
        self.virtual_token += tokens
        self.real_token += tokens
        self.virtual_quote -= quote
        self.real_quote -= quote
        self._take(wallet, tokens)
        return self._curve_filled(tokens, quote, is_buy=False, exact_quote=False, no_fees=agent or free)

    def _take(self, wallet: str, tokens: int) -> None:
        left = self.holders.get(wallet, 0) - tokens
        if left > 0:
            self.holders[wallet] = left
        else:
            self.holders.pop(wallet, None)

    def _curve_filled(self, tokens: int, quote: int, *, is_buy: bool, exact_quote: bool, no_fees: bool) -> Filled:
        protocol = 0 if no_fees else sums.fee_of(quote, sums.CURVE_FEE_BPS)
        creator = 0 if no_fees else sums.fee_of(quote, sums.CURVE_CREATOR_BPS)
        buyback = protocol * sums.BUYBACK_BPS // 10_000
        if self.keeps_fees:
            self.fees_kept += creator
        self.trades += 1
        return Filled(is_buy, tokens, quote, protocol, creator, 0, buyback, exact_quote)

    def post_complete_buy(self, wallet: str, tokens: int, *, exact_quote: bool) -> Filled:
        """The part of a completing buy that is priced on the pool to come."""
        self.base = sums.POOL_TOKENS
        self.vault = self.real_quote - sums.MIGRATION_FEE
        before = self.base, self.vault
        quote = sums.pool_cost(self.base, self.vault, tokens) + exact_quote
        self.base -= tokens
        self.vault += quote
        self.holders[wallet] = self.holders.get(wallet, 0) + tokens
        filled = self._curve_filled(tokens, quote, is_buy=True, exact_quote=exact_quote, no_fees=False)
        return filled._replace(base_before=before[0], vault_before=before[1])

    def graduate(self, virtual: int) -> None:
        """Open the pool: with what the post-complete buy left, else with the curve's quote less the migration fee."""
        if not self.base:
            self.base = sums.POOL_TOKENS
            self.vault = self.real_quote - sums.MIGRATION_FEE
        self.virtual = virtual
        self.stage = "pool"
        self.vaults = (token_account(self.pool, self.mint, SPL_2022), token_account(self.pool, self.quote_mint, SPL))

    def pool_buy(self, wallet: str, amount: int, *, exact_quote: bool) -> Filled:
        """Buy from the pool: *amount* is net quote if *exact_quote*, else tokens."""
        if exact_quote:
            net, tokens = amount, sums.pool_tokens(self.base, self.effective, amount)
        else:
            net, tokens = sums.pool_cost(self.base, self.effective, amount), amount
        filled = self._pool_filled(tokens, net, is_buy=True, exact_quote=exact_quote)
        self.base -= tokens
        self._settle(filled, net + filled.lp_fee)
        self.holders[wallet] = self.holders.get(wallet, 0) + tokens
        return filled

    def pool_sell(self, wallet: str, tokens: int) -> Filled:
        """Sell *tokens* to the pool."""
        gross = sums.pool_proceeds(self.base, self.effective, tokens)
        filled = self._pool_filled(tokens, gross, is_buy=False, exact_quote=False)
        self.base += tokens
        self._settle(filled, filled.lp_fee - gross)
        self._take(wallet, tokens)
        return filled

    def deposit(self, share: int) -> tuple[int, int]:
        """Add one part in *share* of both vaults; returns tokens and quote. The virtual reserve stays (unverified on chain)."""
        added = self.base // share, self.vault // share
        self.base += added[0]
        self.vault += added[1]
        return added

    def withdraw(self, share: int) -> tuple[int, int]:
        """Take one part in *share* of both vaults."""
        taken = self.base // share, self.vault // share
        self.base -= taken[0]
        self.vault -= taken[1]
        return taken

    def sweep(self) -> int:
        """Take the kept fees out of the quote vault; the pool's price does not change."""
        swept, self.pool_kept = self.pool_kept, 0
        self.vault -= swept
        self.virtual += swept
        return swept

    def _settle(self, filled: Filled, effective_change: int) -> None:
        """Move vault and virtual reserve; with kept fees the vault holds them and the virtual reserve gives them back."""
        kept = filled.protocol_fee - filled.buyback + filled.creator_fee if self.keeps_fees else 0
        self.vault += effective_change + kept
        self.virtual -= kept
        self.pool_kept += kept
        if self.keeps_fees:
            self.fees_kept += filled.creator_fee

    def _pool_filled(self, tokens: int, quote: int, *, is_buy: bool, exact_quote: bool) -> Filled:
        protocol = sums.fee_of(quote, sums.POOL_PROTOCOL_BPS)
        self.trades += 1
        return Filled(
            is_buy=is_buy,
            tokens=tokens,
            quote=quote,
            protocol_fee=protocol,
            creator_fee=sums.fee_of(quote, sums.POOL_CREATOR_BPS),
            lp_fee=sums.fee_of(quote, sums.POOL_LP_BPS),
            buyback=protocol * sums.BUYBACK_BPS // 10_000,
            exact_quote=exact_quote,
            base_before=self.base,
            vault_before=self.vault,
            virtual_before=self.virtual,
        )
