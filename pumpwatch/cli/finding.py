"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One line of the report of ``check``.

    Attributes:
        what: The thing checked, one word.
        level: ``note``: worth reading, nothing is broken; ``wrong``: the worker would not do its work.
        status: The exit status that this finding calls for when it is ``wrong`` (design.md section 6).
    """

    what: str
    level: Literal["ok", "note", "wrong"]
    text: str
    status: int = 0
