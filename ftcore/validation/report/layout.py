"""The data report as a page: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ftcore.data.leakage.labels import MAX_AUC
from ftcore.data.personal.examples import show
from ftcore.errors import num_of
from ftcore.html.elements import (
    Element,
    Node,
    bullets,
    code,
    details,
    element,
    facts,
    link,
    paragraph,
    pill,
    quote,
    section,
    soft,
    table,
)
from ftcore.html.page import page
from ftcore.store import write_durable
from ftcore.validation.findings import NUM_EXAMPLES, Finding
from ftcore.validation.report.chart_section import chart_section
from ftcore.validation.report.facts import Changed, DataReport
from ftcore.validation.report.leak_section import leak_section
from ftcore.validation.report.words import expected, next_steps, seen, wanted

_MAX_FINDINGS, _MAX_IDS, _MAX_REASONS = 60, 40, 30
_MAX_EVIDENCE = 12


def write_report(path: Path, report: DataReport) -> None:
    """Write the page."""
    write_durable(path, render(report))


def render(report: DataReport) -> str:
    """The page as one HTML document."""
    verdict = "refused" if report.refused else "fit for training"
    return page(
        f"Data of {report.name}: {verdict}",
        _head(report),
        _numbers(report),
        _findings(report),
        leak_section(report.leaks, report.limits["max_leaked"], {split.name for split in report.splits if split.num_rows}),
        chart_section(report),
        _probes(report),
        _changes(report),
        _more(report),
    )  # fmt: skip


def _head(report: DataReport) -> Element:
    bad = bool(report.refused)
    title = "This data is refused: nothing is trained on it" if bad else "This data may be trained on"
    reasons = [_reason(report, line) for line in report.refused[:_MAX_REASONS]]
    if len(report.refused) > _MAX_REASONS:
        reasons.append([f"and {len(report.refused) - _MAX_REASONS} more reasons"])
    remarks = [] if bad else _remarks(report)
    return section(
        None,
        pill("refused" if bad else "fit", "bad" if bad else "good"),
        element("span", report.name, class_="soft"),
        element("h1", title),
        paragraph("Why:") if reasons else None,
        bullets(reasons) if reasons else None,
        bullets(remarks) if remarks else None,
        element("h3", "What to do next"),
        bullets(next_steps(report), "ol"),
        class_=f"head {'bad' if bad else 'good'}",
    )


def _reason(report: DataReport, line: str) -> list[Node]:
    """A reason in plain words, linked to its finding if one says the same."""
    for number, finding in enumerate(report.findings[:_MAX_FINDINGS]):
        if line == f"{finding.split}: {finding.said}":
            return [
                f"{finding.split}: ",
                link(expected(finding), f"#finding-{number}"),
                f": {seen(finding, ids=False)}",
            ]
    return [line]


def _remarks(report: DataReport) -> list[str]:
    aside = sum(sum(split.aside.values()) for split in report.splits)
    remarks = ["Every expectation that could refuse the set was met."]
    if aside:
        share = aside / max(1, sum(split.num_rows for split in report.splits))
        remarks.append(f"{num_of(aside, 'row is', 'rows are')} set aside with a reason and not used ({share:.2%}).")
    if report.leaks.num_leaked:
        share = report.leaks.num_leaked / max(1, report.leaks.num_test)
        remarks.append(
            f"{num_of(report.leaks.num_leaked, 'test row has', 'test rows have')} a twin in train ({share:.2%}), within what is "
            "allowed."
        )
    return remarks


def _numbers(report: DataReport) -> Element:
    rows: list[list[Node]] = [
        [
            split.name,
            f"{split.num_rows:,}",
            f"{len(split.labels):,}" if split.labels else "–",
            _middle(split.num_words),
            f"{sum(split.aside.values()):,}",
            f"{split.num_expectations:,}",
            f"{sum(finding.split == split.name and finding.action == 'refuse' for finding in report.findings):,}",
        ]
        for split in report.splits
    ]
    head = ["split", "rows", "labels", "words (median)", "set aside", "expectations", "not met"]
    return section(
        "The data",
        facts(
            [
                ("Data version", code(report.version[:16])),
                ("Revision", code(report.revision[:16])),
                ("Suite", report.suite),
                ("Task", report.task),
            ]
        ),
        element("h3", "Splits"),
        table(head, rows, numbers=range(1, 7)),
    )


def _middle(values: Sequence[int]) -> str:
    return str(sorted(values)[len(values) // 2]) if values else "–"


_EXAMPLES_NOTE = (
    "Examples are cut at 200 characters, personal data are blotted out, invisible characters are written as escapes."
)


def _findings(report: DataReport) -> Element:
    if not report.findings:
        return section("What fell short", paragraph("Nothing: every expectation was met in every split."))
    shown = [_finding(number, finding) for number, finding in enumerate(report.findings[:_MAX_FINDINGS])]
    left_out = len(report.findings) - len(shown)
    return section(
        "What fell short",
        paragraph(soft(_EXAMPLES_NOTE)),
        *shown,
        paragraph(f"{left_out} more are in findings.json.") if left_out else None,
    )


def _finding(number: int, finding: Finding) -> Element:
    refuses = finding.action == "refuse"
    consequence = "refuses the whole set" if refuses else f"rows are set aside as “{finding.reason}”"
    examples: list[list[Node]] = [
        [code(example.id), example.why or "–", quote(example.text if example.text.strip() else "(blank)")]
        for example in finding.examples[:NUM_EXAMPLES]
    ]
    return element(
        "div",
        element("h3", f"{finding.split}: {expected(finding)}"),
        paragraph(pill("refuse" if refuses else "set aside", "bad" if refuses else "mild"), soft(consequence)),
        paragraph(element("b", "Wanted: "), wanted(finding)) if wanted(finding) else None,
        paragraph(element("b", "Seen: "), seen(finding)),
        paragraph(element("b", "Why it is expected: "), finding.notes),
        _evidence(finding),
        details(num_of(len(examples), "example"), table(["row", "what is wrong", "text"], examples), is_open=number < 3)
        if examples
        else None,
        _row_ids(finding),
        class_=f"finding {'bad' if refuses else 'mild'}",
        id=f"finding-{number}",
    )


def _evidence(finding: Finding) -> Element | None:
    """Figures behind a finding as far as they are short."""
    items: list[list[Node]] = [
        [code(str(name)), quote(show(value))] for name, value in list(finding.evidence.items())[:_MAX_EVIDENCE]
    ]
    return details("Figures", table(["figure", "value"], items)) if items else None


def _row_ids(finding: Finding) -> Element | None:
    if not finding.row_ids:
        return None
    shown: list[Node] = []
    for row_id in finding.row_ids[:_MAX_IDS]:
        shown += [code(row_id), " "]
    more = finding.num_rows - min(len(finding.row_ids), _MAX_IDS)
    rest = f"and {more:,} more, listed in findings.json" if more > 0 else None
    count = f"{num_of(finding.num_rows, 'row')}: ids"
    return details(count, paragraph(*shown, rest))


_PROBE_NOTE = (
    "A small model guesses the label from one column alone ({count:,} rows, out of fold). An area under the curve of 0.5 is "
    "guessing; {limit:g} and more means that the column carries the label, through the way the data were collected, for example. "
    "A model trained on the text does not see these columns, but the text may carry the same trace."
)
_CHANGE_NOTE = (
    "Label shift: share of rows whose label would have to differ, beyond chance. Vocabulary: Jensen-Shannon divergence in bits, "
    "beyond chance; 0 is the same."
)


def _probes(report: DataReport) -> Element | None:
    if not report.probes:
        return None
    verdicts = {True: ("predicts the label", "flag"), False: ("says little", "calm")}
    rows: list[list[Node]] = []
    for probe in report.probes:
        words, tone = verdicts[probe.suspicious]
        rows.append([code(probe.column), f"{probe.auc:.2f}", element("span", words, class_=tone)])
    return section(
        "Can the label be told without reading the text?",
        paragraph(soft(_PROBE_NOTE.format(count=report.probes[0].num_rows, limit=MAX_AUC))),
        table(["column", "area under the curve", ""], rows, numbers=[1]),
    )


def _changes(report: DataReport) -> Element:
    title = "Since the last accepted version"
    if report.changes is None:
        hint = "No accepted version is named (validation.accepted), so nothing was compared. "
        return section(title, paragraph(hint, "Keep profile.json of this validation to compare the next one with it."))
    head = ["split", "rows then", "rows now", "label shift", "words per row (quartiles)", "vocabulary", "new sources"]
    rows = [_change(change) for change in report.changes]
    return section(title, table(head, rows, numbers=[1, 2, 3, 5]), paragraph(soft(_CHANGE_NOTE)))


def _change(change: Changed) -> list[Node]:
    then, now = (" / ".join(map(str, side)) for side in change.length)
    sources = ", ".join(change.new_sources[:10]) or "–"
    return [
        change.name, f"{change.rows[0]:,}", f"{change.rows[1]:,}", f"{change.label_shift:.3f}", f"{then} → {now}",
        f"{change.vocabulary:.3f}", sources,
    ]  # fmt: skip


def _more(report: DataReport) -> Element | None:
    if not report.in_store:
        return None
    files: list[tuple[str, str, str]] = [
        ("Data Docs", "docs/index.html", "every expectation of Great Expectations, met or not"),
        ("findings.json", "findings.json", "what fell short, with up to 10,000 row ids each"),
        ("set_aside.json", "set_aside.json", "rows that are not used, with the reason"),
        ("leaks.jsonl", "leaks.jsonl", "every leaked pair by row id"),
        ("profile.json", "profile.json", "what the next version can be compared with"),
    ]
    return section("Files beside this page", bullets([link(name, at), f": {what}"] for name, at, what in files))
