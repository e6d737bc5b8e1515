from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.reading import write_jsonl
from ftcore.errors import DataRefused, UsageError
from ftcore.evaluation.review import CHOICES, Pair, read_choices, sample_pairs, summary, weigh
from ftcore.evaluation.review_page import write_review

NASTY = "<script>alert(1)</script>"


def evaluated(root: Path, ours: list[str], theirs: list[str] | None) -> Path:
    for role, answers in (("candidate", ours), ("champion", theirs)):
        if answers is not None:
            rows = [{"id": f"r{place}", "prediction": answer} for place, answer in enumerate(answers)]
            write_jsonl(root / "predictions" / f"{role}.jsonl", rows)
    asked = [{"id": f"r{place}", "text": f"{NASTY} {place}"} for place in range(len(ours))]
    write_jsonl(root / "reference" / "rows.jsonl", asked)
    return root


def test_pairs_are_drawn_among_the_rows_that_differ_in_random_order(tmp_path: Path) -> None:
    folder = evaluated(tmp_path, ["same"] * 50 + ["new"] * 200, ["same"] * 50 + ["old"] * 200)
    pairs = sample_pairs(folder, 100, 7)
    assert pairs == sample_pairs(folder, 100, 7) != sample_pairs(folder, 100, 8)
    assert len({pair.row_id for pair in pairs}) == 100 and all(int(pair.row_id[1:]) >= 50 for pair in pairs)
    assert all((pair.first == "new") == pair.candidate_first for pair in pairs)
    assert 30 < sum(pair.candidate_first for pair in pairs) < 70
    assert len(sample_pairs(folder, 900, 7)) == 200


def test_nothing_to_compare_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="no answers of a champion"):
        sample_pairs(evaluated(tmp_path / "a", ["x"], None), 5, 1)
    with pytest.raises(DataRefused, match="every row alike"):
        sample_pairs(evaluated(tmp_path / "b", ["x"], ["x"]), 5, 1)


def pairs_of(*candidate_first: bool) -> list[Pair]:
    return [Pair(f"r{place}", "asked", "one", "two", first) for place, first in enumerate(candidate_first)]


def test_nothing_that_a_reviewer_gets_says_whose_answer_is_whose(tmp_path: Path) -> None:
    texts = []
    for first in (True, False):
        folder = tmp_path / str(first)
        folder.mkdir()
        write_review(folder, "abc", "tiny", pairs_of(first, True, False))
        texts.append([path.read_text() for path in sorted(folder.iterdir())])
    assert texts[0] == texts[1]


def test_texts_are_escaped(tmp_path: Path) -> None:
    write_review(tmp_path, "abc", "tiny", [Pair("=1+1", NASTY, NASTY, NASTY, True)])
    assert "<script" not in (tmp_path / "pairs.html").read_text()
    assert "=1+1" not in (tmp_path / "choices.csv").read_text()


def filled(path: Path, *choices: str, review: str = "abc") -> Path:
    lines = [f"{review},{number},{choice}," for number, choice in enumerate(choices, start=1)]
    path.write_text("\n".join(["review,pair,choice,note", *lines]) + "\n")
    return path


def test_choices_are_unblinded_and_counted_by_row(tmp_path: Path) -> None:
    pairs = pairs_of(True, False, True, False, True)
    one = filled(tmp_path / "one.csv", "A", "b", "A", "A", "")
    two = filled(tmp_path / "two.csv", "A", "B", "B", " tie ", "tie")
    seen = weigh(pairs, read_choices([one, two], "abc", 5))
    assert (seen.reviewers, seen.num_rows, seen.candidate, seen.champion, seen.tied) == (2, 5, 2, 1, 2)
    assert seen.win_rate == pytest.approx(0.6) and seen.p_value == 1.0
    chance = 0.75 * 0.25 + 0.25 * 0.5  # both say A, both say B; the four pairs that both judged
    assert seen.kappa == pytest.approx((0.5 - chance) / (1 - chance))
    assert summary(seen).startswith("2 reviewers, 5 rows: candidate better on 2, champion on 1, 2 tied")


@given(st.lists(st.sampled_from(CHOICES), min_size=2, max_size=40).filter(lambda given: len(set(given)) > 1))
def test_reviewers_who_agree_have_kappa_one(choices: list[str]) -> None:
    one: Mapping[int, str] = dict(enumerate(choices, start=1))
    assert weigh(pairs_of(*[True] * len(choices)), [one, one]).kappa == pytest.approx(1.0)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(CHOICES)), min_size=1, max_size=40))
def test_swapping_models_swaps_the_result(rows: list[tuple[bool, str]]) -> None:
    choices = [dict(enumerate((choice for _, choice in rows), start=1))]
    seen, swapped = (weigh(pairs_of(*(first != turned for first, _ in rows)), choices) for turned in (False, True))
    assert (seen.candidate, seen.champion, seen.tied) == (swapped.champion, swapped.candidate, swapped.tied)
    assert seen.win_rate == pytest.approx(1 - swapped.win_rate) and seen.p_value == pytest.approx(swapped.p_value)


def test_every_fault_of_every_sheet_is_listed(tmp_path: Path) -> None:
    sheets = [
        filled(tmp_path / "a.csv", "A", "C"), filled(tmp_path / "b.csv", "A", review="other"), tmp_path / "none.csv",
        filled(tmp_path / "c.csv", "", ""), filled(tmp_path / "d.csv", "A", "A", "A"),
    ]  # fmt: skip
    with pytest.raises(UsageError) as caught:
        read_choices(sheets, "abc", 2)
    assert caught.value.details == (
        "a.csv: saw the choice 'C', wanted A, B, tie (row 1)",
        "b.csv: saw the review 'other', wanted the newest, 'abc' (row 0)",
        f"no file at {tmp_path / 'none.csv'}",
        "c.csv: no choice is filled in",
        "d.csv: saw the pair '3', wanted 1 to 2 (row 2)",
    )


def test_a_fault_of_many_rows_is_told_once(tmp_path: Path) -> None:
    sheet = filled(tmp_path / "a.csv", *"AAAAAAAA", review="other")
    with pytest.raises(UsageError) as caught:
        read_choices([sheet], "abc", 8)
    assert caught.value.details == (
        "a.csv: saw the review 'other', wanted the newest, 'abc' (rows 0, 1, 2, 3, 4 and 3 more)",
    )


def test_nobody_counts_twice(tmp_path: Path) -> None:
    sheet = filled(tmp_path / "a.csv", "A", "B")
    with pytest.raises(UsageError, match="named twice"):
        read_choices([sheet, tmp_path / "." / "a.csv"], "abc", 2)
    sheet.write_text(sheet.read_text() + "abc,1,B,\n")
    with pytest.raises(UsageError, match="pair 1 has a choice already"):
        read_choices([sheet], "abc", 2)


def test_a_sheet_may_come_back_with_semicolons(tmp_path: Path) -> None:
    sheet = filled(tmp_path / "a.csv", "A", "tie")
    sheet.write_text("\ufeff" + sheet.read_text().replace(",", ";"), encoding="utf-8")
    assert read_choices([sheet], "abc", 2) == [{1: "A", 2: "tie"}]
    sheet.write_text("review|pair|choice\nabc|1|A\n")
    with pytest.raises(UsageError, match="no column review, pair, choice"):
        read_choices([sheet], "abc", 2)
