"""``python -m pumpwatch``. Loading the modules takes a good part of a second: Ctrl-C is quiet from the first line on."""

import os
import signal
import sys


def _end(*_: object) -> None:
    """Nothing was begun yet. At once: an exception would come out of the middle of an import, with tracebacks of its own."""
    begins_worker = sys.argv[1:2] in ([], ["run"], ["demo"]) or sys.argv[1].startswith("-")
    os._exit(0 if begins_worker else 1)


def start() -> None:
    """Load the program behind the guard, and run it."""
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not where a shell has us ignore it
    if is_ours:
        signal.signal(signal.SIGINT, _end)
    from pumpwatch.cli.main import program

    if is_ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    program()


if __name__ == "__main__":
    start()
