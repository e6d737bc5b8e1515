"""Leaks on the page: counts by rule, aligned pairs, and the similarity that is natural to these rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ftcore.data.leakage import MEANINGS
from ftcore.errors import num_of
from ftcore.html.charts import curve
from ftcore.html.elements import Element, Node, code, details, element, name_of, paragraph, section, soft, table
from ftcore.validation.report.leaks import LeakFacts, Pair


def leak_section(leaks: LeakFacts, max_leaked: float, there: Collection[str]) -> Element:
    """The section.

    Args:
        max_leaked: Share of test rows that may have leaked.
        there: Splits that have rows.
    """
    if not {"train", "test"} <= set(there):
        return section("Leaks", paragraph("Not judged: train or test has no rows."), id_="leaks")
    share = leaks.num_leaked / max(1, leaks.num_test)
    tone = "flag" if share > max_leaked else "calm"
    said: list[Node] = [
        element("span", f"{leaks.num_leaked:,} of {leaks.num_test:,} test rows ({share:.2%})", class_=tone),
        f" would have been seen in training; at most {max_leaked:.2%} are allowed. ",
    ]
    if leaks.num_dropped:
        said.append(
            f"They leaked through {num_of(leaks.num_dropped, 'row')} of train and validation, to be taken out on preparing."
        )
    return section(
        "Leaks: test rows that training would see",
        paragraph(*said),
        _counts(leaks),
        *(_rule(rule, pairs, leaks.by_rule.get(rule, 0)) for rule, pairs in leaks.pairs.items()),
        _conflicting(leaks),
        _paraphrases(leaks),
        _background(leaks),
        id_="leaks",
    )


def _counts(leaks: LeakFacts) -> Element:
    rows: list[list[Node]] = [
        [name_of(rule), MEANINGS.get(rule, ""), f"{count:,}", f"{leaks.by_rule_validation.get(rule, 0):,}"]
        for rule, count in leaks.by_rule.items()
    ]
    return table(["rule", "what it finds", "test rows", "validation rows"], rows, numbers=[2, 3])


def _rule(rule: str, pairs: Sequence[Pair], count: int) -> Element | None:
    if not pairs:
        return None
    found = num_of(count, "test row") if count else num_of(len(pairs), "train row")
    head = f"{rule}: {found}; {len(pairs)} to read" if count else f"{rule}: {found} to read"
    return details(head, _legend(), *map(_pair, pairs), is_open=rule == "near_duplicate")


def _legend() -> Element:
    only = (element("del", "only in train"), " ", element("ins", "only in test"))
    return paragraph(soft("Words of both rows as they are, ", *only))


def _pair(pair: Pair) -> Element:
    places: list[Node] = []
    for side, row_id in (("test", pair.test_id), ("train", pair.train_id)):
        if row_id is not None:
            places += [f"{side} ", code(row_id), " "]
    words: list[Node] = []
    for run in pair.runs:
        text = " ".join(run.words)
        words += [text if run.kind == "same" else element({"train": "del", "test": "ins"}[run.kind], text), " "]
    labels = None
    if pair.labels is not None:
        labels = paragraph(soft("labels: ", element("del", pair.labels[0]), " ", element("ins", pair.labels[1])))
    return element(
        "div",
        paragraph(soft(*places, f"similarity {pair.score:.2f}")),
        element("p", *words, class_="aligned", dir="auto"),
        labels,
        class_="pair",
    )


def _conflicting(leaks: LeakFacts) -> Element | None:
    if not leaks.num_conflicting:
        return None
    pairs = num_of(leaks.num_conflicting, "pair says", "pairs say")
    head = f"{pairs} nearly the same under different labels; {len(leaks.conflicting)} to read"
    return details(head, _legend(), *map(_pair, leaks.conflicting))


def _paraphrases(leaks: LeakFacts) -> Element | None:
    if not leaks.paraphrases:
        return None
    rows = num_of(leaks.num_paraphrased, "test row has", "test rows have")
    head = f"{rows} a paraphrase in train, perhaps; {len(leaks.paraphrases)} to read"
    note = "Told by embeddings and counted nowhere: two questions about one matter may lie as close as two wordings of one."
    return details(head, paragraph(soft(note)), _legend(), *map(_pair, leaks.paraphrases))


_CURVE_NOTE = (
    "Share of the {count:,} test rows of 15 words and more that have a neighbour at least so similar. Nobody copied test rows "
    "from each other, so the first line is the habit of the corpus. Where the second lies far above it right of the mark, rows "
    "were copied; where both lie high, the rows come from forms and leakage.similarity should be raised."
)


def _background(leaks: LeakFacts) -> Element | None:
    if not leaks.among_test:
        return None
    note = _CURVE_NOTE.format(count=leaks.num_long)
    if leaks.share_compared < 1:
        note += f" Compared with {leaks.share_compared:.0%} of the train rows: the second line lies lower than with all of them."
    return curve(
        "How alike the rows are by nature",
        {"test with test": leaks.among_test, "test with train": leaks.with_train},
        "similarity (1 − edits / words) of a row's nearest neighbour",
        mark=(leaks.similarity, f"near-duplicate from {leaks.similarity:g}"),
        note=note,
    )
