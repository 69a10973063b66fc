"""
Reading Borsh structures whose program only ever appends fields.

A :class:`Reader` is made once from a list of fields and the names of those wanted. It cuts the list into runs of fixed size (a
string or list ends a run) and unpacks each run with one precompiled :class:`struct.Struct`; fields not wanted are skipped. What
it has once read like that it remembers by length, and unpacks the next payload of the same build at once.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from pumpwatch.errors import DecodeError

DISCRIMINATOR_BYTES: Final = 8

_FIXED = {
    "pk": ("32s", 32),
    "u64": ("Q", 8),
    "i64": ("q", 8),
    "i128": ("16s", 16),
    "u16": ("H", 2),
    "u8": ("B", 1),
    "bool": ("?", 1),
}

# Element size of what is preceded by a u32 count: text, and shareholders of 32 + 2 bytes.
_COUNTED = {"str": 1, "shv": 34}


#: Builds remembered: an event has a few lengths for each version of its program, times the names of instructions.
_MOST_BUILDS: Final = 256


class UnreadableEvent(DecodeError):
    """The payload is not what its discriminator says: cut inside a field, too short, or a bool that is neither 0 nor 1."""


class OutOfRange(DecodeError):
    """A wanted number is above 2**63 - 1, more than any real amount and more than a database's integer holds."""


class Field(NamedTuple):
    """One field: name and type (``pk``, ``u64``, ``i64``, ``i128``, ``u16``, ``u8``, ``bool``, ``str``, ``shv``)."""

    name: str
    type: str


class _Part(NamedTuple):
    """The first fields of a run: how to unpack them, and the bits that must be zero there."""

    codec: struct.Struct
    forbidden: int


class _Build(NamedTuple):
    """
    How all payloads of one length are read at once that have their counted fields where the first one of that length had them.

    Attributes:
        mask: Covers the bits that must be zero and the counts.
        expected: What is under it.
    """

    codec: struct.Struct
    mask: int
    expected: int
    surplus: int


class _Run:
    """Consecutive fields of fixed size, and the counted field that ends them, if any."""

    def __init__(self, fields: list[Field], tail: Field | None, wanted: frozenset[str]) -> None:
        self.tail_width = _COUNTED[tail.type] if tail else 0
        self.tail_wanted = tail is not None and tail.name in wanted
        self.parts: dict[int, _Part] = {}
        layout, forbidden, size = "<", 0, 0
        self.parts[0] = _Part(struct.Struct(layout), 0)
        for name, kind in fields:
            code, width = _FIXED[kind]
            layout += code if name in wanted else f"{width}x"
            forbidden |= _forbidden_bits(kind, is_wanted=name in wanted) << 8 * size
            size += width
            self.parts[size] = _Part(struct.Struct(layout), forbidden)
        self.size = size
        self.whole = self.parts[size]


class Reader:
    """
    Read the wanted fields of a payload, whatever version of the program wrote it.

    Args:
        fields: All fields in the order of the program's newest known version.
        wanted: Names of the fields to return.
        required: How many of the wanted fields a payload must at least have.

    """

    def __init__(self, fields: list[Field], wanted: frozenset[str], *, required: int) -> None:
        self._required = required
        self._runs: list[_Run] = []
        run: list[Field] = []
        for field in fields:
            if field.type in _COUNTED:
                self._runs.append(_Run(run, field, wanted))
                run = []
            else:
                run.append(field)
        self._runs.append(_Run(run, None, wanted))
        #: By length of the payload. None are learned where texts are wanted: those differ each time.
        self._builds: dict[int, _Build] = {}
        self._is_learning = not any(run.tail_wanted for run in self._runs)

    def read(self, payload: bytes) -> tuple[tuple[object, ...], int]:
        """
        Return the wanted fields that *payload* has, in order, and the number of bytes after the last known field.

        The payload may end at any field boundary (an older program) or go on after the last field (a newer one).

        Raises:
            UnreadableEvent: If it ends inside a field or before the required ones, or a bool is neither 0 nor 1.
            OutOfRange: If a wanted u64 is above 2**63 - 1.

        """
        build = self._builds.get(len(payload))
        if build is not None and int.from_bytes(payload, "little") & build.mask == build.expected:
            return build.codec.unpack_from(payload), build.surplus
        values, surplus = self._read_runs(payload)
        if build is None and self._is_learning and len(self._builds) < _MOST_BUILDS:
            self._builds[len(payload)] = self._build_of(payload)
        return values, surplus

    def _build_of(self, payload: bytes) -> _Build:
        """Describe *payload*, which :meth:`_read_runs` has read."""
        layout, mask, expected = f"<{DISCRIMINATOR_BYTES}x", 0, 0
        start = DISCRIMINATOR_BYTES
        for run in self._runs:
            part = run.parts[min(run.size, len(payload) - start)]
            layout += part.codec.format.removeprefix("<")
            mask |= part.forbidden << 8 * start
            start += part.codec.size
            if start == len(payload):
                break
            if run.tail_width:
                end = _end_of_counted(payload, start, run.tail_width)
                mask |= 0xFFFFFFFF << 8 * start
                expected |= int.from_bytes(payload[start : start + 4], "little") << 8 * start
                layout += f"{end - start}x"
                start = end
        return _Build(struct.Struct(layout), mask, expected, len(payload) - start)

    def _read_runs(self, payload: bytes) -> tuple[tuple[object, ...], int]:
        values: tuple[object, ...] = ()
        start, length = DISCRIMINATOR_BYTES, len(payload)
        for run in self._runs:
            part = run.whole
            end = start + run.size
            if end > length:
                part = self._part_ending_at(length - start, run)
                end = length
            if int.from_bytes(payload[start:end], "little") & part.forbidden:
                raise _why(payload[start:end], part.forbidden)
            values += part.codec.unpack_from(payload, start)
            start = end
            if end == length:
                break
            if run.tail_width:
                start = _end_of_counted(payload, end, run.tail_width)
                if run.tail_wanted:
                    values += (payload[end + 4 : start],)
        if len(values) < self._required:
            raise UnreadableEvent(f"ends after {length} bytes, before the fields that every version has")
        return values, length - start

    @staticmethod
    def _part_ending_at(size: int, run: _Run) -> _Part:
        part = run.parts.get(size)
        if part is None:
            raise UnreadableEvent(f"ends inside a field ({size} bytes into a run of {run.size})")
        return part


def _end_of_counted(payload: bytes, start: int, width: int) -> int:
    end = start + 4 + int.from_bytes(payload[start : start + 4], "little") * width
    if start + 4 > len(payload) or end > len(payload):
        raise UnreadableEvent(f"ends inside the text or list at byte {start}")
    return end


# One AND over a whole run replaces a check per field: a bool may only have its lowest bit, a wanted u64 not its highest.
def _forbidden_bits(kind: str, *, is_wanted: bool) -> int:
    if kind == "bool":
        return 0xFE
    return 1 << 63 if kind == "u64" and is_wanted else 0


def _why(run: bytes, forbidden: int) -> DecodeError:
    found = int.from_bytes(run, "little") & forbidden
    offset = ((found & -found).bit_length() - 1) // 8
    if forbidden >> 8 * offset & 0xFF == 0x80:
        return OutOfRange("a number above 2**63 - 1")
    return UnreadableEvent(f"a bool of {run[offset]}")
