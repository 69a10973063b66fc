"""The rows of ``alerts``, for people."""

from __future__ import annotations

from typing import Final

import msgspec

from pumpwatch.storage.queries import Reader


class AlertRow(msgspec.Struct, frozen=True):
    """
    One alert.

    Attributes:
        resolved_at_us: None while it lasts; as *raised_at_us* where there is nothing that could last.
        completeness: Of the record that a market alert is based on.
        sent: ``sent``, ``failed``, ``pending``; None: there was nobody to send it to.
    """

    rule: str
    subject: str
    severity: str
    is_market: bool
    raised_at_us: int
    resolved_at_us: int | None
    text: str
    resolved_text: str | None
    completeness: str | None
    value: float | None
    threshold: float | None
    sent: str | None
    attempts: int


_COLUMNS: Final = ", ".join(AlertRow.__struct_fields__)


def alerts_of(
    reader: Reader, *, limit: int, only_open: bool = False, is_market: bool | None = None, rule: str | None = None
) -> list[AlertRow]:
    """The newest *limit* alerts, the newest first; *is_market* None: of both kinds."""
    rows = reader.rows(
        f"SELECT {_COLUMNS} FROM alerts WHERE (:only_open = 0 OR resolved_at_us IS NULL) "
        "AND (:is_market IS NULL OR is_market = :is_market) AND (:rule IS NULL OR rule = :rule) ORDER BY id DESC LIMIT :limit",
        only_open=int(only_open),
        is_market=None if is_market is None else int(is_market),
        rule=rule,
        limit=limit,
    )
    return [AlertRow(rule, subject, severity, bool(market), *rest) for rule, subject, severity, market, *rest in rows]
