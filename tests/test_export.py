"""Promises of exports: other programs read them as they were meant, strangers' text stays text, and half a file is no file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
from cli_samples import HOSTILE, NOW, Maker

from pumpwatch.errors import UsageError
from pumpwatch.export import Format, Written, export, format_of
from pumpwatch.export_file import NotExported
from pumpwatch.export_text import neutral
from pumpwatch.storage.candle_streams import WantedCandles, candles
from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.storage.store import Store
from pumpwatch.storage.streams import Stream, tokens, trades

FORMULA = '=HYPERLINK("https://evil.example","x")'


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    path = tmp_path_factory.mktemp("export") / "pumpwatch.db"
    make = Maker()
    wallet = make.address()
    for symbol, name in (("CAT", "A cat"), (FORMULA, "+1,2\r\nx"), (HOSTILE, HOSTILE), ("ÄÖ\U0001f680", '"quoted"')):
        mint = make.address()
        make.create(mint, wallet, symbol=symbol, name=name)
        for number in range(50):
            make.trade(mint, wallet, number)
        make.provisional(mint, wallet, 99)
    store = Store.open(path, origin="simulator")
    store.apply(make.deliveries)
    store.close()
    with open_reader(path) as opened:
        yield opened


def write(stream: Stream, path: Path | None, **options: Any) -> Written:
    return export(stream, path, format_of(path, None), about={"pumpwatch.origin": "simulator"}, **options)


def rows_of(stream: Stream) -> list[dict[str, Any]]:
    names = [field.name for field in stream.fields]
    return [dict(zip(names, row, strict=True)) for page in stream.pages for row in page.rows]


# CSV


def test_csv_is_read_back_by_any_reader_with_its_head(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"

    written = write(trades(reader, Wanted()), path)

    text = path.read_bytes().decode("utf-8")
    assert text.count("\r\n") == text.count("\n") == 205, "each row is on a line of its own"
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert written == Written(written.rows, path.stat().st_size)
    assert written.rows == {"unproven": 204}
    for row, expected in zip(found, rows_of(trades(reader, Wanted())), strict=True):
        for name, value in expected.items():
            if name != "symbol":
                assert row[name] == ("" if value is None else str(value))


def test_a_negative_number_in_csv_stays_a_number(reader: Reader, tmp_path: Path) -> None:
    write(trades(reader, Wanted(side="sell")), tmp_path / "t.csv")

    found = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text(encoding="utf-8"))))

    assert any(float(row["price_impact"]) < 0 for row in found)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("CAT", "CAT"),
        (FORMULA, "'" + FORMULA),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("a;=1", "a;'=1"),  # where the list separator is a semicolon
        ("a,=1|@x", "a,'=1|'@x"),
        ('"=1', "\"'=1"),
        ("\t=1", "\\t=1"),
        ("\r=1", "\\r=1"),
        ("a-b = c", "a-b = c"),
        ("x\x1b[31m\u202ey", "x\\x1b[31m\\u202ey"),
        ("狗🚀", "狗🚀"),
        ("", ""),
    ],
)
def test_text_of_a_stranger_begins_no_formula_and_moves_no_cursor(text: str, shown: str) -> None:
    assert neutral(text) == shown


def test_text_in_csv_is_neutral_in_every_column_that_a_stranger_wrote(reader: Reader, tmp_path: Path) -> None:
    write(tokens(reader), tmp_path / "tokens.csv")

    text = (tmp_path / "tokens.csv").read_text(encoding="utf-8")
    found = {row["symbol"]: row["name"] for row in csv.DictReader(io.StringIO(text, newline=""))}

    assert found["CAT"] == "A cat"
    assert found["'" + FORMULA] == "'+1,2\\r\\nx"
    assert found["ÄÖ\U0001f680"] == '"quoted"'
    assert not {letter for letter in text if letter in "\x1b\u202e\u200b\t"}


# JSON lines


def test_json_lines_are_ascii_and_exact(reader: Reader, tmp_path: Path) -> None:
    makers: dict[str, Callable[[], Stream]] = {"trades": lambda: trades(reader, Wanted()), "tokens": lambda: tokens(reader)}
    for name, make in makers.items():
        path = tmp_path / f"{name}.jsonl"

        write(make(), path)

        assert path.read_bytes().isascii()
        assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == rows_of(make())
    assert {row["symbol"] for row in rows_of(tokens(reader))} == {"CAT", FORMULA, HOSTILE, "ÄÖ\U0001f680"}


@pytest.mark.parametrize("name", ["t.csv.gz", "T.JSONL.GZ"])
def test_gz_packs_what_it_would_be_without(reader: Reader, tmp_path: Path, name: str) -> None:
    write(tokens(reader), tmp_path / name)
    plain = tmp_path / name.lower().removesuffix(".gz")
    write(tokens(reader), plain)

    assert gzip.decompress((tmp_path / name).read_bytes()) == plain.read_bytes()


# Parquet


def parquet(path: Path) -> Any:
    library: Any = pytest.importorskip("pyarrow.parquet")
    return library.ParquetFile(path)


def test_parquet_has_types_that_tell_what_the_values_are(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "trades.parquet"
    write(trades(reader, Wanted()), path)

    with parquet(path) as file:
        types = {field.name: str(field.type) for field in file.schema_arrow}
        metadata = file.schema_arrow.metadata
        found = file.read().to_pylist()

    assert types["token_amount"] == types["slot"] == types["event_index"] == "int64"
    assert types["block_time"] == types["received_at_us"] == "timestamp[us, tz=UTC]"
    assert types["price"] == types["price_usd"] == "double"
    assert types["confirmed"] == "bool"
    assert types["chain_key"] == "binary"
    assert types["signature"] == types["wallet"] == "string"
    for name in ("mint", "symbol", "side", "venue", "quote_mint", "sources", "completeness"):
        assert types[name] == "dictionary<values=string, indices=int32, ordered=0>"
    assert metadata[b"pumpwatch.origin"] == b"simulator"
    for row, expected in zip(found, rows_of(trades(reader, Wanted())), strict=True):
        moment = None if expected["block_time"] is None else datetime.fromtimestamp(expected["block_time"], tz=UTC)
        received = datetime.fromtimestamp(expected["received_at_us"] / 1e6, tz=UTC)
        key = None if expected["chain_key"] is None else bytes.fromhex(expected["chain_key"])
        changed = {"block_time": moment, "received_at_us": received, "confirmed": bool(expected["confirmed"]), "chain_key": key}
        assert row == expected | changed


def test_parquet_tells_pandas_to_keep_whole_numbers_where_some_are_unknown(reader: Reader, tmp_path: Path) -> None:
    write(tokens(reader), tmp_path / "tokens.parquet")

    with parquet(tmp_path / "tokens.parquet") as file:
        columns = {column["name"]: column["numpy_type"] for column in file.schema_arrow.pandas_metadata["columns"]}
        types = {field.name: str(field.type) for field in file.schema_arrow}

    assert columns["volume"] == columns["creator_bought"] == "Int64"
    assert columns["is_mayhem_mode"] == "boolean"
    assert set(columns) == {name for name, kind in types.items() if kind in ("int64", "bool")}


def test_parquet_is_written_a_row_group_at_a_time(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_parquet = pytest.importorskip("pumpwatch.export_parquet")
    monkeypatch.setattr("pumpwatch.storage.streams._PAGE_ROWS", 20)
    monkeypatch.setattr(export_parquet, "_GROUP_ROWS", 60)
    path = tmp_path / "trades.parquet"
    begun: list[int] = []

    write(trades(reader, Wanted()), path, progress=lambda _done, _total: begun.append(_part(path).stat().st_size))

    with parquet(path) as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        assert [row["signature"] for row in file.read(["signature"]).to_pylist()] == [
            row["signature"] for row in rows_of(trades(reader, Wanted()))
        ]
    assert sum(groups) == 204
    assert all(60 <= group < 80 for group in groups[:-1])
    assert begun[0] < begun[5] < begun[-1], "what is read is written at once"


def _part(path: Path) -> Path:
    [part] = path.parent.glob(f".{path.name}.*.part")
    return part


def test_parquet_of_nothing_has_its_columns(reader: Reader, tmp_path: Path) -> None:
    write(trades(reader, Wanted(since=NOW * 2)), tmp_path / "none.parquet")

    with parquet(tmp_path / "none.parquet") as file:
        assert file.metadata.num_rows == 0
        assert file.schema_arrow.names == [field.name for field in trades(reader, Wanted()).fields]


def test_candles_have_their_unit_and_the_completeness_of_the_record(reader: Reader, tmp_path: Path) -> None:
    write(candles(reader, WantedCandles(interval_seconds=60)), tmp_path / "candles.parquet")

    with parquet(tmp_path / "candles.parquet") as file:
        found = file.read().to_pylist()
    assert {row["completeness"] for row in found} == {"unproven"}
    assert {row["unit"] for row in found} == {"So11111111111111111111111111111111111111112"}
    assert found[0]["opens_at"] == datetime.fromtimestamp(NOW // 60 * 60, tz=UTC)


def test_without_pyarrow_parquet_is_one_sentence_that_names_the_install(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pumpwatch.export_parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(NotExported, match=r"pip install 'pumpwatch\[parquet\]'"):
        write(tokens(reader), tmp_path / "tokens.parquet")
    assert list(tmp_path.iterdir()) == []


# The file


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        *((None, None, "csv"), (None, "parquet", "parquet"), ("a.csv", None, "csv"), ("a.CSV.gz", None, "csv")),
        *(("a.jsonl", None, "jsonl"), ("a.ndjson.gz", None, "jsonl"), ("a.parquet", None, "parquet"), ("a.txt", "csv", "csv")),
    ],
)
def test_the_format_is_what_was_asked_for_or_what_the_name_says(name: str | None, asked: Format | None, expected: str) -> None:
    assert format_of(None if name is None else Path(name), asked) == expected


@pytest.mark.parametrize(("name", "asked"), [("a.xlsx", None), ("a", None), ("a.gz", None), ("a.parquet.gz", None)])
def test_a_name_that_says_no_format_is_wrong_usage(name: str, asked: Format | None) -> None:
    with pytest.raises(UsageError):
        format_of(Path(name), asked)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl.gz", "t.parquet"])
def test_an_interrupted_export_leaves_nothing(reader: Reader, tmp_path: Path, name: str) -> None:
    def interrupt(_done: int, _total: int) -> NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(trades(reader, Wanted()), tmp_path / name, progress=interrupt)

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_replaced_only_on_demand_and_then_as_a_whole(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("mine")
    seen = []

    with pytest.raises(NotExported, match=r"exists already.*--force"):
        write(trades(reader, Wanted()), path)
    assert path.read_text() == "mine"
    write(trades(reader, Wanted()), path, overwrite=True, progress=lambda _done, _total: seen.append(path.read_text()))

    assert set(seen) == {"mine"}, "as long as the new one is not whole"
    assert path.read_text(encoding="utf-8").startswith("signature,")
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_came_to_exist_meanwhile_is_not_replaced(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_links: bool
) -> None:
    path = tmp_path / "t.csv"
    if not has_links:

        def refuse(*_: object) -> NoReturn:
            raise PermissionError(1, "no links here")

        monkeypatch.setattr("os.link", refuse)
    write(tokens(reader), tmp_path / "other.csv")

    with pytest.raises(NotExported, match="exists already"):
        write(trades(reader, Wanted()), path, progress=lambda _done, _total: path.write_text("mine") and None)

    assert path.read_text() == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["other.csv", "t.csv"]


def test_what_is_no_file_is_never_replaced(reader: Reader, tmp_path: Path) -> None:
    folder = tmp_path / "folder.csv"
    folder.mkdir()

    with pytest.raises(NotExported, match="is no file"):
        write(tokens(reader), folder, overwrite=True)
    with pytest.raises(NotExported, match="cannot be written"):
        write(tokens(reader), tmp_path / "missing" / "t.csv")

    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_a_disk_without_room_is_one_sentence_and_leaves_nothing(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import resource

    monkeypatch.setattr("pumpwatch.storage.streams._PAGE_ROWS", 10)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # no file may grow beyond it
    try:
        with pytest.raises(NotExported, match=r"cannot be written \(File too large\): no file was left behind"):
            write(trades(reader, Wanted()), tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_after_each_page(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.storage.streams._PAGE_ROWS", 100)
    told: list[tuple[int, int]] = []

    write(trades(reader, Wanted()), tmp_path / "t.csv", progress=lambda done, total: told.append((done, total)))

    assert told == [(100, 204), (200, 204), (204, 204)]
