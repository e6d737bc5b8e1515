from __future__ import annotations

import math
from typing import Any

import pytest

from ftcore.data.bias import DEFAULT_TERMS, Group, bias_report, holm, newcombe, wilson
from ftcore.spec import BiasSpec


def rows(spec: list[tuple[int, str, str, str]]) -> list[dict[str, Any]]:
    flat = [(text, label, source) for count, text, label, source in spec for _ in range(count)]
    return [
        {"id": str(n), "text": text, "label": label, "source": source} for n, (text, label, source) in enumerate(flat)
    ]


def group(groups: tuple[Group, ...], name: str) -> Group:
    return next(item for item in groups if item.name == name)


def test_counts_rates_and_gaps() -> None:
    members = rows(
        [
            (40, "hello", "toxic", "web"),
            (60, "hello", "fine", "web"),
            (10, "hi", "toxic", "mail"),
            (90, "hi", "fine", "mail"),
        ]
    )
    report = bias_report(members, BiasSpec(terms="none"))
    web = group(report.groups, "web")
    assert (web.kind, web.n, web.n_rest) == ("column:source", 100, 100)
    gap = next(gap for gap in web.gaps if gap.label == "toxic")
    assert (gap.rate, gap.rate_rest) == (0.4, 0.1)
    assert gap.ci_low < gap.gap < gap.ci_high
    assert gap.gap == pytest.approx(0.3)
    assert gap.ci_low > 0.15
    assert gap.p_adjusted < 0.001
    assert report.num_gaps == 4  # both groups, both labels


def test_small_groups_are_counted_only() -> None:
    members = rows([(5, "my wife", "a", "web"), (95, "x", "b", "web")])
    report = bias_report(members, BiasSpec())
    assert group(report.groups, "women").n == 5
    assert group(report.groups, "women").gaps == ()
    assert group(report.groups, "web").gaps == ()  # nobody to compare with
    assert report.num_gaps == 0


def test_terms_are_whole_words_in_any_case_and_can_be_your_own() -> None:
    members = rows([(1, "GAY rights", "a", "s"), (1, "gayety", "a", "s"), (1, "ein Rentner kam", "a", "s")])
    own = bias_report(members, BiasSpec(terms={"alt": ["Rentner", "im Ruhestand"]}, columns=[]))
    assert [(item.name, item.n) for item in own.groups] == [("alt", 1)]
    assert group(bias_report(members, BiasSpec()).groups, "lgbt").n == 1


def test_columns_that_tell_nothing_are_named() -> None:
    members = [{"id": str(n), "text": "t", "label": "l", "group": str(n)} for n in range(60)]
    report = bias_report(members, BiasSpec(columns=["group", "source"], terms="none"))
    assert report.skipped == {"group": "60 values, wanted at most 50", "source": "no row has a value"}


def test_generation_rows_are_counted() -> None:
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "ask your mother"}]
    members = [{"id": str(n), "text": "hello", "completion": turns[1]["content"], "messages": turns} for n in range(30)]
    assert group(bias_report(members, BiasSpec()).groups, "women").n == 30


def test_equal_groups_show_no_gap_and_intervals_are_known() -> None:
    members = rows([(50, "x", "a", "web"), (50, "x", "b", "web"), (50, "x", "a", "mail"), (50, "x", "b", "mail")])
    assert bias_report(members, BiasSpec(terms="none")).num_gaps == 0
    # Newcombe 1998, table II, example (a): 56/70 - 48/80.
    assert newcombe(56, 70, 48, 80, 0.95) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert wilson(0, 10, 0.95)[0] == 0.0
    assert math.isclose(wilson(81, 263, 0.95)[0], 0.2553, abs_tol=1e-4)
    assert all(term == term.casefold() for terms in DEFAULT_TERMS.values() for term in terms)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([]) == []
