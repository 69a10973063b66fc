"""What a key of the settings is: declared beside its field, read by those who load, write and document them."""

from __future__ import annotations

from dataclasses import dataclass

from pumpwatch.config_values import Reader


@dataclass(frozen=True, slots=True)
class Setting:
    """
    What a field's type says of its key.

    Attributes:
        read: From the text to the value; raises ValueError with the reason.
        meaning: One or two sentences for ``pumpwatch.ini`` and ``docs/settings.md``.
        key: Its name in the file, if not the field's.
        default: As the file shows it, if not the field's default.
    """

    read: Reader
    meaning: str
    key: str | None = None
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section: its name there, the field that it sets, its reader, its meaning and its default as text."""

    name: str
    field: str
    read: Reader
    meaning: str
    default: str
