"""
What is new in the record since a place in it: trades in the order in which they were committed, and changes of what was told.

One process writes, so rows of ``trades`` and of ``changes`` get their ids in the order of their commits, and no id is used twice.
A place is the last id of each that a reader has had. Each question is a short transaction: following keeps no log from shrinking.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Collection
from typing import Any, Final, Literal, TypeAlias

import msgspec

from pumpwatch.errors import UsageError
from pumpwatch.storage.chosen import COLUMNS, STATES, TradeRow, Wanted
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.schema_figures import TRADE_TABLES

#: Rows of one table that one question goes through.
PAGE: Final = 5_000

#: Why a reader cannot have everything from its place on.
Loss: TypeAlias = Literal["changes", "replaced", "restored", "pruned"]

_LAYOUT: Final = struct.Struct(">QQQI")
_CHECKSUM_BYTES: Final = 4
_LARGEST: Final = 2**63 - 1
_MARK: Final = "c"

#: The seal where there is no trade.
_NO_TRADE: Final = 0


class Place(msgspec.Struct, frozen=True):
    """
    Up to where a reader has had the record.

    Attributes:
        record: Which: when it was made, in unix microseconds.
        trade_id: The last row of ``trades``; *change_id*: of ``changes``.
        seal: Of that trade: another copy of the record may have another trade there.
    """

    record: int
    trade_id: int
    change_id: int
    seal: int = 0

    def text(self) -> str:
        """The cursor: letters, digits, ``-`` and ``_``, and a letter first."""
        packed = _LAYOUT.pack(self.record, self.trade_id, self.change_id, self.seal)
        whole = packed + zlib.crc32(packed).to_bytes(_CHECKSUM_BYTES, "big")
        return _MARK + base64.urlsafe_b64encode(whole).decode("ascii").rstrip("=")

    @classmethod
    def of_text(cls, cursor: str) -> Place:
        """
        Read a cursor.

        Raises:
            UsageError: It is none of ours, or not all of it.

        """
        try:
            whole = base64.b64decode(cursor[1:].encode("ascii") + b"=" * (-len(cursor[1:]) % 4), altchars=b"-_", validate=True)
            place = cls(*_LAYOUT.unpack(whole[:-_CHECKSUM_BYTES]))
        except (UnicodeError, binascii.Error, struct.error):
            place = None
        # Written anew it must be the same text, checksum and all.
        if place is None or place.text() != cursor or max(place.trade_id, place.change_id) > _LARGEST:
            raise UsageError("--after takes `begin`, or the whole cursor of a line of this command")
        return place


class Ends(msgspec.Struct, frozen=True):
    """
    Where the record ends now, and where what is kept of its changes begins.

    Attributes:
        pruned_to: Trades up to this id may be gone. The newest never is, so that no id is given twice.
    """

    record: int
    trade_id: int
    first_change_id: int
    change_id: int
    pruned_to: int = 0


class Told(msgspec.Struct, frozen=True):
    """
    A trade, new or changed.

    Attributes:
        id: Of its row: stays its own for ever.
        state: ``provisional``, ``confirmed``, ``finalized``, ``dropped``, ``superseded``.
        matches: It still is what was wanted by size and time, which may change when it is confirmed.
        completeness: Of its token.
    """

    id: int
    state: str
    matches: bool
    completeness: str
    row: TradeRow


class TradeChanged(msgspec.Struct, frozen=True):
    """*trade* as it is now; its *state* is the one that it came into with this change."""

    change_id: int
    at_us: int
    trade: Told


class CompletenessChanged(msgspec.Struct, frozen=True):
    """The token as it is now; its *completeness* is the one that it came into with this change."""

    change_id: int
    at_us: int
    mint: str
    symbol: str | None
    completeness: str
    complete_from: int | None
    complete_until: int | None
    proven_to_slot: int | None
    holes: int | None
    reason: str | None


class Lost(msgspec.Struct, frozen=True):
    """
    Not everything can be told from the place on.

    Attributes:
        what: ``changes``: of what was told already, some changed unseen. ``replaced``: this is another record; ``restored``: an
            older copy of the record: all is told from its beginning. ``pruned``: old trades behind the place are gone, before
            they were told.
    """

    what: Loss


class Among(msgspec.Struct, frozen=True):
    """Trades of any of these tokens and of any of these wallets, and the completeness of these tokens."""

    mints: Collection[str] = ()
    wallets: Collection[str] = ()

    @property
    def parameters(self) -> dict[str, str]:
        """For :attr:`trades` and :attr:`tokens`."""
        return {name: msgspec.json.encode(list(getattr(self, name))).decode() for name in ("mints", "wallets")}

    @property
    def trades(self) -> str:
        """Of ``trades``. The plus keeps to the ids: no index of the token or the wallet."""
        return (
            "(+trades.token_id IN (SELECT one.id FROM json_each(:mints) CROSS JOIN tokens AS one ON one.mint = value) "
            "OR +trades.wallet_id IN (SELECT one.id FROM json_each(:wallets) CROSS JOIN wallets AS one ON one.address = value))"
        )

    @property
    def tokens(self) -> str:
        """Of ``tokens``."""
        return "tokens.mint IN (SELECT value FROM json_each(:mints))"


Change: TypeAlias = TradeChanged | CompletenessChanged
News: TypeAlias = Told | Change | Lost


def ends(reader: Reader) -> Ends:
    """The ends of the record at one moment."""
    [(record, trade_id, first, last, pruned_to)] = reader.rows(
        "SELECT (SELECT value FROM meta WHERE key = 'created_at_us'), ifnull((SELECT max(id) FROM trades), 0), "
        "(SELECT min(id) FROM changes), ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0), "
        "(SELECT value FROM meta WHERE key = 'pruned_to_id')"
    )
    return Ends(int(record or 0), trade_id, last + 1 if first is None else first, last, int(pruned_to or 0))


def beginning(reader: Reader) -> Place:
    """Before the first trade. What has changed until now will be seen in the trades."""
    now = ends(reader)
    return Place(now.record, 0, now.change_id)


def end(reader: Reader) -> Place:
    """Behind all that is there now."""
    now = ends(reader)
    return Place(now.record, now.trade_id, now.change_id, _seal_at(reader, now.trade_id))


class Tail:
    """
    Reads on from a place, as fast as it is asked to.

    Attributes:
        place: Everything up to here was told.
        among: Only these, beside what *wanted* says. May be changed between two reads: then it is for what comes.
    """

    def __init__(self, reader: Reader, wanted: Wanted, place: Place, *, among: Among | None = None) -> None:
        self._reader = reader
        self._wanted = wanted
        self.among = among
        self._horizon = Ends(place.record, place.trade_id, 0, place.change_id)
        self._is_known = False  # is this the record that the place is of?
        self._has_lost_trades = False  # and was it said, of those up to the horizon?
        self.place = place

    @property
    def is_at_end(self) -> bool:
        """Nothing more was there when it was looked last."""
        return (self.place.trade_id, self.place.change_id) == (self._horizon.trade_id, self._horizon.change_id)

    def read(self) -> list[tuple[News, Place]]:
        """
        The next news, each with the place behind it; may be none although more is to come.

        A trade is told before its changes: up to a horizon first all trades, then all changes.
        """
        if self.is_at_end:
            loss = self._look()
            if loss is not None:
                return [(Lost(loss), self.place)]
        if self.place.trade_id < self._horizon.trade_id:
            return self._trades()
        return self._changes() if self.place.change_id < self._horizon.change_id else []

    def _look(self) -> Loss | None:
        """Set a new horizon; go to where it can be gone on, and say what is lost, if the record does not follow the place."""
        now, place = ends(self._reader), self.place
        self._horizon = now
        seal = place.seal if self._is_known else _seal_at(self._reader, place.trade_id)
        self._is_known = True
        if now.record != place.record:
            self.place = Place(now.record, 0, now.change_id)
            return "replaced"
        if now.trade_id < place.trade_id or now.change_id < place.change_id or seal not in (place.seal, _NO_TRADE):
            self.place = Place(now.record, 0, now.change_id)
            return "restored"
        is_gone = seal == _NO_TRADE and place.seal != _NO_TRADE
        if is_gone:
            self.place = msgspec.structs.replace(place, seal=_NO_TRADE)
        # That the place's own trade is gone, which was told, is no loss; unless it went otherwise than by pruning.
        self._has_lost_trades = self._is_pruned(now.pruned_to) or (is_gone and place.trade_id > now.pruned_to)
        return "pruned" if self._has_lost_trades else self._trimmed(now)

    def _is_pruned(self, pruned_to: int) -> bool:
        """Whether trades behind the place may be gone, of the token that is wanted, if one is."""
        if pruned_to <= self.place.trade_id or self._wanted.mint is None:
            return pruned_to > self.place.trade_id
        return bool(
            self._rows(
                "SELECT 1 FROM baselines WHERE token_id = (SELECT id FROM tokens WHERE mint = :mint) AND last_id > :after",
                after=self.place.trade_id,
            )
        )

    def _trimmed(self, now: Ends) -> Loss | None:
        if self.place.change_id >= now.first_change_id - 1:
            return None
        self.place = msgspec.structs.replace(self.place, change_id=now.first_change_id - 1)
        return "changes"

    def _trades(self) -> list[tuple[News, Place]]:
        place = self.place
        reached = min(place.trade_id + PAGE, self._horizon.trade_id)
        told = [
            _told(row)
            for row in self._rows(
                f"SELECT {self._columns} FROM {TRADE_TABLES} WHERE trades.id > :after AND trades.id <= :reached "
                f"AND {self._wanted.states} AND {self._wanted.lasting} AND {self._wanted.passing} AND {self._of_addresses} "
                "ORDER BY trades.id",
                after=place.trade_id,
                reached=reached,
            )
        ]
        lost: list[tuple[News, Place]] = []
        if not self._has_lost_trades and self._is_pruned(ends(self._reader).pruned_to):  # while it was read
            self._has_lost_trades = True
            lost = [(Lost("pruned"), place)]
        self.place = Place(place.record, reached, place.change_id, _seal_at(self._reader, reached))
        return lost + [(one, Place(place.record, one.id, place.change_id, _seal(one.row.signature))) for one in told]

    def _changes(self) -> list[tuple[News, Place]]:
        place = self.place
        between = {"after": place.change_id, "reached": min(place.change_id + PAGE, self._horizon.change_id)}
        news: list[Change] = [*self._trade_changes(between), *self._completeness_changes(between)]
        loss = self._trimmed(ends(self._reader))
        if loss is not None:  # while it was read
            return [(Lost(loss), self.place)]
        self.place = msgspec.structs.replace(place, change_id=between["reached"])
        news.sort(key=lambda change: change.change_id)
        return [(change, msgspec.structs.replace(place, change_id=change.change_id)) for change in news]

    def _trade_changes(self, between: dict[str, int]) -> list[TradeChanged]:
        # A provisional trade that was not told, as only confirmed ones were wanted, need not be taken back.
        states = "changes.state IN (1, 2)" if self._wanted.confirmed_only else "1"
        found = self._rows(
            f"SELECT changes.id, changes.at_us, changes.state, {self._columns} FROM changes CROSS JOIN {TRADE_TABLES} "
            "WHERE changes.id > :after AND changes.id <= :reached AND trades.id = changes.trade_id "
            f"AND {states} AND {self._wanted.lasting} AND {self._of_addresses} ORDER BY changes.id",
            **between,
        )
        return [
            TradeChanged(change_id, at_us, msgspec.structs.replace(_told(row), state=STATES[state]))
            for change_id, at_us, state, *row in found
        ]

    def _completeness_changes(self, between: dict[str, int]) -> list[CompletenessChanged]:
        of_token = "" if self._wanted.mint is None else "AND tokens.mint = :mint"
        of_any = "" if self.among is None else f"AND {self.among.tokens}"
        of_wallet = (
            ""
            if self._wanted.wallet is None
            else (
                "AND EXISTS (SELECT 1 FROM positions WHERE positions.token_id = changes.token_id "
                "AND wallet_id = (SELECT id FROM wallets WHERE address = :wallet))"
            )
        )
        found = self._rows(
            "SELECT changes.id, changes.at_us, board.mint, board.symbol, changes.completeness, board.complete_from, "
            "board.complete_until, board.proven_to_slot, board.holes, board.reason "
            "FROM changes CROSS JOIN tokens ON tokens.id = changes.token_id "
            "CROSS JOIN token_board AS board ON board.mint = tokens.mint "
            "WHERE changes.id > :after AND changes.id <= :reached AND changes.trade_id IS NULL "
            f"{of_token} {of_any} {of_wallet} ORDER BY changes.id",
            **between,
        )
        return [CompletenessChanged(*row) for row in found]

    @property
    def _of_addresses(self) -> str:
        # The plus keeps to the ids: no index of the token or the wallet.
        of_token = "" if self._wanted.mint is None else "AND +trades.token_id = (SELECT id FROM tokens WHERE mint = :mint)"
        of_wallet = (
            "" if self._wanted.wallet is None else "AND +trades.wallet_id = (SELECT id FROM wallets WHERE address = :wallet)"
        )
        of_any = "" if self.among is None else f"AND {self.among.trades}"
        return f"1 {of_token} {of_wallet} {of_any}"

    @property
    def _columns(self) -> str:
        return f"trades.id, trades.state, ({self._wanted.passing}), tokens.completeness, {COLUMNS}"

    def _rows(self, statement: str, **parameters: int) -> list[Any]:
        among = {} if self.among is None else self.among.parameters
        return self._reader.rows(statement, **self._wanted.parameters, **among, **parameters)


def _told(row: Any) -> Told:
    id_, state, matches, completeness, *values = row
    return Told(id_, STATES[state], bool(matches), completeness, TradeRow(*values))


def _seal(signature: str) -> int:
    return zlib.crc32(signature.encode("utf-8")) or 1


def _seal_at(reader: Reader, trade_id: int) -> int:
    """0 if there is no such trade."""
    found = reader.rows("SELECT signature FROM trades WHERE id = :id", id=trade_id)
    return _seal(found[0][0]) if found else _NO_TRADE
