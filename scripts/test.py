"""
Check everything: ``python scripts/test.py ARGUMENTS`` runs format check, lint, types and tests; arguments go to the tests.

The last step runs those tests once more that meet files, processes and consoles, with what only POSIX has hidden (portable.py).

Needs a Python of at least 3.11 and nothing else. All steps run, even if one fails; the exit status is 0 when none did.
"""

from __future__ import annotations

import subprocess
import sys
import time

from environment import DEV_LOCK, ROOT, EnvironmentProblem, prepare

STEPS = (
    ("format", ("-m", "ruff", "format", "--check", ".")),
    ("lint", ("-m", "ruff", "check", ".")),
    ("types", ("-m", "mypy")),
    ("tests", ("-m", "pytest")),
    ("portable", ("scripts/portable.py",)),
)


def main() -> int:
    try:
        python = prepare(DEV_LOCK)
        results = []
        for name, command in STEPS:
            arguments = sys.argv[1:] if name == "tests" else []
            print("== {}: {}".format(name, " ".join([*command, *arguments]).removeprefix("-m ")), flush=True)
            begun = time.monotonic()
            status = subprocess.run([str(python), *command, *arguments], cwd=str(ROOT), check=False).returncode
            results.append((name, status, time.monotonic() - begun))
    except EnvironmentProblem as problem:
        print(f"pumpwatch: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("pumpwatch: stopped", file=sys.stderr)
        return 130
    print("== summary")
    for name, status, seconds in results:
        print("{:<8} {:<6} {:7.1f} s".format(name, "FAILED" if status else "ok", seconds))
    return 1 if any(status for _, status, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main())
