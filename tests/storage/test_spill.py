"""The spill file: in order, bounded, and honest about its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from pumpwatch.errors import DatabaseError
from pumpwatch.storage.spill import Spill


def opened(path: Path, *, most_bytes: int = 10_000, reserve_bytes: int = 1_000) -> Spill:
    return Spill(path, most_bytes=most_bytes, reserve_bytes=reserve_bytes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trades.db.spill"


def test_lines_come_back_in_order_across_restarts(path: Path) -> None:
    spill = opened(path)
    for number in range(300):
        assert spill.append(b"line %d" % number)
    assert spill.read(2) == [b"line 0", b"line 1"]
    spill.close()

    again = opened(path)
    assert again.lines == 300
    assert [b"line %d" % number for number in range(300)] == again.read(1000)
    assert again.is_read
    again.close()


def test_what_was_appended_while_reading_is_read_too(path: Path) -> None:
    spill = opened(path)
    spill.append(b"a")
    assert spill.read(10) == [b"a"]
    spill.append(b"b")
    assert not spill.is_read
    assert spill.read(10) == [b"b"]
    spill.close()


def test_a_full_file_refuses_and_keeps_what_it_has(path: Path) -> None:
    spill = opened(path, most_bytes=100)
    taken = [spill.append(b"x" * 30) for _ in range(5)]
    spill.close()

    assert taken == [True, True, True, False, False]
    again = opened(path, most_bytes=100)
    assert again.read(10) == [b"x" * 30] * 3
    again.close()


def test_an_emptied_file_is_empty_after_a_restart_and_gives_its_room_back(path: Path) -> None:
    spill = opened(path, reserve_bytes=64)
    for _ in range(50):
        spill.append(b"y" * 50)
    spill.read(1000)
    spill.forget_read()
    assert path.stat().st_size <= 64
    spill.append(b"short")
    spill.close()

    again = opened(path)
    assert again.read(10) == [b"short"]
    assert again.torn == b""
    again.close()


def test_a_torn_last_line_is_told_and_overwritten(path: Path) -> None:
    path.write_bytes(b"whole\nhal" + bytes(50))

    spill = opened(path)
    assert (spill.lines, spill.torn) == (1, b"hal")
    spill.append(b"next")
    assert spill.read(10) == [b"whole", b"next"]
    spill.close()


def test_a_line_longer_than_a_chunk_survives(path: Path) -> None:
    spill = opened(path, most_bytes=8_000_000)
    long = b"z" * 3_000_000
    spill.append(long)
    spill.append(b"end")
    spill.close()

    again = opened(path, most_bytes=8_000_000)
    assert [long, b"end"] == again.read(10)
    again.close()


def test_room_is_claimed_ahead(path: Path) -> None:
    spill = opened(path, most_bytes=10_000_000, reserve_bytes=5_000_000)
    spill.close()
    assert path.stat().st_size == 5_000_000


def test_a_write_that_fails_counts_for_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spill = opened(path)
    spill.append(b"kept")
    file = spill._file

    class FullDisk:
        """The disk takes half of what is written, once."""

        def __getattr__(self, name: str) -> object:
            return getattr(file, name)

        def write(self, data: bytes) -> int:
            return file.write(data[: len(data) // 2])

    monkeypatch.setattr(spill, "_file", FullDisk())
    assert not spill.append(b"lost in the middle")
    monkeypatch.undo()
    spill.close()

    again = opened(path)
    assert again.read(10) == [b"kept"]
    again.close()


def test_what_cannot_be_opened_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(DatabaseError, match=r"trades\.db\.spill cannot be opened"):
        opened(path)
