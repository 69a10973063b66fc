"""Rows as a Parquet file, which DuckDB, Polars and pandas open with the right types. Needs the extra ``parquet``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pumpwatch.storage.streams import Field, Kind

#: The rows of a group. They are kept in memory until it is full.
_GROUP_ROWS: Final = 100_000

#: Up to the year 9999: what is beyond is no time.
_LATEST_SECONDS: Final = 253_402_300_799

_REPEATED: Final = pa.dictionary(pa.int32(), pa.string())
_MOMENT: Final = pa.timestamp("us", tz="UTC")
_TYPES: Final[dict[Kind, pa.DataType]] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "second": _MOMENT,
    "microsecond": _MOMENT,
    "flag": pa.bool_(),
    "word": _REPEATED,
    "address": pa.string(),
    "key": pa.binary(),
    "text": _REPEATED,
}

#: Which values are not kept as they come.
_CHANGED: Final[dict[Kind, Callable[[Any], Any]]] = {
    "second": lambda value: value * 1_000_000 if 0 <= value <= _LATEST_SECONDS else None,
    "microsecond": lambda value: value if 0 <= value <= _LATEST_SECONDS * 1_000_000 else None,
    "flag": bool,
    "key": bytes.fromhex,
}

#: Values of these never come twice: a dictionary of them is a waste.
_UNIQUE: Final = ("signature", "chain_key")

#: What pandas makes of them by itself loses digits where a value is unknown: floats.
_PANDAS: Final[dict[Kind, tuple[str, str]]] = {"integer": ("int64", "Int64"), "flag": ("bool", "boolean")}


@contextlib.contextmanager
def parquet_rows(
    target: BinaryIO, fields: Sequence[Field], about: Mapping[str, str]
) -> Iterator[Callable[[Sequence[Sequence[Any]]], None]]:
    """One row group after the other, *about* in the file's key-value metadata. What is yielded writes rows."""
    file = _File(target, fields, about)
    try:
        yield file.write
        file.finish()
    finally:
        file.forget()


class _File:
    def __init__(self, target: BinaryIO, fields: Sequence[Field], about: Mapping[str, str]) -> None:
        metadata = {**about, "pandas": _for_pandas(fields)}
        self._schema = pa.schema([pa.field(field.name, _TYPES[field.kind]) for field in fields], metadata=metadata)
        self._changes = [_CHANGED.get(field.kind) for field in fields]
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._writer = pq.ParquetWriter(
            target,
            self._schema,
            compression="zstd",
            use_dictionary=[field.name for field in fields if field.name not in _UNIQUE and field.kind != "number"],
        )

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            columns = map(_column, zip(*rows, strict=True), self._changes, self._schema)
            self._waiting.append(pa.RecordBatch.from_arrays(list(columns), schema=self._schema))
            self._waiting_rows += len(rows)
        if self._waiting_rows >= _GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        # One dictionary for the whole group, not one a page.
        group = pa.Table.from_batches(self._waiting, self._schema).unify_dictionaries()
        self._waiting, self._waiting_rows = [], 0
        self._writer.write_table(group, row_group_size=max(1, group.num_rows))

    def finish(self) -> None:
        """Write what waits, and the end of the file, without which it cannot be read."""
        if self._waiting:
            self._write_group()
        self._writer.close()

    def forget(self) -> None:
        """An unfinished writer would write on when it is deleted."""
        self._writer.is_open = False


def _column(values: Sequence[Any], change: Callable[[Any], Any] | None, field: pa.Field) -> pa.Array:
    if change is not None:
        values = [None if value is None else change(value) for value in values]
    return pa.array(values, field.type)


def _for_pandas(fields: Sequence[Field]) -> str:
    """Which columns are to be of pandas' own types that know "unknown" (pandas' developer guide, "Storing pandas DataFrames")."""
    columns = [
        {"name": field.name, "field_name": field.name, "pandas_type": kind, "numpy_type": dtype, "metadata": None}
        for field, (kind, dtype) in ((field, _PANDAS[field.kind]) for field in fields if field.kind in _PANDAS)
    ]
    return json.dumps({"index_columns": [], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"})
