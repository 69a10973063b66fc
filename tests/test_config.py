from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pumpwatch import config_values
from pumpwatch.config import Endpoint, Settings, load
from pumpwatch.config_file import variable_name
from pumpwatch.config_model import SECTIONS, keys_of
from pumpwatch.errors import SettingsError

MINT = "2JUvoykjMgzr3ocW2eQQYNp6mtzCCnbsh7AnFBCQpump"
OTHER = "So11111111111111111111111111111111111111112"
KEY = "11111111-2222-3333-4444-555555555555"

DIGITS = "(digits only: the unit is in the key's name)"

Load = Callable[..., Settings]


@pytest.fixture
def load_with(tmp_path: Path) -> Load:
    """Load an INI, a ``.env`` and an environment given as text."""

    def load_settings(ini: str | bytes | None = None, dotenv: str | bytes | None = None, **environ: str) -> Settings:
        for name, content in (("pumpwatch.ini", ini), (".env", dotenv)):
            if content is not None:
                (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(config=None, environ=environ, directory=tmp_path)

    return load_settings


@pytest.fixture
def problems_of(load_with: Load) -> Callable[..., list[str]]:
    def problems(*files: str | bytes | None, **environ: str) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            load_with(*files, **environ)
        assert str(caught.value) == "\n".join(caught.value.problems)
        return caught.value.problems

    return problems


Problems = Callable[..., list[str]]


def test_without_any_file_the_defaults_are_those_of_the_design(load_with: Load, tmp_path: Path) -> None:
    settings = load_with()

    assert settings.config_file is None
    assert settings.pumpwatch.database == tmp_path / "pumpwatch.db"
    assert settings.pumpwatch.log_file is None
    assert settings.pumpportal.endpoint.url == "wss://pumpportal.fun/api/data"
    assert (settings.pumpportal.trades, settings.pumpportal.has_key) == ("pinned", False)
    assert settings.helius.ws.shown == "wss://api.mainnet-beta.solana.com"
    assert settings.helius.rpc.shown == "https://api.mainnet-beta.solana.com"
    assert (settings.helius.commitment, settings.helius.scope, settings.helius.accept_cost) == ("confirmed", "watched", False)
    watch = settings.watch
    assert (watch.mints, watch.wallets, watch.admit, watch.max_tokens) == ((), (), "auto", 50)
    assert (watch.minimum_watch_minutes, watch.idle_minutes) == (15, 30)
    assert (settings.budget.pumpportal_sol_per_day, settings.budget.helius_credits_per_month) == (0.02, 1_000_000)
    assert dataclasses.astuple(settings.connection) == (10, 20, 10, 75, 10, 1, 30, 30)
    assert dataclasses.astuple(settings.writer) == (1000, 10_000, 256, 5, "normal")
    assert dataclasses.astuple(settings.backfill) == (True, 0, 15, 300, 5, 60)
    assert settings.secrets == ()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_default_reads_as_itself(section: str) -> None:
    for key in keys_of(section):
        default = getattr(SECTIONS[section](), key.field)
        if key.default:
            expected = default.url if isinstance(default, Endpoint) else default
            assert key.read(key.default) == expected


def test_later_sources_win_ini_then_dotenv_then_environment(load_with: Load) -> None:
    ini = "[writer]\nbatch_size = 1\nqueue_size = 2\nspill_megabytes = 3\n"
    dotenv = "PUMPWATCH_WRITER_QUEUE_SIZE=20\nPUMPWATCH_WRITER_SPILL_MEGABYTES=30\n"

    writer = load_with(ini, dotenv, PUMPWATCH_WRITER_SPILL_MEGABYTES="300").writer

    assert (writer.batch_size, writer.queue_size, writer.spill_megabytes) == (1, 20, 300)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_can_be_set_by_its_variable(section: str, problems_of: Problems) -> None:
    for key in keys_of(section):
        name = variable_name(section, key.name)
        if key.name not in ("database", "log_file", "admit", "new_tokens"):
            assert any(problem.startswith(name) for problem in problems_of(**{name: "%"})), name


def test_a_byte_order_mark_percent_signs_and_upper_case_are_fine(load_with: Load) -> None:
    settings = load_with(b"\xef\xbb\xbf[Watch]\r\nADMIT = 100%(x)s*\r\n[pumpwatch]\r\nlog_level: debug\r\n")

    assert settings.watch.admit == "100%(x)s*"
    assert settings.pumpwatch.log_level == "DEBUG"


@pytest.mark.parametrize("text", [f"{MINT}, {OTHER}", f"\n  {MINT}\n  # the second\n  {OTHER},\n  {MINT}"])
def test_lists_take_commas_or_lines_and_keep_each_address_once(load_with: Load, text: str) -> None:
    assert load_with(f"[watch]\nmints = {text}\n").watch.mints == (MINT, OTHER)


@pytest.mark.parametrize(
    ("text", "value"), [("yes", True), ("TRUE", True), ("1", True), ("No", False), ("false", False), ("0", False)]
)
def test_booleans_have_three_spellings_each(load_with: Load, text: str, value: bool) -> None:
    assert load_with(f"[pumpportal]\nenabled = {text}\n").pumpportal.enabled is value


def test_every_problem_is_told_at_once_with_file_and_line(problems_of: Problems) -> None:
    ini = """orphan = 1
[pumpwatch]
log_level = LOUD
databse = x.db
[heluis]
whatever = not looked at
[watch]
max_tokens = many
max_tokens = 3
mints = abc
just words
[connection]
connect_timeout_seconds = 20s
ping_interval_seconds = 5
[writer]
batch_size = 0
spill_megabytes = 9 #x
"""

    problems = problems_of(ini, None, PUMPWATCH_WRITER_BATCHSIZE="5")

    assert problems == [
        "pumpwatch.ini:1: a key before the first [section]",
        "pumpwatch.ini:4: [pumpwatch] has no key 'databse'; did you mean database?",
        "pumpwatch.ini:5: no section is called 'heluis'; did you mean helius?",
        "pumpwatch.ini:9: [watch] max_tokens stands in line 8 already",
        "pumpwatch.ini:11: neither '[section]' nor 'key = value'",
        "PUMPWATCH_WRITER_BATCHSIZE is no setting; did you mean PUMPWATCH_WRITER_BATCH_SIZE?",
        "pumpwatch.ini:3: [pumpwatch] log_level: 'LOUD' is not one of TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL",
        "pumpwatch.ini:10: [watch] mints: 'abc' is no Solana address (32 bytes in base58)",
        f"pumpwatch.ini:8: [watch] max_tokens: 'many' is not a whole number {DIGITS}",
        f"pumpwatch.ini:13: [connection] connect_timeout_seconds: '20s' is not a number {DIGITS}",
        "pumpwatch.ini:16: [writer] batch_size: 0 is out of range: from 1 to 100000",
        f"pumpwatch.ini:17: [writer] spill_megabytes: '9 #x' is not a whole number {DIGITS} (a comment needs a line of its own)",
        "pumpwatch.ini:14: [connection] ping_interval_seconds (5) must be more than ping_timeout_seconds (10)",
    ]


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "-1", "0x10", "", "1,5", "٣"])
def test_a_number_is_finite_plain_and_in_range(problems_of: Problems, text: str) -> None:
    [problem] = problems_of(f"[connection]\nconnect_timeout_seconds = {text}\n")

    assert problem.startswith("pumpwatch.ini:2: [connection] connect_timeout_seconds")


@pytest.mark.parametrize(
    ("ini", "expected"),
    [
        ("[helius]\nscope = all\n", None),  # public mainnet does not charge
        ("[connection]\nbackoff_longest_seconds = 1\n", "servers ban those who hammer them"),
        ("[connection]\nbackoff_first_seconds = 60\n", "is less than backoff_first_seconds (60)"),
        ("[pumpportal]\nenabled = no\n[helius]\nenabled = no\n", "nothing would be recorded"),
        ("[pumpportal]\ntrades = all\n", "needs PUMPPORTAL_API_KEY in .env"),
        ("[helius]\nrpc_url = http://127.0.0.1:8899\n", "set both, so that two chains are never mixed"),
        ("[helius]\nws_url = ws://example.org\n", "without encryption only this machine"),
        ("[helius]\nws_url = https://example.org\n", "must begin with wss://"),
        ("[helius]\nrpc_url = wss://example.org\n", "must begin with https://"),
        ("[helius]\nrpc_url = https://exa mple.org\n", "is no URL"),
        ("[helius]\nrpc_url = https://example.org:99999\n", "is no URL"),
        ("[watch]\nadmit = \n", "must be auto, all, none"),
    ],
)
def test_what_does_not_fit_together_is_refused(load_with: Load, problems_of: Problems, ini: str, expected: str | None) -> None:
    if expected is None:
        load_with(ini)
    else:
        [problem] = problems_of(ini)
        assert expected in problem


def test_all_tokens_at_helius_needs_the_cost_accepted(load_with: Load, problems_of: Problems) -> None:
    [problem] = problems_of("[helius]\nscope = all\n", f"HELIUS_API_KEY={KEY}\n")

    assert problem == (
        "pumpwatch.ini:2: [helius] scope is all, which costs 14 to 21 million credits a month at Helius: "
        "set [helius] accept_cost = yes if that is meant"
    )
    assert load_with("[helius]\nscope = all\naccept_cost = yes\n").helius.scope == "all"


def test_a_helius_key_moves_both_endpoints_to_helius_and_goes_nowhere_else(load_with: Load) -> None:
    settings = load_with(None, f"HELIUS_API_KEY={KEY}\nPUMPPORTAL_API_KEY='{KEY}x'\n")

    assert settings.helius.ws.url == f"wss://mainnet.helius-rpc.com/?api-key={KEY}"
    assert settings.helius.rpc.url == f"https://mainnet.helius-rpc.com/?api-key={KEY}"
    assert settings.pumpportal.endpoint.url == f"wss://pumpportal.fun/api/data?api-key={KEY}x"
    assert settings.helius.has_key
    assert settings.pumpportal.has_key
    assert set(settings.secrets) == {KEY, f"{KEY}x"}


@pytest.mark.parametrize(
    ("url", "takes_key"),
    [
        ("wss://atlas-mainnet.helius-rpc.com", True),
        ("wss://helius-rpc.com", True),
        ("ws://127.0.0.1:8900", True),
        ("ws://[::1]:8900", True),
        ("wss://nothelius-rpc.com", False),
        ("wss://helius-rpc.com.example.org", False),
        ("wss://example.org", False),
    ],
)
def test_a_key_is_added_for_its_own_host_and_loopback_only(load_with: Load, url: str, takes_key: bool) -> None:
    rpc_url = url.replace("ws", "http", 1)
    settings = load_with(None, f"HELIUS_API_KEY={KEY}\n", PUMPWATCH_HELIUS_WS_URL=url, PUMPWATCH_HELIUS_RPC_URL=rpc_url)

    assert (KEY in settings.helius.ws.url) is takes_key
    assert (KEY in settings.helius.rpc.url) is takes_key
    assert settings.helius.has_key is takes_key


@pytest.mark.parametrize(
    "url",
    ["https://example.org/v2/abcdefghijk", "https://example.org/?token=abcdefghijk", "https://user:abcdefghijk@example.org"],
)
def test_a_url_that_may_hold_a_key_is_taken_from_the_environment_only(load_with: Load, problems_of: Problems, url: str) -> None:
    [problem] = problems_of(f"[helius]\nrpc_url = {url}\n")
    assert "put it into .env beside this file, as PUMPWATCH_HELIUS_RPC_URL=..." in problem
    assert "abcdefghijk" not in problem

    settings = load_with("", f"PUMPWATCH_HELIUS_RPC_URL={url}\n")
    assert settings.helius.rpc.url == url
    assert {url, "abcdefghijk"} <= set(settings.secrets)
    assert settings.helius.rpc.shown == "https://example.org"


def test_a_websocket_url_with_a_user_is_refused_because_it_would_not_be_sent(problems_of: Problems) -> None:
    [problem] = problems_of(PUMPWATCH_HELIUS_WS_URL="wss://user:abcdefghijk@example.org")

    assert "which WebSockets do not send" in problem
    assert "abcdefghijk" not in problem


@pytest.mark.parametrize("key", ["api_key", "helius_api_key", "sentry_dsn", "password"])
def test_a_secret_in_the_settings_file_is_refused_and_told_its_place(problems_of: Problems, key: str) -> None:
    [problem] = problems_of(f"[helius]\n{key} = {KEY}\n")

    assert problem.startswith(
        f"pumpwatch.ini:2: [helius] {key} looks like a secret: put it into .env beside this file, as HELIUS_API_KEY="
    )
    assert KEY not in problem


def test_settings_show_no_secret_when_printed(load_with: Load) -> None:
    settings = load_with(None, f"HELIUS_API_KEY={KEY}\nPUMPWATCH_PUMPPORTAL_URL=wss://example.org/abcdefghijk\n")

    shown = f"{settings!r} {settings.helius.ws} {settings.pumpportal}"

    assert KEY not in shown
    assert "abcdefghijk" not in shown
    assert "wss://mainnet.helius-rpc.com" in shown


def test_an_endpoint_tells_host_port_and_loopback() -> None:
    plain, local = Endpoint.of("wss://Example.ORG"), Endpoint.of("http://[::1]:8899/x?y=z")

    assert (plain.shown, plain.host, plain.port, plain.is_loopback) == ("wss://example.org", "example.org", 443, False)
    assert (local.shown, local.host, local.port, local.is_loopback) == ("http://[::1]:8899", "::1", 8899, True)


def test_a_key_in_the_url_is_not_joined_by_a_second() -> None:
    assert Endpoint.of("wss://helius-rpc.com/?api-key=mine", key=KEY).url == "wss://helius-rpc.com/?api-key=mine"


@pytest.mark.parametrize("key", ["tiny12", "with a blank in it", "gänsefüßchen"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(problems_of: Problems, key: str) -> None:
    [problem] = problems_of(None, f"HELIUS_API_KEY='{key}'\n")

    assert problem.startswith(".env:1: HELIUS_API_KEY is not a key")
    assert key not in problem


def test_an_empty_variable_wins_and_means_no_key(load_with: Load) -> None:
    assert not load_with(None, f"HELIUS_API_KEY={KEY}\n", HELIUS_API_KEY="").helius.has_key


def test_nothing_in_dotenv_is_interpolated(load_with: Load) -> None:
    settings = load_with(None, "PUMPPORTAL_API_KEY='ab${HOME}cd#ef'\nOTHER_PROGRAM=anything\n")

    assert settings.secrets == ("ab${HOME}cd#ef",)


def test_broken_lines_of_dotenv_are_problems_and_not_shown(problems_of: Problems) -> None:
    dotenv = f"# keys\nPUMPPORTAL_API_KEY {KEY}\nHELIUS_API_KEY='{KEY}\nSENTRY_DSN\nPUMPWATCH_CONFIG=x\nPUMPWATCH_WATCH_MINT=\n"

    problems = problems_of(None, dotenv)

    assert [problem.split(": ")[0] for problem in problems] == [".env:2", ".env:3", ".env:4", ".env:5", ".env:6"]
    assert KEY not in str(problems)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
@pytest.mark.parametrize("name", ["pumpwatch.ini", ".env"])
def test_a_file_that_is_not_utf8_is_named_with_the_cure(tmp_path: Path, name: str, encoding: str) -> None:
    comment = "# a" if encoding == "utf-16-le" else "# ä"  # in ASCII, UTF-16 without its mark is valid UTF-8, full of NULs
    (tmp_path / name).write_bytes(f"{comment}\nPUMPPORTAL_API_KEY=12345678\n".encode(encoding))

    with pytest.raises(SettingsError, match=rf"^{name} is not UTF-8 text .*: save it again as UTF-8"):
        load(config=None, environ={}, directory=tmp_path)


def test_a_named_file_must_be_there_and_its_folder_is_where_paths_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^other\.ini cannot be read"):
        load(config=tmp_path / "other.ini", environ={}, directory=tmp_path)

    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "my.ini").write_text("[pumpwatch]\ndatabase = data/x.db\nlog_file = x.log\n", encoding="utf-8")
    (tmp_path / "there" / ".env").write_text(f"HELIUS_API_KEY={KEY}\n", encoding="utf-8")
    settings = load(config=None, environ={"PUMPWATCH_CONFIG": "there/my.ini"}, directory=tmp_path)

    assert settings.pumpwatch.database == tmp_path / "there" / "data" / "x.db"
    assert settings.pumpwatch.log_file == tmp_path / "there" / "x.log"
    assert settings.directory == tmp_path / "there"
    assert settings.helius.has_key


@pytest.mark.parametrize("database", [r"\\server\share\x.db", "//server/share/x.db", r"\\?\UNC\server\share\x.db"])
def test_a_database_on_a_network_share_is_refused_with_the_reason(problems_of: Problems, database: str) -> None:
    [problem] = problems_of(PUMPWATCH_PUMPWATCH_DATABASE=database)

    assert "lies on a network share, where SQLite's locks and shared memory do not work" in problem


def test_a_database_on_a_network_mount_is_refused(problems_of: Problems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [
        psutil._ntuples.sdiskpart("disk", tmp_path.root, "ext4", "rw"),
        psutil._ntuples.sdiskpart("server:/data", str(tmp_path), "nfs4", "rw"),
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)

    [problem] = problems_of("[pumpwatch]\ndatabase = x.db\n")

    assert problem.startswith("pumpwatch.ini:2: [pumpwatch] database lies on a network file system (nfs4)")


def test_a_database_that_cannot_be_looked_at_is_a_wrong_setting(problems_of: Problems, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)

    [problem] = problems_of("[pumpwatch]\ndatabase = folder/x.db\n")

    assert problem.startswith(
        "pumpwatch.ini:2: [pumpwatch] database cannot be reached (Permission denied): change the permissions"
    )


@pytest.mark.parametrize("database", [":memory:", "file:x.db", "sqlite:///x.db", "", "."])
def test_a_database_is_a_file(problems_of: Problems, database: str) -> None:
    [problem] = problems_of(PUMPWATCH_PUMPWATCH_DATABASE=database)

    assert problem.startswith("PUMPWATCH_PUMPWATCH_DATABASE ")


def test_windows_long_paths_are_no_network_share() -> None:
    assert not config_values.is_network_share(r"\\?\C:\data\x.db")
    assert not config_values.is_network_share(r"C:\data\x.db")


@pytest.mark.parametrize("key", ["database", "log_file"])
def test_the_home_of_nobody_is_a_wrong_setting_and_no_defect(problems_of: Problems, key: str) -> None:
    [problem] = problems_of(f"[pumpwatch]\n{key} = ~nobody-of-that-name/x\n")

    assert problem.startswith(f"pumpwatch.ini:2: [pumpwatch] {key} must not begin with '~nobody-of-that-name'")


def test_a_settings_file_in_the_home_of_nobody_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the path of the settings file must not begin with"):
        load(config=Path("~nobody-of-that-name/pumpwatch.ini"), environ={}, directory=tmp_path)
