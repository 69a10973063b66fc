"""Write pumpwatch.ini and the tables of docs/settings.md anew, after a setting has changed. A test compares them."""

from pathlib import Path

from pumpwatch.config_text import ini_text, markdown_tables

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "settings.md"
MARK = "<!-- below: written by scripts/settings_text.py -->\n"

if __name__ == "__main__":
    (ROOT / "pumpwatch.ini").write_text(ini_text(), encoding="utf-8", newline="\n")
    prose = DOCUMENT.read_text(encoding="utf-8").partition(MARK)[0]
    DOCUMENT.write_text(prose + MARK + markdown_tables(), encoding="utf-8", newline="\n")
