"""
Write what the record holds into a file for other programs: CSV, JSON lines or Parquet, in constant memory.

What is read, in which order and how it stands to what is recorded meanwhile: :mod:`pumpwatch.storage.streams`.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final, Literal, NamedTuple, TypeAlias, cast, get_args

from pumpwatch.errors import UsageError
from pumpwatch.export_file import NotExported, standard_output, whole_file
from pumpwatch.export_text import Rows, csv_rows, json_lines
from pumpwatch.storage.streams import Field, Stream
from pumpwatch.telemetry import visible

Format: TypeAlias = Literal["csv", "jsonl", "parquet"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_ENDINGS: Final[dict[str, Format]] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_COMPRESSED: Final = ".gz"

#: Half the time of the highest level, for a few percent of the size.
_GZIP_LEVEL: Final = 5

_Make: TypeAlias = Callable[[BinaryIO, Sequence[Field]], AbstractContextManager[Callable[[Rows], None]]]


class Written(NamedTuple):
    """
    What an export came to.

    Attributes:
        rows: By the completeness of their token's record.
        size_bytes: Of the file; None: standard output.
    """

    rows: Counter[str]
    size_bytes: int | None


def format_of(path: Path | None, asked: Format | None) -> Format:
    """
    Return the format that was asked for, else what the file's name says; CSV for standard output (None).

    Raises:
        UsageError: The name says none, or a Parquet file would be compressed twice.

    """
    name = "" if path is None else path.name.lower()
    found = asked or ("csv" if path is None else _ENDINGS.get(Path(name.removesuffix(_COMPRESSED)).suffix))
    if found is None:
        raise UsageError(f"what is {visible(name)}? give --format {', '.join(FORMATS)}, or a name that ends with one of them")
    if found == "parquet" and name.endswith(_COMPRESSED):
        raise UsageError("a Parquet file is compressed by itself: leave .gz out")
    return found


def export(
    stream: Stream,
    path: Path | None,
    format_: Format,
    *,
    about: Mapping[str, str],
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Written:
    """
    Write all of *stream* to *path*, or to standard output (None).

    Args:
        about: For the metadata of a Parquet file.
        progress: Called after each page with how many rows were looked at, and about how many there are.

    Raises:
        NotExported: The file exists, cannot be written, or the format's library is missing.
        DatabaseError: The record cannot be read.

    """
    make = _made(format_, about)
    counts: Counter[str] = Counter()
    place = [field.name for field in stream.fields].index("completeness")
    done = 0
    with _opened(path, overwrite=overwrite) as target, make(target, stream.fields) as write:
        for page in stream.pages:
            write(page.rows)
            counts.update(row[place] for row in page.rows)
            done += page.looked
            progress(done, stream.total)
    return Written(counts, None if path is None else path.stat().st_size)


def _made(format_: Format, about: Mapping[str, str]) -> _Make:
    if format_ != "parquet":
        return csv_rows if format_ == "csv" else json_lines
    try:
        from pumpwatch.export_parquet import parquet_rows
    except ImportError as error:
        raise NotExported("Parquet needs a library that is not installed: pip install 'pumpwatch[parquet]'") from error
    return functools.partial(parquet_rows, about=about)


@contextlib.contextmanager
def _opened(path: Path | None, *, overwrite: bool) -> Iterator[BinaryIO]:
    with standard_output() if path is None else whole_file(path, overwrite=overwrite) as target:
        if path is None or not path.name.lower().endswith(_COMPRESSED):
            yield target
            return
        with gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=target) as compressed:
            yield cast("BinaryIO", compressed)
