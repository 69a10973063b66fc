from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pumpwatch.cli.init import init
from pumpwatch.config import load
from pumpwatch.errors import SettingsError


def test_init_writes_settings_that_load_as_the_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = load(config=None, environ={}, directory=tmp_path)

    assert init(config=None, directory=tmp_path) == 0

    after = load(config=None, environ={}, directory=tmp_path)
    assert after.config_file == tmp_path / "pumpwatch.ini"
    assert (after.pumpwatch, after.helius, after.secrets) == (before.pumpwatch, before.helius, ())
    assert capsys.readouterr().out.splitlines()[:2] == [f"wrote {tmp_path / 'pumpwatch.ini'}", f"wrote {tmp_path / '.env'}"]


def test_every_line_of_the_written_settings_can_be_uncommented(tmp_path: Path) -> None:
    init(config=None, directory=tmp_path)
    ini = tmp_path / "pumpwatch.ini"
    lines = ini.read_text(encoding="utf-8").splitlines()
    ini.write_text("\n".join(line[1:] if line[:1] == "#" and line[1:2] != " " else line for line in lines), encoding="utf-8")

    settings = load(config=None, environ={}, directory=tmp_path)

    assert settings == load(config=ini, environ={}, directory=tmp_path)
    assert settings.watch.max_tokens == 50


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_only_the_owner_can_read_the_secrets(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        init(config=None, directory=tmp_path)
    finally:
        os.umask(old)

    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_init_overwrites_nothing_and_follows_no_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pumpwatch.ini").write_text("[watch]\n", encoding="utf-8")
    try:
        (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")
    except OSError:
        pytest.skip("this user may not make links")

    assert init(config=None, directory=tmp_path) == 0

    assert (tmp_path / "pumpwatch.ini").read_text(encoding="utf-8") == "[watch]\n"
    assert not (tmp_path / "elsewhere").exists()
    assert capsys.readouterr().out.count("kept, it was there: ") == 2


def test_init_writes_where_config_says(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()

    init(config=Path("there/my.ini"), directory=tmp_path)

    assert sorted(entry.name for entry in (tmp_path / "there").iterdir()) == [".env", "my.ini"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be written: No such file or directory"):
        init(config=Path("nowhere/my.ini"), directory=tmp_path)
