"""
Pin what setup.cfg asks for: writes requirements.lock, requirements-web.lock and requirements-dev.lock, with the hashes of
every file of each package.

Needs ``uv`` on the path (``pip install uv``), which solves for all systems and Pythons at once and writes the markers. With
``--upgrade`` it takes the newest versions in range; without, it keeps what is pinned. The locks name no index.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

from environment import DEV_LOCK, OLDEST_PYTHON, ROOT, RUN_LOCK, WEB_LOCK

_HEAD = "# Written by scripts/lock.py from setup.cfg. Do not edit.\n"


def compile_lock(name: str, *options: str) -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    path = ROOT / "scripts" / name
    command = [
        *(
            "uv",
            "pip",
            "compile",
            "setup.cfg",
            "-",
            "--universal",
            "--generate-hashes",
            "--no-annotate",
            "--no-header",
            "--quiet",
        ),
        *("--no-config", "--no-emit-index-url", "--no-emit-find-links", "--python-version", ".".join(map(str, OLDEST_PYTHON))),
        *("--output-file", str(path), *options, *sys.argv[1:]),
    ]
    # Another index or folder of this machine must not decide what everyone installs.
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("UV_", "PIP_"))}
    subprocess.run(command, cwd=ROOT, env=environ, input="\n".join(build), text=True, check=True)
    path.write_text(_HEAD + path.read_text(encoding="utf-8"), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    compile_lock(RUN_LOCK)
    compile_lock(WEB_LOCK, "--extra", "web", "--constraint", f"scripts/{RUN_LOCK}")
    compile_lock(DEV_LOCK, "--extra", "dev", "--constraint", f"scripts/{WEB_LOCK}")
