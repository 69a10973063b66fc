"""A disk nearly full: what is least useful is given up, said, and called unproven; pinned tokens go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_worker import EVERYTHING, RealWorker, until

from pumpwatch import status as status_file
from pumpwatch.simulator.simulator import Simulator

pytestmark = pytest.mark.timeout(120)

NEARLY_FULL = {"PUMPWATCH_RETENTION_MIN_FREE_GB": "1000000"}  # whatever is free is less than a quarter of that

#: Of what was given up: known holes stay holes.
VERDICTS = """
    SELECT completeness, CASE completeness WHEN 'holes' THEN '' ELSE substr(token_board.reason, 1, 4) END
    FROM token_board JOIN spells ON address = mint WHERE end_reason = 'disk'
"""


def shed(worker: RealWorker) -> tuple[str, ...]:
    status = status_file.read(status_file.path_of(worker.database))
    return () if status is None else status.shed


def test_with_a_disk_nearly_full_only_pinned_tokens_go_on_and_the_others_are_unproven(
    simulator: Simulator, worker: RealWorker, tmp_path: Path
) -> None:
    pinned = {coin.mint for coin in simulator.market.opening.values()}
    worker.settings.update(EVERYTHING)
    worker.start()
    simulator.open_market()
    admitted = "SELECT count(*) FROM spells WHERE reason = 'admitted' AND ended_at_us IS NULL"
    until(lambda: worker.ask(admitted) and worker.ask(admitted)[0][0] >= 2, what="admitted tokens")
    assert worker.stop() == 0

    (tmp_path / "raw").mkdir()
    worker.start("--record", str(tmp_path / "raw"), settings=NEARLY_FULL)
    until(lambda: shed(worker) == ("raw", "admissions", "unpinned"), what="all steps (metadata is off)")
    until(lambda: worker.ask(admitted)[0][0] == 0, what="the end of admitted tokens")
    before = worker.count()
    until(lambda: worker.count() > before, what="trades of pinned tokens")
    until(lambda: {*worker.ask(VERDICTS)} <= {("holes", ""), ("unproven", "disk")} and worker.ask(VERDICTS), what="verdicts")
    said = worker.command("status", settings=NEARLY_FULL)
    checked = worker.command("check", settings=NEARLY_FULL)
    assert worker.stop() == 0

    assert said.status == 1
    assert "NOT healthy: the disk is nearly full, given up: raw, admissions, unpinned" in said.out
    assert "less than [retention] min_free_gb = 1e+06 is free" in checked.out
    assert {mint for (mint,) in worker.ask("SELECT address FROM spells WHERE ended_at_us IS NULL")} == pinned
    for words in ("raw messages are recorded no longer", "no new tokens are watched", "only tokens that a person asked for"):
        assert worker.log.count(words) == 1, words
