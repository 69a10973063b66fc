"""scripts/deletions.py, which is on no path: random curves, and what is taken out of them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PATH = Path(__file__).resolve().parents[1] / "scripts" / "deletions.py"


def load() -> ModuleType:
    if "deletions" in sys.modules:
        return sys.modules["deletions"]
    spec = importlib.util.spec_from_file_location("deletions", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["deletions"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
