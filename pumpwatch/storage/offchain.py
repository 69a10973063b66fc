"""The files behind tokens' uris: which of the watched tokens have none yet, and what was fetched. Read-only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from pumpwatch.storage.queries import Reader, open_reader

#: Of the tokens that came onto the watch list last.
_MOST_TOKENS: Final = 1_000

_UNFETCHED: Final = """
    SELECT tokens.mint, tokens.uri FROM (
        SELECT address FROM spells WHERE kind = 'token' AND ended_at_us IS NULL ORDER BY id DESC LIMIT :limit
    ) AS watched
    CROSS JOIN tokens ON tokens.mint = watched.address
    LEFT JOIN metadata ON metadata.token_id = tokens.id
    WHERE tokens.uri <> '' AND (metadata.token_id IS NULL OR metadata.error IS NOT NULL)
"""
_METADATA: Final = """
    SELECT {} FROM metadata WHERE token_id = (SELECT id FROM tokens WHERE mint = :mint)
"""


class Unfetched(msgspec.Struct, frozen=True):
    """A watched token without its file."""

    mint: str
    uri: str


class MetadataRow(msgspec.Struct, frozen=True):
    """
    What the maker of a token says of it, or why that is not known.

    Attributes:
        source: The host that was asked.
        error: Why there is nothing; None: this is what it said.
    """

    fetched_at_us: int
    source: str
    error: str | None
    name: str | None
    symbol: str | None
    description: str | None
    image: str | None
    website: str | None
    twitter: str | None
    telegram: str | None


def unfetched(database: Path) -> list[Unfetched]:
    """
    Watched tokens whose file is not there, those watched last first.

    Raises:
        DatabaseError: It cannot be read.

    """
    with open_reader(database) as reader:
        return [Unfetched(*row) for row in reader.rows(_UNFETCHED, limit=_MOST_TOKENS)]


def metadata_of(reader: Reader, mint: str) -> MetadataRow | None:
    """What is known of the file of one token; None: it was not asked for."""
    rows = reader.rows(_METADATA.format(", ".join(MetadataRow.__struct_fields__)), mint=mint)
    return MetadataRow(*rows[0]) if rows else None
