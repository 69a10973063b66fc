"""A report tells how pumpwatch is, whatever is wrong with it, and no secret leaves with it, however it is spelled."""

from __future__ import annotations

import base64
import json
import os
import stat
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
from cli_samples import NOW, Maker

from pumpwatch.cli.main import main
from pumpwatch.events import AlertRaised, GapOpened, Rejected, RunStarted, SpellStarted
from pumpwatch.redaction import spellings
from pumpwatch.scrubbing import Scrubber
from pumpwatch.status import FeedStatus, Status, StatusFile, path_of
from pumpwatch.storage.store import Store

PORTAL, HELIUS, DSN_KEY = "pp+key/with=odd&signs-7731", "a3f1c2d4-55aa-4c1b-9e21-0d2f6b1ae901", "9f8e7d6c5b4a39281706f5e4d3c2b1a0"
RPC_PATH, BOT, PASSWORD = "v2-Zk3yPathTokenOfProvider", "123456789:AAH-bot_token_of_mine", "hunter22hunter"
SECRETS = (PORTAL, HELIUS, DSN_KEY, RPC_PATH, BOT, PASSWORD)
US = 1_000_000


def encoded(secret: str) -> list[str]:
    """*secret* within other things, as a header or a dump would have it."""
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    inside = [f"{'x' * pad}{secret}tail".encode() for pad in range(3)]
    both = [alphabet(raw).decode() for raw in inside for alphabet in (base64.b64encode, base64.urlsafe_b64encode)]
    return [basic, *both, secret.encode().hex(), secret.upper()]


def everywhere(secret: str) -> str:
    """A sentence that has *secret* in every way that we know of."""
    url = f"https://mainnet.helius-rpc.com/?api-key={quote(secret, safe='')}"
    parts = (secret, quote(secret, safe=""), quote(quote(secret, safe=""), safe=""), url, f"https://elsewhere.example/{secret}/x")
    return " ".join((*parts, f"Authorization: Basic {encoded(secret)[0]}", *encoded(secret)))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which keys have got everywhere."""
    for name in [name for name in os.environ if name.startswith("PUMPWATCH_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "höme"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("HELIUS_API_KEY", HELIUS)
    make = Maker()
    mint, wallet, other = make.address(), make.address(), make.address()
    (folder / "addresses").write_text(f"{mint} {wallet} {other}", encoding="utf-8")
    (folder / "pumpwatch.ini").write_text(
        f"[pumpwatch]\nlog_file = p.log\n[watch]\nmints = {mint}\nwallets = {wallet}\n", encoding="utf-8"
    )
    (folder / ".env").write_text(
        f"PUMPPORTAL_API_KEY={PORTAL}\nSENTRY_DSN=https://{DSN_KEY}@sentry.example/42\n"
        f"PUMPWATCH_HELIUS_RPC_URL=https://rpc.example/{RPC_PATH}\n"
        f"PUMPWATCH_ALERTS_URLS=tgram://{BOT}/99887766, json://me:{PASSWORD}@hooks.example/path\n",
        encoding="utf-8",
    )
    leaked = "; ".join(map(everywhere, SECRETS))
    (folder / "p.log.1").write_text(f"older {leaked}\n" * 3, encoding="utf-8")
    lines = "\n".join(f"2026 INFO line {number} of {wallet} {leaked}" for number in range(50))
    (folder / "p.log").write_text(f"{lines}\n", encoding="utf-8")
    make.create(mint, wallet, symbol="CAT")
    for number in range(20):
        make.trade(mint, other, number)
    make.put("helius", Rejected(kind="not json", reason=leaked, raw=leaked.encode()))
    make.put("helius", GapOpened(cause="silent", feed="helius", from_us=NOW * US, to_us=(NOW + 2) * US, detail=leaked))
    make.put("pumpwatch", SpellStarted(kind="wallet", address=wallet, reason="pinned", at_us=NOW * US))
    make.put("pumpwatch", RunStarted(started_at_us=NOW * US, pid=1, version="0", before_reason=leaked))
    alert = {"severity": "warning", "raised_at_us": NOW * US}
    make.put(
        "pumpwatch",
        AlertRaised(rule="feed down", subject=leaked[:200], text=leaked, **alert),  # type: ignore[arg-type]
        AlertRaised(rule="large trade", subject=mint, text=f"{other} bought", is_market=True, **alert),  # type: ignore[arg-type]
    )
    store = Store.open(folder / "pumpwatch.db", origin="mainnet")
    store.apply(make.deliveries)
    store.close()
    feeds = {"helius": FeedStatus(state="refused", since=1.0, reason=leaked)}
    StatusFile(path_of(folder / "pumpwatch.db")).write(
        Status(pid=1, started_at=1.0, written_at=2.0, version="0", state="running", feeds=feeds, reason=leaked)
    )
    return folder


def read(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_no_secret_is_in_a_report_in_any_spelling(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--output", "r.zip", "--with-watchlist"]) == 0
    inside = read(home / "r.zip")
    out = capsys.readouterr().out

    everything = "\n".join([*inside.values(), out]).lower()
    for secret in SECRETS:
        for spelled in (*spellings(secret), *encoded(secret), quote(secret, safe="")):
            assert spelled.lower() not in everything, spelled
    assert "99887766" not in everything
    assert "elsewhere.example/..." in everything, "the host stays"
    assert "left out: a secret" not in everything
    assert str(home.parent).lower() not in everything


def test_a_report_has_what_a_person_needs_to_find_a_defect(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--output", "r.zip", "--log-lines", "20"]) == 0
    inside = read(home / "r.zip")

    database = json.loads(inside["database.json"])["content"]
    assert database["rows"]["trades"] == 20
    assert database["rejected"][0]["kind"] == "not json"
    assert database["gaps"][0]["cause"] == "silent"
    assert [alert["rule"] for alert in database["alerts"]] == ["large trade", "feed down"]
    assert (database["alerts"][0]["text"], database["alerts"][0]["subject"]) == (None, None), "it would tell of a trade"
    assert len(database["runs"]) == 1
    settings = json.loads(inside["settings.json"])
    assert settings["helius"]["rpc"] == "https://rpc.example"
    assert settings["alerts"]["urls"] == ["tgram://[hidden]", "json://[hidden]"]
    assert json.loads(inside["status.json"])["origin"] == "mainnet"
    assert json.loads(inside["worker.json"])["state"] == "running"
    assert json.loads(inside["versions.json"])["distributions"]["sqlalchemy"]
    assert "CREATE TABLE trades" in inside["schema.sql"]
    log = inside["log.txt"].splitlines()
    assert (len(log), "line 49" in log[-1]) == (20, True)
    out = capsys.readouterr().out
    assert all(name in out for name in inside if name != "README.txt")
    assert all(len(line) <= 80 for line in out.splitlines())


def test_no_trade_and_no_address_of_the_watch_list_is_in_it_unless_that_is_asked(home: Path) -> None:
    mint, wallet, other = (home / "addresses").read_text(encoding="utf-8").split()
    assert main(["report", "--output", "r.zip"]) == 0
    assert main(["report", "--output", "w.zip", "--with-watchlist"]) == 0
    without, with_list = ("\n".join(read(home / name).values()) for name in ("r.zip", "w.zip"))

    assert mint not in without
    assert wallet not in without
    assert other not in without + with_list, "who traded"
    assert mint in with_list
    assert wallet in with_list


def test_a_report_is_for_its_owner_alone_and_replaces_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--output", "r.zip", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["size_bytes"] == (home / "r.zip").stat().st_size
    assert set(told["inside"]) == set(read(home / "r.zip"))
    if os.name != "nt":
        assert stat.S_IMODE((home / "r.zip").stat().st_mode) == 0o600
    before = (home / "r.zip").read_bytes()
    assert main(["report", "--output", "r.zip"]) == 1
    assert (home / "r.zip").read_bytes() == before
    assert main(["report"]) == 0
    assert len(list(home.glob("pumpwatch-report-*Z.zip"))) == 1


def test_settings_that_are_wrong_are_told_and_their_secrets_are_not(home: Path) -> None:
    with (home / "pumpwatch.ini").open("a", encoding="utf-8") as file:
        file.write("[pumpportal]\napi_key = ini-secret-0123456789\nnonsense = 1\n")
    with (home / "p.log").open("a", encoding="utf-8") as file:
        file.write("ini-secret-0123456789\n")

    assert main(["report", "--output", "r.zip"]) == 0

    inside = read(home / "r.zip")
    assert "nonsense" in inside["settings.json"]
    everything = "\n".join(inside.values())
    for secret in (*SECRETS, "ini-secret-0123456789"):
        assert secret not in everything
    assert json.loads(inside["database.json"])["content"]["rows"]["trades"] == 20


@pytest.mark.parametrize("content", [None, b"this is no database" * 1000])
def test_a_database_that_is_gone_or_damaged_is_told(home: Path, content: bytes | None) -> None:
    for path in home.glob("pumpwatch.db*"):
        path.unlink()
    if content is not None:
        (home / "pumpwatch.db").write_bytes(content)
    assert main(["report", "--output", "r.zip"]) == 0
    assert "cannot be read" in read(home / "r.zip")["database.json"]


def test_a_text_that_still_held_a_secret_would_be_left_out() -> None:
    from pumpwatch.report import scrubbed

    class Blind(Scrubber):
        def clean(self, text: str) -> str:
            return text

    texts = scrubbed({"a": f"x {PORTAL} y", "b": "fine"}, Blind([PORTAL]))
    assert texts == {"a": "left out: a secret could not be taken out of it\n", "b": "fine"}
