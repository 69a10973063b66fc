"""Errors, classed by what the caller does next: stop, retry, or set one message aside."""

from __future__ import annotations


class PumpwatchError(Exception):
    """Base of every error that pumpwatch raises on purpose. Its text is one sentence for a person, without secrets."""


class StopError(PumpwatchError):
    """A person must act. The process ends with :attr:`exit_status` (design: command line)."""

    exit_status = 70


class UsageError(StopError):
    """The command line is wrong."""

    exit_status = 2


class AlreadyRunning(StopError):
    """Another process holds the lock of this database."""

    exit_status = 3


class SettingsError(StopError):
    """
    One or more settings are wrong.

    Attributes:
        problems: One sentence each, with file and line where there is one.
    """

    exit_status = 4

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DatabaseError(StopError):
    """The database is missing, corrupt, of a newer schema, or of another origin."""

    exit_status = 4


class AllFeedsRefused(StopError):
    """Every enabled feed was refused by its server."""

    exit_status = 5


class TransientError(PumpwatchError):
    """Wait, then try again."""


class DatabaseBusy(TransientError):
    """The database cannot be written now (locked, disk full, I/O error); nothing of the batch was stored."""


class DecodeError(PumpwatchError):
    """Set this one message or payload aside, with the reason."""
