"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CORPUS = Path(__file__).resolve().parents[1].parent / "shared" / "corpus"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real captured data. Absent outside the workplace: skipped there, an error in CI."""
    if CORPUS.is_dir():
        return CORPUS
    if os.environ.get("CI"):
        pytest.fail(f"the corpus is missing: {CORPUS}")
    pytest.skip("the corpus of real data is not here")
