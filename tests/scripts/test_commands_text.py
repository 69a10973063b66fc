"""What docs/commands.md shows is what the commands say."""

from __future__ import annotations

from pathlib import Path

import commands_text
import pytest


@pytest.mark.usefixtures("corpus")
def test_the_examples_of_the_commands_are_what_they_print() -> None:
    assert commands_text.DOCUMENT.read_text(encoding="utf-8") == commands_text.text()


def test_a_changed_output_would_be_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: Path) -> None:
    document = tmp_path / "commands.md"
    document.write_text("```console\n$ python -m pumpwatch tokens --limit 1\nsomething else\n```\n", encoding="utf-8")
    monkeypatch.setattr(commands_text, "DOCUMENT", document)
    assert "something else" not in commands_text.text()
