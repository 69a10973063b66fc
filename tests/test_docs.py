"""What README and docs say, held against the program: queries run, commands parse, columns and modules are the real ones."""

from __future__ import annotations

import argparse
import ast
import configparser
import re
import shlex
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest
from cli_samples import NOW, Maker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pumpwatch import errors
from pumpwatch.cli.init import DOTENV
from pumpwatch.cli.main import build_parser
from pumpwatch.commands import directory_of
from pumpwatch.config_file import SECRET_NAMES
from pumpwatch.events import WRAPPED_SOL, Counted, GapOpened, PoolSeen, QuotePriced, Rejected, SpellStarted, Trade, Usage
from pumpwatch.simulator.faults import FAULTS
from pumpwatch.status import path_of
from pumpwatch.storage.lock import beside
from pumpwatch.storage.schema import SCHEMA_VERSION
from pumpwatch.storage.store import Store

ROOT = Path(__file__).resolve().parents[1]
README, CHANGELOG = ROOT / "README.md", ROOT / "CHANGELOG.md"
DATA, ARCHITECTURE = ROOT / "docs" / "data.md", ROOT / "docs" / "architecture.md"
DOCUMENTS = (README, CHANGELOG, *sorted((ROOT / "docs").glob("*.md")))

PACKAGE = ROOT / "pumpwatch"
VIEWS = ("trade_log", "token_board", "position_board")

#: What stands for a value of the reader's in the commands shown.
PLACEHOLDERS = {
    "MINT": WRAPPED_SOL,
    "SECONDS": "60",
    "N": "20",
    "TRADES": "20",
    "NAME,...": "drop",
    "NAME": "public",
    "FILE": "f",
}


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def section(path: Path, heading: str) -> str:
    """From ``## heading`` to the next one of that level."""
    _, found, rest = text_of(path).partition(f"\n## {heading}\n")
    assert found, f"{path.name} has no section {heading}"
    return rest.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every row of the tables in *text*, without heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    heads = {number - 1 for number, row in enumerate(cells) if set("".join(row)) <= set("-|")}
    return [row for number, row in enumerate(cells) if number not in heads and number - 1 not in heads]


def code(text: str) -> list[str]:
    """The code spans in *text*, outside blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))


class Query(NamedTuple):
    document: str
    sql: str
    columns: list[str] | None


def queries() -> Iterator[Query]:
    """Every block of SQL, with the head of the output shown below it."""
    for document in DOCUMENTS:
        for sql, output in re.findall(r"```sql\n(.*?)```\n(?:```text\n(.*?)```)?", text_of(document), re.S):
            yield Query(document.name, sql, re.split(r" {2,}", output.splitlines()[0]) if output else None)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A little of everything that the documents ask for."""
    make = Maker()
    mint, graduated, wallet = make.address(), make.address(), make.address()
    make.create(mint, wallet, symbol="CAT")
    make.trade(graduated, wallet, 1, venue="pool")
    for number in range(5):
        make.trade(mint, wallet, number)
    make.provisional(mint, wallet, 6)
    make.put("helius", PoolSeen(pool=make.address(), mint=graduated, quote_mint=WRAPPED_SOL))
    make.put("helius", GapOpened(cause="silent", feed="helius", from_us=NOW * 1_000_000, to_us=(NOW + 2) * 1_000_000))
    make.put("pumpwatch", SpellStarted(kind="token", address=mint, reason="admitted", at_us=NOW * 1_000_000))
    make.put("pumpwatch", Usage(provider="helius", day="2026-11-22", messages=5, received_bytes=99))
    make.put(
        "pumpwatch",
        QuotePriced(quote_mint=WRAPPED_SOL, minute=NOW // 60, usd=149.68, source="coinbase", at_us=NOW * 1_000_000),
    )
    make.put("pumpportal", Counted(kind="other launchpad: bonk"), Rejected(kind="not json", reason="?", raw=b"?"))
    path = tmp_path_factory.mktemp("docs") / "pumpwatch.db"
    store = Store.open(path, origin="simulator")
    store.apply(make.deliveries)
    store.close()
    return path


def reader(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True))


@pytest.mark.parametrize("query", list(queries()), ids=lambda query: f"{query.document}: {' '.join(query.sql.split())[:60]}")
def test_a_query_shown_runs_finds_something_and_has_the_columns_shown(
    query: Query, record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with reader(record) as connection:
        mint, signature = connection.execute("SELECT mint, signature FROM trade_log WHERE symbol = 'CAT'").fetchone()

        found = connection.execute(query.sql, {"mint": mint, "signature": signature})

        if found.description is None:
            assert "VACUUM INTO" in query.sql
            assert (tmp_path / "copy.db").stat().st_size
        else:
            assert [name for name, *_ in found.description] == query.columns
            assert found.fetchall()


def test_there_are_queries_in_readme_and_in_data() -> None:
    shown = Counter(query.document for query in queries())

    assert shown["README.md"] >= 4
    assert shown["data.md"] >= 8


def test_the_python_shown_runs(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pumpwatch.db").write_bytes(record.read_bytes())
    monkeypatch.chdir(tmp_path)
    [program] = re.findall(r"```python\n(.*?)```", text_of(DATA), re.S)

    exec(compile(program, "data.md", "exec"), {})

    assert "'CAT' 6" in capsys.readouterr().out


def test_the_view_shows_each_trade_of_the_record(record: Path) -> None:
    with reader(record) as connection:
        assert connection.execute("SELECT count(*) FROM trade_log").fetchone() == (7,)
    assert len(Trade.__struct_fields__) > 20  # what the record was made from is the real thing


# Commands


def shown_commands() -> Iterator[tuple[str, list[str]]]:
    """Every call of the program in the documents, with its arguments."""
    programs = r"^pumpwatch|^python scripts/start\.py|\bpythonw?(?:\.exe)? -m pumpwatch"
    for document in (README, CHANGELOG, DATA):
        text = text_of(document)
        blocks = [
            line
            for kind, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.S | re.M)
            if not kind
            for line in block.splitlines()
        ]
        for shown in (*blocks, *code(text)):
            found = re.search(rf"(?:{programs})(?: (?P<line>.*))?$", shown)
            if found is not None and "..." not in shown.replace("NAME,...", "") and not shown.startswith("["):
                line = (found["line"] or "").partition(" >>")[0].rstrip('"').replace("\\", "/")
                yield shown, [PLACEHOLDERS.get(word, word) for word in shlex.split(line)]


@pytest.mark.parametrize(("shown", "arguments"), list(shown_commands()))
def test_a_command_shown_is_one_that_the_program_takes(shown: str, arguments: list[str]) -> None:
    assert build_parser().parse_args(arguments).function is not None if arguments else shown


def test_enough_commands_are_recognised() -> None:
    shown = [" ".join(arguments) for _, arguments in shown_commands()]

    for expected in ("demo --seconds 20", "run --if-not-running", "check --live 60", f"watch add {WRAPPED_SOL}"):
        assert expected in shown
    assert "service install" in shown


def test_readme_lists_every_command_and_the_options_it_names_exist() -> None:
    table = [row for row in rows(section(README, "Commands")) if row[0].startswith("`pumpwatch ")]
    named = {row[0].strip("`").split()[1] for row in table}

    assert named == set(choices())
    for row in table:
        command = row[0].strip("`").split()[1]
        for option in code(row[1]):
            if option.startswith("--") and command != "watch":
                assert_offered(command, *option.split())


def assert_offered(command: str, option: str, *values: str) -> None:
    """The command has this option, and it takes these values."""
    [subcommands] = [action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    options = subcommands.choices[command]._option_string_actions
    assert option in options, f"{command} {option}"
    for value in (PLACEHOLDERS.get(value, value) for value in values):
        assert options[option].choices is None or value in options[option].choices, f"{command} {option} {value}"
        if callable(kind := options[option].type):
            kind(value)


def choices() -> list[str]:
    usage = build_parser().format_help()
    return re.findall(r"^ {4}([a-z]+) +\S", usage.partition("COMMAND\n")[2], re.M)


def test_readme_lists_the_exit_statuses_of_the_errors() -> None:
    listed = {int(row[0]) for row in rows(section(README, "Commands")) if row[0].isdigit()}
    raised = {kind.exit_status for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.StopError)}

    assert listed == raised | {0, 1}


def test_the_changelog_counts_the_faults() -> None:
    [count] = re.findall(r"(\d+) kinds of failure", text_of(CHANGELOG))

    assert int(count) == len(FAULTS)


# The database


@pytest.mark.parametrize("view", VIEWS)
def test_data_explains_every_column_of_a_view_in_its_order_and_no_other(view: str, record: Path) -> None:
    with reader(record) as connection:
        columns = [name for name, *_ in connection.execute(f"SELECT * FROM {view} LIMIT 0").description]

    assert [row[0].strip("`") for row in rows(section(DATA, view))] == columns
    assert all(len(row) == 4 for row in rows(section(DATA, view)))


def test_data_says_never_null_of_no_column_that_is_null(record: Path) -> None:
    with reader(record) as connection:
        for view in VIEWS:
            for column, _, _, when in rows(section(DATA, view)):
                nulls = connection.execute(f"SELECT count(*) FROM {view} WHERE {column.strip('`')} IS NULL").fetchone()[0]
                total = connection.execute(f"SELECT count(*) FROM {view}").fetchone()[0]
                assert not (nulls and when.startswith("never")), column
                assert nulls == total or when != "always", column


def test_data_lists_every_table_and_no_other(record: Path) -> None:
    with reader(record) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}

    assert {row[0].strip("`") for row in rows(section(DATA, "The tables"))} == tables - {"sqlite_sequence", "sqlite_stat1"}


@pytest.mark.parametrize("table", ["gaps", "spells", "rejected", "unread", "usage"])
def test_data_names_every_column_of_a_table_that_is_read_directly(table: str, record: Path) -> None:
    [paragraph] = re.findall(rf"^\*\*(?=[^:]*`{table}`).*?(?=\n\n|\Z)", section(DATA, "The tables"), re.S | re.M)
    with reader(record) as connection:
        columns = {name for name, *_ in connection.execute(f"SELECT * FROM {table} LIMIT 0").description} - {"id"}

    assert columns <= set(code(paragraph))


def test_data_lists_the_files_of_a_record() -> None:
    database = Path("pumpwatch.db")
    ours = [beside(database, suffix) for suffix in ("spill", "lock", "pid")] + [path_of(database), directory_of(database)]

    listed = {name.rstrip("/") for row in rows(section(DATA, "The files")) for name in code(row[0])}

    assert listed == {str(path) for path in ours} | {"pumpwatch.db", "pumpwatch.db-wal", "pumpwatch.db-shm"}


# The architecture


def module_rows() -> list[list[str]]:
    """The modules of each row of the table, by their paths in the package."""
    found = []
    for where, what in rows(section(ARCHITECTURE, "Modules")):
        folder = where.strip("`") if where.strip("`").endswith("/") else ""
        found.append([folder + name for name in code(what if folder else where) if name.endswith(".py")])
    return found


def test_architecture_has_each_module_exactly_once() -> None:
    modules = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]

    assert sorted(name for row in module_rows() for name in row) == sorted(modules)


def test_no_module_imports_from_a_lower_row_of_the_table() -> None:
    place = {"pumpwatch." + name[:-3].replace("/", "."): number for number, row in enumerate(module_rows()) for name in row}
    for module, number in place.items():
        path = ROOT / (module.replace(".", "/") + ".py")
        for imported in imports_of(path):
            assert place.get(imported, number) <= number, f"{module} imports {imported}"


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(text_of(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_architecture_says_of_each_dependency_that_is_used_why() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    asked_for = {canonicalize_name(Requirement(line).name) for line in parser["options"]["install_requires"].split("\n") if line}
    distributions = packages_distributions()
    tops = {imported.partition(".")[0] for path in PACKAGE.rglob("*.py") for imported in imports_of(path)}
    imported = {canonicalize_name(name) for top in tops for name in distributions.get(top, [])}

    explained = [row[0].strip("`") for row in rows(section(ARCHITECTURE, "Dependencies"))]

    assert sorted(explained) == sorted(asked_for & imported)


def test_files_that_architecture_sends_to_exist() -> None:
    named = [name for name in code(section(ARCHITECTURE, "To change X, go to Y")) if name.endswith(".py") and " " not in name]

    assert named
    assert [name for name in named if not (PACKAGE / name).is_file()] == []


# All documents


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text_of(path), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text_of(document)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name) if name else document
        assert path.is_file(), target
        assert not anchor or anchor in anchors(path), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_path_of_a_machine_and_no_registry_is_named(document: Path) -> None:
    assert re.findall(r"/(?:work|root|tmp|home|Users)/|index-url", text_of(document)) == []


def test_the_documents_know_the_schema_and_every_secret() -> None:
    assert f"`PRAGMA user_version`, now {SCHEMA_VERSION})" in (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    settings = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name in SECRET_NAMES:
        assert f"| `{name}` |" in settings
        assert f"#{name}=" in DOTENV
