"""The simulator of decisions: made-up rows have the truth they are said to have, and the rule decides as well as documented."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.compare import write_files
from benchmarks.gate import __main__ as command
from benchmarks.gate.draws import Bench, grouped, holdout_of_right, paired, shared_luck, sliced
from benchmarks.gate.report import DOC, Show, Target, at_least, at_most, table, targets_table, with_shows
from benchmarks.gate.rules import DEFAULT, RULES, STRICT, at_look, verdict
from benchmarks.gate.scale import Scale
from benchmarks.gate.series import SERIES_RULES, Line, retrain
from benchmarks.gate.texts import pool
from ftcore.errors import UsageError
from ftcore.evaluation.classification.paired import wins_of
from ftcore.evaluation.compare import compare_files
from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.judge import judge
from ftcore.evaluation.rows import Holdout
from ftcore.spec import GateSpec

TINY = Scale(decisions=2, some=2, slices=2, runs=1, texts=1)


def wins(holdout: Holdout) -> np.ndarray:
    return wins_of(holdout, "candidate", "champion")


def test_rows_have_the_difference_discordance_and_accuracy_they_are_said_to_have() -> None:
    holdout = paired(np.random.default_rng(1), 200_000, 0.02)
    assert wins(holdout).mean() == pytest.approx(0.02, abs=0.003)
    assert np.abs(wins(holdout)).mean() == pytest.approx(0.12, abs=0.003)
    assert (holdout.predictions["champion"] == holdout.target).mean() == pytest.approx(0.8, abs=0.003)
    assert np.abs(wins(paired(np.random.default_rng(1), 100_000, 0.2))).mean() == pytest.approx(0.24, abs=0.01)


def test_slices_have_their_own_differences() -> None:
    holdout = sliced(np.random.default_rng(1), [40_000, 60_000], [-0.08, 0.02])
    assert holdout.slices is not None
    codes = holdout.slices["source"].codes
    assert [wins(holdout)[codes == code].mean() for code in (0, 1)] == pytest.approx([-0.08, 0.02], abs=0.006)


def test_rows_of_a_group_win_together() -> None:
    holdout = grouped(np.random.default_rng(1), 40_000, 2, 0.0)
    first, second = wins(holdout)[::2], wins(holdout)[1::2]
    assert np.abs(first).mean() == pytest.approx(0.12, abs=0.006)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.49, abs=0.03)
    assert wins(grouped(np.random.default_rng(1), 40_000, 2, 0.06)).mean() == pytest.approx(0.06, abs=0.006)


def test_any_two_models_differ_on_the_rows_that_they_should() -> None:
    rng = np.random.default_rng(1)
    bench = Bench.fresh(rng, 100_000)
    first, second, better = (bench.right(rng, accuracy) for accuracy in (0.8, 0.8, 0.85))
    assert first.mean() == pytest.approx(0.8, abs=0.005) and better.mean() == pytest.approx(0.85, abs=0.005)
    assert (first != second).mean() == pytest.approx(0.12, abs=0.005)
    assert shared_luck(0.2) < shared_luck(0.12) < shared_luck(0.05)


def test_rules() -> None:
    rng, right = np.random.default_rng(1), np.arange(1000) < 800
    half_a_point = holdout_of_right(rng, np.arange(1000) < 805, right)
    assert [RULES[name](half_a_point) for name in ("new >= old", "new >= old + 1 point")] == [True, False]
    assert RULES["new >= old + 1 point"](holdout_of_right(rng, np.arange(1000) < 810, right))
    assert RULES["McNemar p < .05"](holdout_of_right(rng, np.arange(1000) < 806, right))  # 6 to 0: p = .03
    assert not RULES["McNemar p < .05"](half_a_point)  # 5 to 0: p = .06
    assert at_look(DEFAULT, 4).alpha == DEFAULT.alpha / 4 and at_look(DEFAULT, 1) == DEFAULT


def test_the_metrics_that_are_only_shown_decide_nothing() -> None:
    rng = np.random.default_rng(3)
    for difference in rng.uniform(-0.05, 0.1, 25):
        evidence = Evidence(paired(rng, int(rng.integers(100, 900)), float(difference)))
        for gate in (DEFAULT, STRICT):
            whole, short = judge(gate, evidence), judge(gate, evidence, show_others=False)
            assert (whole.outcome, whole.reasons, whole.metrics[:1]) == (short.outcome, short.reasons, short.metrics)
            assert len(whole.metrics) == 2


def test_a_true_quality_of_text_is_found_again() -> None:
    made = pool(np.random.default_rng(1), 60)
    assert made.value(0) < made.value(0.5) < made.value(1)
    assert made.value(made.share(made.value(0.37))) == pytest.approx(made.value(0.37), abs=1e-6)
    holdout = made.holdout(np.random.default_rng(1), (0.5, 0.5))
    ours, theirs = (holdout.statistics[role]["chrf"] for role in ("candidate", "champion"))
    assert 0.3 < (ours == theirs).all(axis=1).mean() < 0.8


def passed(difference: float, times: int, strict: bool = False, num_rows: int = 2000) -> float:
    rng = np.random.default_rng(11)
    gate = STRICT if strict else DEFAULT
    return sum(verdict(gate, paired(rng, num_rows, difference)) == "PASS" for _ in range(times)) / times


def test_the_rule_is_as_good_as_documented() -> None:
    """docs/decision-statistics.md, with room for 1,000 draws."""
    assert passed(-0.01, 1000) <= 0.02
    assert passed(-0.01, 1000, strict=True) <= 0.003
    assert passed(0.0, 500, strict=True) <= 0.045
    assert passed(0.02, 500) >= 0.91
    assert passed(-0.05, 300, num_rows=300) == 0 and passed(0.3, 50, num_rows=100) == 0


def test_groups_do_not_fool_the_rule() -> None:
    rng, fooled, alone = np.random.default_rng(2), 0, 0
    for _ in range(150):
        holdout = grouped(rng, 20, 100, -0.01)
        fooled += verdict(DEFAULT, holdout) == "PASS"
        alone += verdict(DEFAULT, dataclasses.replace(holdout, groups=None)) == "PASS"
    assert fooled <= 15 and alone >= 25


def test_a_series_counts_what_a_rule_promotes() -> None:
    line = Line()
    for gain, promoted in ((0.03, False), (0.02, True), (-0.005, True), (-0.02, True), (-0.02, False)):
        line.count(gain, promoted)
    assert (line.promotions, line.worse, line.much_worse, line.gains, line.missed) == (3, 2, 1, 2, 1)
    lines = {name: Line() for name in SERIES_RULES}
    for seed in range(3):
        retrain(seed, 0.0, 0, lines)
    assert lines["new >= old"].promotions > lines["gate"].promotions >= lines["gate, strict"].promotions
    assert lines["gate"].much_worse == 0 and len(lines["gate"].final) == 3


def test_targets() -> None:
    assert at_most("x", 0.05, 5, 100).met and not at_most("x", 0.05, 6, 100).met
    assert at_least("x", 0.9, 90, 100).met and not at_least("x", 0.9, 89, 100).met
    assert at_most("x", 0.0, 0, 10).seen == "0.00 % (0.00 to 27.75)"
    show = Show("a", "about", ("h",), (("1",),), (Target("x", "y", "z", False),))
    assert show.text().endswith("| x         | y      | z    | NO  |") and targets_table(show.targets) in show.text()
    assert table(("a", "long head"), (("b|c", "d"),)).splitlines()[2] == "| b\\|c | d         |"


def test_tables_go_between_their_markers() -> None:
    show = Show("one", r"about \1", ("h",), (("1",),))
    document = "before\n<!-- gate: one -->\nold\n<!-- end of one -->\nafter"
    new = with_shows(document, [show])
    assert new.startswith("before\n<!-- gate: one -->") and new.endswith("<!-- end of one -->\nafter")
    assert "old" not in new and show.text() in new and with_shows(new, [show]) == new
    with pytest.raises(UsageError, match="lacks the lines"):
        with_shows("nothing", [show])


def test_the_document_has_a_place_for_every_table() -> None:
    names = re.findall("<!-- gate: (.*) -->", DOC.read_text(encoding="utf-8"))
    assert sorted(names) == sorted(command.SHOWS)


def test_every_simulation_runs_and_a_missed_target_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SMOKE", TINY)
    monkeypatch.setattr(command, "FULL", TINY)
    monkeypatch.setattr(sys, "argv", ["gate", "--smoke"])
    assert command.main() == 0
    out = capsys.readouterr().out
    assert all(f"## {name} (" in out for name in command.SHOWS) and "Missed" not in out
    monkeypatch.setitem(
        command.SHOWS, "power", lambda rng, scale: Show("power", "", (), (), (Target("x", "y", "z", False),))
    )
    monkeypatch.setattr(sys, "argv", ["gate", "--only", "power"])
    assert command.main() == 1
    assert "Missed: x" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["gate", "--smoke", "--render"])
    with pytest.raises(SystemExit):
        command.main()


def test_one_simulation_gives_the_same_figures_alone_and_again() -> None:
    first, second = (command.run("few_rows", 7, TINY)[0] for _ in range(2))
    assert first == second and first != command.run("few_rows", 8, TINY)[0]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_the_files_for_compare_can_be_compared(tmp_path: Path, suffix: str) -> None:
    champion, candidate = write_files(tmp_path, 3000, suffix, 1)
    answer = compare_files(champion, candidate, GateSpec(floors={}))
    assert answer["verdict"] != "HOLD" and len(answer["slices"]) == 8
    assert answer["metrics"][0]["champion"] == pytest.approx(0.8, abs=0.02)
