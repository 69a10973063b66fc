"""The rows of ``alerts``, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from pumpwatch.events import AlertRaised
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


ALERT_COLUMNS: Final = ", ".join(AlertRow.__struct_fields__)


def alerts_of(
    reader: Reader, *, limit: int, only_open: bool = False, is_market: bool | None = None, rule: str | None = None
) -> list[AlertRow]:
    """The newest *limit* alerts, the newest first; *is_market* None: of both kinds."""
    rows = reader.rows(
        f"SELECT {ALERT_COLUMNS} FROM alerts WHERE (:only_open = 0 OR resolved_at_us IS NULL) "
        "AND (:is_market IS NULL OR is_market = :is_market) AND (:rule IS NULL OR rule = :rule) ORDER BY id DESC LIMIT :limit",
        only_open=int(only_open),
        is_market=None if is_market is None else int(is_market),
        rule=rule,
        limit=limit,
    )
    return alert_rows(rows)


def alert_rows(rows: Iterable[Sequence[Any]]) -> list[AlertRow]:
    """Rows of :data:`ALERT_COLUMNS`."""
    return [AlertRow(rule, subject, severity, bool(market), *rest) for rule, subject, severity, market, *rest in rows]


def raised_again(row: AlertRow) -> AlertRaised:
    """The alert of a row that still lasts, to be sent once more."""
    return AlertRaised(
        rule=row.rule,
        subject=row.subject,
        severity=row.severity,  # type: ignore[arg-type]
        raised_at_us=row.raised_at_us,
        text=row.text,
        is_market=row.is_market,
        to_send=True,
    )
