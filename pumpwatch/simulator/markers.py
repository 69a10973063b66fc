"""Files beside the database by which the simulator makes a worker fail from within: :mod:`worker_faults` looks for them."""

from __future__ import annotations

from pathlib import Path


def disk_full_marker(database: Path) -> Path:
    """While this file exists, a worker under :mod:`worker_faults` has no room left on its disk."""
    return database.with_name(database.name + ".disk_full")


def hang_marker(database: Path) -> Path:
    """While this file exists, a worker under :mod:`worker_faults` hangs in its next transaction. The next worker removes it."""
    return database.with_name(database.name + ".hang")


def clock_marker(database: Path) -> Path:
    """While this file exists, the clock of a worker under :mod:`worker_faults` is wrong by the seconds in it."""
    return database.with_name(database.name + ".clock")
