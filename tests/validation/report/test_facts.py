from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from ftcore.records import DatasetVersion, SplitReport
from ftcore.spec import FineTuneSpec
from ftcore.validation.profiles import profile_splits
from ftcore.validation.report import DataReport, collect, render
from ftcore.validation.splits import Findings
from ftcore.validation.suites import Entry, Suite
from ftcore.validation.surroundings import Surroundings
from tests.html.reading import UNSHOWN, read
from tests.html.test_elements import ANY

DATASET = DatasetVersion(repo=None, rev="r", path="p", uri="u", manifest_digest="d", num_files=1, num_bytes=1)
SPEC = FineTuneSpec.model_validate({"name": "demo", "base_model": {"name": "m"}, "data": {"files": {"any": "a.csv"}}})
PLAIN = Suite("plain", (), "d")


def rows(prefix: str, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"{prefix}{n}", "text": f"{prefix} message {n}", "label": "ab"[n % 2]} | more for n in range(count)]


def gather(splits: Any, suite: Suite = PLAIN, around: Surroundings = Surroundings(), **found: Any) -> DataReport:
    known = {"reports": (), "leaks": (), "num_leaked": {}, "num_leaked_validation": {}, "refused": (), "unfit": frozenset(),
             "quarantine": {}, "found": ()}  # fmt: skip
    return collect(SPEC, DATASET, suite, splits, Findings(**known | found), around, profile_splits(splits))


def test_a_split_in_figures() -> None:
    splits = {"train": rows("t", 5, source="chat"), "validation": [], "test": rows("x", 3, completion="two words")}
    report = gather(
        splits, reports=(SplitReport(split="train", num_rows=5, num_expectations=7),), quarantine={"t1": "null"}
    )
    train, validation, test = report.splits
    assert (train.num_rows, train.num_expectations, train.labels) == (5, 7, {"a": 3, "b": 2})
    assert (train.sources, train.num_words, train.aside) == ({"chat": 5}, (3,) * 5, {"null": 1})
    assert (validation.num_rows, validation.labels, test.num_answer_words) == (0, {}, (2, 2, 2))
    assert report.changes is None
    assert not train.num_tokens
    assert not train.languages


def test_change_against_the_accepted_version() -> None:
    splits = {"train": rows("t", 40, source="new"), "validation": [], "test": rows("x", 3)}
    accepted = profile_splits({"train": rows("t", 20, source="old")})
    (change,) = gather(splits, around=Surroundings(accepted=accepted)).changes or ()
    assert (change.name, change.rows, change.new_sources) == ("train", (20, 40), ("new",))


def test_languages_are_asked_where_the_suite_does() -> None:
    suite = Suite(
        "s", (Entry("expect_column_text_language_to_be_in", {"column": "text", "languages": ["en"]}, {}),), "d"
    )
    splits = {"train": [], "validation": [], "test": rows("x", 3, text="Where is the parcel that I ordered last week?")}
    assert gather(splits, suite).splits[2].languages == {"en": 3}


def test_a_column_that_predicts_the_label_is_found() -> None:
    train = [{"id": f"{n:04}", "text": "t", "label": "ab"[n % 2], "source": "xy"[n % 2]} for n in range(200)]
    probes = gather({"train": train, "validation": [], "test": rows("x", 2)}).probes
    assert probes[0].column == "source"
    assert probes[0].suspicious


def test_tokens_are_counted_where_the_tokenizer_is_known(tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    splits = {"train": rows("t", 4), "validation": [], "test": rows("x", 2)}
    report = gather(splits, around=Surroundings(tokenizer=tmp_path))
    assert report.splits[0].num_tokens == (3, 3, 3, 3)


ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "main", "section", "span", "h1", "h2", "h3", "p", "ul", "ol", "li",
    "dl", "div", "dt", "dd", "code", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "small", "figure",
    "figcaption", "svg", "desc", "rect", "line", "text", "del", "ins", "a", "b",
}  # fmt: skip


@settings(max_examples=40)
@given(st.lists(st.tuples(ANY, ANY, ANY), min_size=1, max_size=4))
def test_hostile_rows_end_up_as_text(parts: list[tuple[str, str, str]]) -> None:
    made = [
        {"id": row_id, "text": text, "label": label or None, "source": label, "group": row_id, "timestamp": None}
        for row_id, text, label in parts
    ]
    leaks = tuple(
        {"rule": rule, "test_id": row["id"], "train_id": row["id"], "score": 1.0}
        for rule in ("exact", "group", "near_duplicate") for row in made
    )  # fmt: skip
    report = gather({"train": made, "validation": [], "test": made}, leaks=leaks, num_leaked={"exact": 1, "group": 1,
                    "near_duplicate": 1}, refused=[row["text"] for row in made])  # fmt: skip
    page = render(report)
    assert {tag for tag, _ in read(page).outline} <= ALLOWED
    assert not UNSHOWN.search(page)
