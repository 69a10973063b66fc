"""PURE. What a rule has found to be so, at one moment."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Severity: TypeAlias = Literal["info", "warning", "critical"]


class Condition(NamedTuple):
    """
    Attributes:
        rule: Its name, few and fixed. *subject*: what it is about: a feed, a provider, or empty.
        text: One sentence: what is so, what it means, what to do.
        hold_seconds: It must be so for this long before it is an alert.
        value: What was measured, *threshold* what it is compared with; None where there is no number.
    """

    rule: str
    subject: str
    severity: Severity
    text: str
    hold_seconds: float = 0.0
    value: float | None = None
    threshold: float | None = None
