"""Ordinary frames are led past the library's reader of frames: what comes out must be what it would have read."""

from __future__ import annotations

import pytest
import websocket
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.config import Endpoint
from pumpwatch.feeds.transport import Transport

_SIZES = st.one_of(st.integers(0, 130), st.sampled_from((125, 126, 127, 2000, 65_535, 65_536)))
_FRAMES = st.builds(
    lambda fin, opcode, mask, size: websocket.ABNF(
        fin, 0, 0, 0, opcode, mask, b"x" * (size if opcode < websocket.ABNF.OPCODE_CLOSE else size % 126)
    ),
    st.sampled_from((1, 1, 1, 0)),
    st.sampled_from((1, 1, 1, 0, 2, 9, 10)),
    st.sampled_from((0, 0, 0, 1)),
    _SIZES,
)


class _InPieces(Transport):
    """A transport whose socket gives these pieces, one with each read."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__(Endpoint.of("ws://127.0.0.1:1"), timeout_seconds=1.0)
        self._pieces = iter(pieces)
        self.finish_handshake()

    def _fill(self) -> bytes:
        return next(self._pieces, b"")


def told(frame: websocket.ABNF) -> tuple[int, int, bytes]:
    assert isinstance(frame.data, bytes)
    return frame.fin, frame.opcode, frame.data


class _Reader(websocket.frame_buffer):
    """Takes what the transport gives at once, and else what the library reads: as a connection does."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport.recv, skip_utf8_validation=True)
        self._transport = transport

    def recv_frame(self) -> websocket.ABNF:
        text = self._transport.take_text()
        return super().recv_frame() if text is None else websocket.ABNF(1, 0, 0, 0, 1, 0, text)


def frames_of(reader: websocket.frame_buffer, count: int) -> list[tuple[int, int, bytes]]:
    return [told(reader.recv_frame()) for _ in range(count)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % len(stream) for place in places} - {0})
    return [stream[start:end] for start, end in zip([0, *ends], [*ends, len(stream)], strict=True)]


@given(st.lists(_FRAMES, min_size=1, max_size=8), st.lists(st.integers(0, 2**20), max_size=8))
def test_all_frames_are_read_as_the_library_reads_them_wherever_the_stream_is_cut(
    frames: list[websocket.ABNF], places: list[int]
) -> None:
    # A ping or pong that is not final is refused by both: not what is compared here.
    frames = [frame for frame in frames if frame.fin or frame.opcode < websocket.ABNF.OPCODE_CLOSE]
    expected = [told(frame) for frame in frames]
    stream = b"".join(frame.format() for frame in frames)
    if not stream:
        return
    pieces = cut(stream, places)
    ours, library = _InPieces(pieces), _InPieces(pieces)

    assert frames_of(_Reader(ours), len(frames)) == expected
    assert frames_of(websocket.frame_buffer(library.recv, skip_utf8_validation=True), len(frames)) == expected
    assert ours.pending() == 0


def test_an_ordinary_frame_takes_the_short_way() -> None:
    frame = websocket.ABNF(1, 0, 0, 0, 1, 0, b"text").format()
    transport = _InPieces([frame * 3])
    reader = _Reader(transport)
    assert reader.recv_frame().data == b"text"  # the first fills the buffer
    assert transport.take_text() == b"text"
    assert transport.pending() == len(frame)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 300])
def test_a_frame_that_is_not_wholly_there_is_waited_for(size: int) -> None:
    frame = websocket.ABNF(1, 0, 0, 0, 1, 0, b"x" * size).format()
    for place in range(1, 2 * len(frame)):
        transport = _InPieces(cut(frame * 2, [place]))
        assert frames_of(_Reader(transport), 2) == [(1, 1, b"x" * size)] * 2, place
