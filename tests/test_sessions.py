"""Recorded messages: written as they came, read back to the last flush, and never in anybody's way."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.errors import DecodeError
from pumpwatch.events import PoolSeen
from pumpwatch.session_writer import Recording, SessionWriter
from pumpwatch.sessions import Lines, Message, Problem, feed_of, line_of, parse_line


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def read(path: Path) -> tuple[list[Message], list[Problem]]:
    problems: list[Problem] = []
    found = []
    with Lines(path, problems.append) as lines:
        for _, line in lines:
            message = parse_line(line)
            assert message is not None
            found.append(message)
    return found, problems


def end(writer: SessionWriter) -> None:
    """What its thread does when it is asked to stop."""
    writer.stopping.set()
    writer.work()


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("session_*.jsonl.gz"), key=lambda path: (len(path.name), path.name))


@given(st.binary(max_size=200), st.booleans(), st.integers(0, 2**53 - 1))
def test_every_message_comes_back_byte_for_byte(raw: bytes, is_binary: bool, at_us: int) -> None:
    message = Message(at_us, "helius", raw, is_binary)

    line = line_of(message)

    assert line.count(b"\n") == 1
    assert parse_line(line) == message


def test_lines_of_other_recorders_are_read() -> None:
    text = '{"txType":"create","solAmount":1.10}'
    wall = json.dumps({"t_wall": 1783089923.1110196, "raw": text}).encode()
    counted = b'{"t_ms":519,"phase":"p1","dir":"in","data":' + text.encode() + b"}"

    assert parse_line(wall) == Message(1_783_089_923_111_020, None, text.encode())
    assert parse_line(counted, began_us=7_000_000) == Message(7_519_000, None, text.encode())
    assert parse_line(b'{"t_ms":1,"dir":"out","data":{}}') is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b'{"at_us":1,"feed":"other","text":""}',
        b'{"at_us":1,"feed":"helius"}',
        b'{"at_us":1,"feed":"helius","base64":"?"}',
        b'{"at_us":-1,"feed":"helius","text":""}',
        b'{"t_wall":1e300,"raw":""}',
        b'{"at_us":1,"left_out":3}',
    ],
)
def test_what_is_no_message_says_so(line: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_line(line)


def test_a_feed_is_known_by_what_it_says() -> None:
    assert feed_of(b'{"jsonrpc":"2.0","id":1,"result":3}') == "helius"
    assert feed_of(b'{"txType":"buy"}') == feed_of(b'{"message":"hello"}') == "pumpportal"
    assert feed_of(b"[1]") is feed_of(b"no") is None


def test_a_file_that_was_cut_off_is_read_up_to_its_last_flush(tmp_path: Path) -> None:
    clock = Clock()
    writer = SessionWriter(Recording(tmp_path, megabytes=100), clock=clock)
    for number in range(10):
        writer.keep("pumpportal", f'{{"n":{number}}}'.encode(), False, number)
    writer.turn()  # written and flushed: a kill from now on costs nothing of it
    writer.keep("pumpportal", b'{"n":10}', False, 10)
    writer.turn()  # within the second: not flushed

    (path,) = files_in(tmp_path)
    found, problems = read(path)

    assert [message.at_us for message in found] == list(range(10))
    assert [problem.is_end for problem in problems] == [True]
    clock.now += 1.1
    writer.turn()
    assert len(read(path)[0]) == 11
    end(writer)
    assert read(path)[1] == []


def test_a_file_cut_anywhere_gives_what_is_whole_in_it(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(line_of(Message(number, "helius", b"x" * 100)) for number in range(200)))
    path = tmp_path / "cut.gz"
    for length in (3, 11, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        problems: list[Problem] = []
        with Lines(path, problems.append) as lines:
            list(lines)
        assert [problem.is_end for problem in problems] == [True]


def test_files_end_by_size_and_the_oldest_go(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not ours", encoding="utf-8")
    noise = random.Random(1)
    writer = SessionWriter(Recording(tmp_path, megabytes=1))
    for number in range(100):
        writer.keep("helius", noise.randbytes(30_000), True, number)
        writer.turn()
    end(writer)

    kept = files_in(tmp_path)
    assert 4 < len(kept) < 12
    assert sum(path.stat().st_size for path in kept) <= 1024 * 1024
    times = [message.at_us for path in kept for message in read(path)[0]]
    assert sorted(times) == list(range(min(times), 100))  # the newest, without a hole
    assert 50 < min(times) < 80
    assert (tmp_path / "notes.txt").exists()
    assert (writer.written, writer.left_out) == (100, 0)


def test_a_file_ends_by_age(tmp_path: Path) -> None:
    clock = Clock()
    writer = SessionWriter(Recording(tmp_path, megabytes=100), clock=clock, file_seconds=60)
    for at in (0, 30, 61, 62, 200):
        clock.now = 1000.0 + at
        writer.keep("helius", b"{}", False, at)
        writer.turn()
    end(writer)

    assert [[message.at_us for message in read(path)[0]] for path in files_in(tmp_path)] == [[0, 30, 61], [62, 200]]


def test_what_finds_no_room_is_counted_and_noted_in_the_file(tmp_path: Path) -> None:
    writer = SessionWriter(Recording(tmp_path, megabytes=100), buffer_bytes=100)
    for number in range(5):
        writer.keep("helius", b"x" * 40, False, number)
    writer.turn()
    writer.keep("helius", b"y", False, 9)
    end(writer)

    assert (writer.written, writer.left_out) == (3, 3)
    lines = gzip.decompress(files_in(tmp_path)[0].read_bytes()).splitlines()
    assert [json.loads(line).get("left_out") for line in lines] == [3, None, None, None]


def test_a_disk_that_takes_no_more_ends_the_recording_of_messages_and_raises_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    writer = SessionWriter(Recording(gone, megabytes=100))  # a folder that is not there any more
    writer.keep("helius", b"x", False, 1)
    writer.turn()
    writer.keep("helius", b"x", False, 2)
    writer.turn()

    assert (writer.written, writer.left_out) == (0, 2)


def test_each_file_begins_with_the_pools_that_were_known(tmp_path: Path) -> None:
    """Their events do not say of which token they are."""
    one, two = (PoolSeen(pool=name, mint=f"mint of {name}", quote_mint="SOL") for name in ("one", "two"))
    writer = SessionWriter(Recording(tmp_path, megabytes=100), file_bytes=1)
    writer.know_pools([one])
    writer.keep("helius", b"a", False, 10)
    writer.turn()
    writer.know_pools([one, two])
    writer.keep("helius", b"b", False, 20)
    writer.turn()
    writer.know_pools([two])
    writer.keep("helius", b"c", False, 30)
    end(writer)

    found = [[(message.at_us, message.raw, message.pools) for message in read(path)[0]] for path in files_in(tmp_path)]
    assert found == [
        [(10, b"", (one,)), (10, b"a", ()), (20, b"", (two,))],
        [(20, b"", (one, two)), (20, b"b", ())],
        [(30, b"", (one, two)), (30, b"c", ())],
    ]


def test_a_secret_that_a_server_repeats_is_not_recorded(tmp_path: Path) -> None:
    writer = SessionWriter(Recording(tmp_path, megabytes=100), secrets=("abc/def-123",))
    writer.keep("helius", b'{"error":"bad key abc/def-123 or abc%2Fdef-123"}', False, 1)
    end(writer)

    assert read(files_in(tmp_path)[0])[0][0].raw == b'{"error":"bad key [hidden] or [hidden]"}'
