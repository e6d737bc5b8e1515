"""A report with one text in every field that data or a suite can fill."""

from __future__ import annotations

from ftcore.data.leakage.evidence import Run
from ftcore.data.leakage.labels import MetadataProbe
from ftcore.validation.findings import Example, Finding
from ftcore.validation.report.facts import Changed, DataReport, SplitFacts
from ftcore.validation.report.leaks import LeakFacts, Pair


def report_of(text: str) -> DataReport:
    """Every string is `text`, or holds it where the form of the string matters."""
    finding = Finding(
        split=text, expectation=f"expect_column_values_to_be({text})", action="quarantine", reason=text,
        said=f"expect_column_values_to_be({text}): wanted {text}1; saw {text}", notes=text, num_rows=3, row_ids=(text, "b"),
        examples=(Example(text, f"a{text}", f"a{text}"),), evidence={f"a{text}": text},
    )  # fmt: skip
    runs = tuple(Run(kind, (text, text)) for kind in ("same", "train", "test"))
    pair = Pair(rule=text, test_id=text, train_id=text, score=0.7, runs=runs, labels=(text, f"{text}b"))
    counts = {f"a{text}": 3, "b": 2}
    split = SplitFacts(
        name=text, num_rows=5, num_expectations=2, labels=counts, sources=counts, num_words=(1, 2, 3, 4, 5),
        num_answer_words=(1, 2), num_tokens=(3, 4), languages=counts, aside={f"a{text}": 1},
    )  # fmt: skip
    named = [SplitFacts(name, 5, 2, counts, counts, (1, 2)) for name in ("train", "test")]
    leaks = LeakFacts(
        num_test=5, num_leaked=1, num_dropped=1, by_rule={text: 1}, by_rule_validation={text: 1}, pairs={text: (pair,)},
        num_conflicting=1, conflicting=(pair,), similarity=0.66, among_test=((0.5, 0.2), (1.0, 0.0)),
        with_train=((0.5, 0.3), (1.0, 0.1)), num_long=5,
    )  # fmt: skip
    change = Changed(text, (1, 2), ((1, 2, 3), (1, 2, 3)), 1.0, 0.1, 0.2, (f"a{text}",))
    return DataReport(
        name=text, task=text, version=text, revision=text, suite=text, refused=(f"a{text}", f"{text}: {finding.said}"),
        splits=(split, *named), findings=(finding,), leaks=leaks,
        limits={"max_leaked": 0.05, "max_quarantined": 0.05, "max_length": 64},
        probes=(MetadataProbe(text, 0.9, 100),), changes=(change,),
    )  # fmt: skip
