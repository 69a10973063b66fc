"""What the chain has of an address: its signatures and its transactions, as far as a node's lists can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec
from loguru import logger

from pumpwatch.backfill.answers import decoded
from pumpwatch.backfill.rpc import Rpc, RpcFailed, RpcRefused

#: The most rows that a node gives at once. Source: facts/solana_rpc.md section 5.
MOST_ROWS: Final = 1000
#: The same of whole transactions (Helius, 2026-01; later documents say 1,000).
MOST_WHOLE: Final = 100
#: Versions up to this one; without the parameter, a node refuses every versioned transaction.
NEWEST_VERSION: Final = 1

#: A list beyond is not a token's: we have the wrong address, or a node that turns in a circle.
_MOST_PAGES: Final = 2000
_WHOLE: Final = "getTransactionsForAddress"
_METHOD_NOT_FOUND: Final = -32601
_INVALID_REQUEST: Final = -32600
_INVALID_PARAMS: Final = -32602
#: What the database can hold.
_Slot: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Seconds: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_REFUSALS: Final = frozenset({_METHOD_NOT_FOUND, _INVALID_REQUEST, _INVALID_PARAMS})


class SignatureRow(NamedTuple):
    """One transaction in an address's list; *block_time* in unix seconds."""

    signature: str
    slot: int
    failed: bool
    block_time: int | None


class Listing(NamedTuple):
    """
    What a node lists of an address.

    Attributes:
        rows: Newest first, each signature once, failed ones included; some may be older than what was asked for.
        reached: Every page joined the one before it, and the last went below the slot asked for or was the end of the list. A
            lagging node may lack rows all the same: ask with ``min_context_slot``, and again at finalized.
    """

    rows: list[SignatureRow]
    reached: bool


class _Row(msgspec.Struct):
    signature: str
    slot: _Slot
    err: object = None
    blockTime: _Seconds | None = None  # noqa: N815 - the chain's name


class _Message(msgspec.Struct):
    signatures: list[str]


class _Item(msgspec.Struct):
    transaction: _Message


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    paginationToken: str | None = None  # noqa: N815 - the provider's name


class History:
    """
    Looks up an address's past. One thread, that of *rpc*; each method raises what :meth:`Rpc.call` raises.

    Args:
        rpc: With the provider's limits.
        rows_per_page: Of a list of signatures.
    """

    def __init__(self, rpc: Rpc, *, rows_per_page: int = MOST_ROWS) -> None:
        self._rpc = rpc
        self._rows_per_page = rows_per_page
        self._has_whole = rpc.provider.transaction_subscribe == "yes"

    @property
    def has_whole(self) -> bool:
        """Whether :meth:`whole` is one cheap method here, as far as we know; False for good once it was refused."""
        return self._has_whole

    def current_slot(self, commitment: str = "confirmed") -> int:
        """The slot at which the node is, at that commitment."""
        return decoded(self._rpc.raw("getSlot", [{"commitment": commitment}]), int)

    def signatures(
        self,
        address: str,
        *,
        down_to_slot: int = 0,
        min_context_slot: int | None = None,
        commitment: str = "confirmed",
    ) -> Listing:
        """
        List the transactions of *address*, from now back to *down_to_slot* (0: to its first).

        Pages overlap by at least a slot, as ``before`` in the middle of a block may skip or repeat rows (issues named in
        facts/solana_rpc.md section 5). The whole list is in memory: 150 bytes a row.

        Raises:
            RpcBehind: The node has not reached *min_context_slot*.

        """
        found: dict[str, SignatureRow] = {}
        before: str | None = None
        overlaps, joined = False, True
        for _ in range(_MOST_PAGES):
            page = self._page(address, before=before, min_context_slot=min_context_slot, commitment=commitment)
            new = [row for row in page if row.signature not in found]
            if overlaps and len(new) == len(page):
                # Nothing of what the last page had: the rows between the two, if there are any, were never shown.
                joined = False
            found.update((row.signature, row) for row in new)
            if _is_below(page, down_to_slot):
                return _listing(found, reached=joined)
            is_full = len(page) >= self._rows_per_page
            if not new and not (is_full and overlaps):
                return _listing(found, reached=joined)
            before, overlaps = _continue_after(page) if new else (page[-1].signature, False)
            if is_full and not overlaps:
                # The cut goes through a slot: what is on neither side of it cannot be told.
                joined = False
        return _listing(found, reached=False)

    def transactions(
        self, signatures: Sequence[str], *, commitment: str = "confirmed"
    ) -> Iterator[tuple[str, msgspec.Raw | None]]:
        """
        Fetch transactions, each as the JSON of its ``getTransaction`` result (encoding json); None = the node lacks it as yet.

        They come batch by batch. Whoever has enough stops iterating.

        Raises:
            RpcFailed: At the end, when some could not be fetched: the others were given before.

        """
        failures: list[RpcFailed] = []
        done = 0
        while done < len(signatures):
            some = signatures[done : done + self._rpc.batch_size("getTransaction")]
            done += len(some)
            options = {"encoding": "json", "commitment": commitment, "maxSupportedTransactionVersion": NEWEST_VERSION}
            outcomes = self._rpc.batch([("getTransaction", [signature, options]) for signature in some])
            for signature, outcome in zip(some, outcomes, strict=True):
                if isinstance(outcome, RpcFailed):
                    failures.append(outcome)
                else:
                    yield signature, None if bytes(outcome) == b"null" else outcome
        if failures:
            first = failures[0]
            text = f"{len(failures)} of {len(signatures)} transactions could not be fetched: {first}"
            raise RpcFailed(text, status=first.status, code=first.code)

    def whole(
        self, address: str, *, from_slot: int, to_slot: int, commitment: str = "confirmed"
    ) -> Iterator[tuple[str, msgspec.Raw | None]]:
        """
        Fetch every successful transaction of *address* in these slots, both included: as :meth:`transactions` gives them.

        Where the plan has ``getTransactionsForAddress``: oldest first, a tenth of the credits. Else by the list of signatures.
        """
        given: set[str] = set()
        if self._has_whole:
            try:
                for signature, item in self._pages_of_whole(address, from_slot, to_slot, commitment):
                    if signature not in given:
                        given.add(signature)
                        yield signature, item
            except RpcFailed as error:
                if not _is_refusal(error):
                    raise
                self._has_whole = False
                logger.info("{} is not to be had here ({}): history is read transaction by transaction", _WHOLE, error)
            else:
                return
        listing = self.signatures(address, down_to_slot=from_slot, commitment=commitment)
        wanted = [
            row.signature
            for row in reversed(listing.rows)
            if from_slot <= row.slot <= to_slot and not row.failed and row.signature not in given
        ]
        yield from self.transactions(wanted, commitment=commitment)
        if not listing.reached:
            raise RpcFailed(f"the list of signatures of {address} could not be read to its end")

    def _page(self, address: str, *, before: str | None, min_context_slot: int | None, commitment: str) -> list[SignatureRow]:
        options: dict[str, object] = {"limit": self._rows_per_page, "commitment": commitment}
        if before is not None:
            options["before"] = before
        if min_context_slot is not None:
            options["minContextSlot"] = min_context_slot
        rows = decoded(self._rpc.raw("getSignaturesForAddress", [address, options]), list[_Row])
        return [SignatureRow(row.signature, row.slot, row.err is not None, row.blockTime) for row in rows]

    def _pages_of_whole(self, address: str, from_slot: int, to_slot: int, commitment: str) -> Iterator[tuple[str, msgspec.Raw]]:
        token: str | None = None
        for _ in range(_MOST_PAGES):
            options: dict[str, object] = {
                "transactionDetails": "full",
                "sortOrder": "asc",
                "limit": MOST_WHOLE,
                "encoding": "json",
                "commitment": commitment,
                "maxSupportedTransactionVersion": NEWEST_VERSION,
                "filters": {"slot": {"gte": from_slot, "lte": to_slot}, "status": "succeeded", "tokenAccounts": "none"},
            }
            if token is not None:
                options["paginationToken"] = token
            page = decoded(self._rpc.raw(_WHOLE, [address, options]), _Page)
            for item in page.data:
                signatures = decoded(item, _Item).transaction.signatures
                if not signatures:
                    raise RpcFailed(f"{_WHOLE}: a transaction without a signature")
                yield signatures[0], item
            if page.paginationToken is None:
                return
            if page.paginationToken == token:
                break
            token = page.paginationToken
        raise RpcFailed(f"{_WHOLE}: the pages do not end")


def _is_refusal(error: RpcFailed) -> bool:
    return isinstance(error, RpcRefused) or error.code in _REFUSALS


def _is_below(page: Sequence[SignatureRow], slot: int) -> bool:
    """Whether a page shows that nothing newer than *slot*, or in it, is left: it goes below it."""
    is_newest_first = all(above.slot >= below.slot for above, below in pairwise(page))
    slots = [row.slot for row in page]
    return bool(page) and (max(slots) < slot or (is_newest_first and slots[-1] < slot))


def _continue_after(page: Sequence[SignatureRow]) -> tuple[str, bool]:
    """
    The ``before`` of the next page: the oldest signature above the oldest slot, so that this slot is read again, wholly.

    Where all rows are in one slot, the last of them, and False: the next page does not overlap this one.
    """
    oldest = min(row.slot for row in page)
    above = [row for row in page if row.slot > oldest]
    last = min(reversed(above), key=lambda row: row.slot) if above else page[-1]
    return last.signature, bool(above)


def _listing(found: dict[str, SignatureRow], *, reached: bool) -> Listing:
    return Listing(sorted(found.values(), key=lambda row: row.slot, reverse=True), reached)
