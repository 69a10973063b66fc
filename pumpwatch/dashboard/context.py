"""What every request needs, in one record."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import flask

from pumpwatch.config import Settings
from pumpwatch.dashboard.live import Live
from pumpwatch.errors import DatabaseError
from pumpwatch.storage.queries import Reader, open_reader

#: One request reads no longer.
MOST_SECONDS = 5.0

_KEY = "pumpwatch.context"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """
    One run of the web page.

    Attributes:
        live: What is new in the record, for those who listen.
        action_token: Given to our own pages alone, and asked for by what changes something. Of this run.
    """

    settings: Settings
    live: Live
    action_token: str = field(repr=False)

    @property
    def database(self) -> Path:
        """The record, which may not be there yet."""
        return self.settings.pumpwatch.database

    def reader(self, *, most_seconds: float = MOST_SECONDS) -> AbstractContextManager[Reader]:
        """
        Open the record for one request, so that a file that was put in its place is seen at once.

        Raises:
            DatabaseError: Missing, damaged, of another version, or not to be read now.

        """
        return open_reader(self.database, most_seconds=most_seconds)

    def origin(self) -> str:
        """``mainnet``, ``simulator`` or ``replay``; empty: there is no record that can be read."""
        try:
            with self.reader() as reader:
                return reader.origin()
        except DatabaseError:
            return ""


def keep(app: flask.Flask, context: Context) -> None:
    """Have :func:`context` find it."""
    app.extensions[_KEY] = context


def context() -> Context:
    """The context of the app that answers the running request."""
    found = flask.current_app.extensions[_KEY]
    assert isinstance(found, Context)
    return found
