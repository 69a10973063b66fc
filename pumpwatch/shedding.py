"""What is given up when the disk is nearly full, one after the other, so that the trades of pinned tokens go on longest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from loguru import logger

#: In this order, and back in the reverse one.
STEPS: Final = ("raw", "metadata", "admissions", "unpinned")

#: A step has so long to help before the next is taken, or the last one taken back.
PATIENCE_SECONDS: Final = 60.0

#: Steps are taken back with so much more than the limit free: a disk that is filled and emptied by others does not flap.
_ENOUGH: Final = 1.2

_SAID: Final = {
    "raw": ("raw messages are recorded no longer", "raw messages are recorded again"),
    "metadata": ("no files behind tokens' uris are fetched", "files behind tokens' uris are fetched again"),
    "admissions": ("no new tokens are watched", "new tokens are watched again"),
    "unpinned": ("only tokens that a person asked for are watched", "tokens that nobody pinned may be watched again"),
}


def level(free_bytes: int, *, limit_bytes: int, steps: int, before: int, patient: bool) -> int:
    """
    PURE. Return how many of *steps* are to be taken.

    Below the limit one, and one more whenever the last has not helped; of four steps two, three, four at once with less than 3/4,
    1/2, 1/4 of it free. One is taken back when there is enough again.

    Args:
        limit_bytes: 0 = there is none.
        before: How many are taken now.
        patient: The last change had its time.

    """
    if limit_bytes <= 0 or steps == 0:
        return 0
    if free_bytes >= limit_bytes:
        return before - 1 if before and patient and free_bytes >= _ENOUGH * limit_bytes else before
    at_least = next(taken for taken in range(steps, 0, -1) if free_bytes * steps < limit_bytes * (steps + 1 - taken))
    return min(steps, max(at_least, before + 1 if before and patient else before))


class Shedding:
    """
    Takes the steps. For one thread.

    Args:
        min_free_bytes: Below it something is given up; 0 = nothing ever is.
        switches: Step and what does it, called with True to give up and with False to go on, in the order of :data:`STEPS`;
            without those that would give up nothing.

    """

    def __init__(self, min_free_bytes: int, switches: Sequence[tuple[str, Callable[[bool], object]]]) -> None:
        self._min_free_bytes = min_free_bytes
        self._switches = tuple(switches)
        self._level = 0
        self._changed_at: float | None = None

    @property
    def shed(self) -> tuple[str, ...]:
        """What is given up now. From any thread."""
        return tuple(step for step, _ in self._switches[: self._level])

    def turn(self, now: float, free_bytes: int | None) -> None:
        """
        Look once, at *now* (monotonic seconds).

        Args:
            free_bytes: None: not known, nothing changes.

        """
        if free_bytes is None:
            return
        before = self._level
        wanted = level(
            free_bytes,
            limit_bytes=self._min_free_bytes,
            steps=len(self._switches),
            before=before,
            patient=self._changed_at is None or now - self._changed_at >= PATIENCE_SECONDS,
        )
        if wanted == before:
            return
        self._changed_at = now
        free = (
            f"{free_bytes / 1e9:.2f} GB free where the database lies, [retention] min_free_gb is {self._min_free_bytes / 1e9:g}"
        )
        for step, switch in self._switches[before:wanted]:
            switch(True)  # noqa: FBT003 - a switch
            logger.error("disk: {}: {}; make room", free, _SAID[step][0])
        for step, switch in reversed(self._switches[wanted:before]):
            switch(False)  # noqa: FBT003 - a switch
            logger.info("disk: {}: {}", free, _SAID[step][1])
        self._level = wanted
