"""One look at production: newest window against the champion's reference, decision, report pages, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftcore.data.reading import read_jsonl
from ftcore.errors import IntegrityError
from ftcore.ledger import Head, Ledger
from ftcore.monitoring.alerts import deliver
from ftcore.monitoring.decision import Decision, decide
from ftcore.monitoring.evidently_report import HTML, write_evidently
from ftcore.monitoring.page import render_page
from ftcore.monitoring.tests import Sample, compare_windows, most_unlike
from ftcore.monitoring.trigger import raise_alarm, record_decision
from ftcore.monitoring.windows import Row, Window, newest_window
from ftcore.records import DriftReport, digest_of
from ftcore.serving.champion import load_champion
from ftcore.serving.log import is_reply, predictions_folder, read_log
from ftcore.serving.models import prompt_of
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store, write_durable

PAGE = "report.html"
NUM_EXAMPLES = 8
_SCHEMA = 1  # of the pages and statistics: a new one judges old windows again


@dataclass(frozen=True)
class Measured:
    """Both windows as the tests see them."""

    reference: Sample
    current: Sample


def watch(spec: FineTuneSpec, store: Store, ledger: Ledger, actor: str) -> DriftReport:
    """Judge the newest window of one spec, record the decision, alarm on drift, deliver the outbox.

    The same window is judged once: a repeated call finds its report in the store. One more row is another window, judged anew
    with report pages of its own, which stay under `stages/monitor/`. Such windows overlap, so their decisions are not
    independent: `monitoring.alpha` holds for one look, and over many looks false alarms add up (at most one per cool-down).
    `insufficient` (no champion yet, too few rows) loads no model and never alarms.

    Raises:
        IntegrityError: The champion's package is damaged.
    """
    head = ledger.head(spec.name)
    if head is None:
        report = _insufficient(spec, "", Window((), "", "", ""), 0, "No model has been promoted yet.")
    else:
        rows, torn = read_log(predictions_folder(store.root, spec.name), after=head.since)
        window = newest_window(rows, model_digest=head.model_digest, since=head.since, size=spec.monitoring.window_rows)
        report = _judge(spec, store, head, window, torn)
    record_decision(ledger, report, actor)
    links = {"report": str(store.root / report.report_uri)} if report.report_uri else {}
    raise_alarm(ledger, report, cooldown_hours=spec.monitoring.cooldown_hours, links=links, actor=actor)
    deliver(ledger, {spec.name: spec.alerts.urls}, store.root / "alerts.log")
    return report


def _judge(spec: FineTuneSpec, store: Store, head: Head, window: Window, torn: int) -> DriftReport:
    settings = spec.monitoring
    if len(window.rows) < settings.min_rows:
        reason = f"{len(window.rows)} rows since the champion was promoted; at least {settings.min_rows} are needed to decide."
        return _insufficient(spec, head.model_digest, window, 0, reason)
    inputs = {
        "schema": _SCHEMA, "spec": spec.name, "model": head.model_digest, "window": window.digest,
        "settings": {"alpha": settings.alpha, "min_effect": settings.min_effect, "min_rows": settings.min_rows},
    }  # fmt: skip
    key = digest_of(inputs)
    found = store.find("monitor", key)
    if isinstance(found, DriftReport):
        return found
    with store.writing("monitor", key) as output:
        report = _measure(spec, store, head, window, torn, output)
        store.commit(output, report, inputs)
    return report


def _measure(spec: FineTuneSpec, store: Store, head: Head, window: Window, torn: int, output: Output) -> DriftReport:
    settings = spec.monitoring
    package = store.resolve(head.package_uri)
    model = load_champion(head, store)  # verifies the package, so its reference can be trusted too
    embeddings = model.embed([prompt_of(row) for row in window.rows])
    reference_rows, reference = read_reference(package / "reference")
    # The reference is stored in half precision; the current side gets the same rounding.
    current = sample(window.rows, embeddings.astype(np.float16))
    seed = int(window.digest[:8], 16)
    tests = compare_windows(reference, current, alpha=settings.alpha, min_effect=settings.min_effect, seed=seed)
    decision = decide(
        tests, num_reference=len(reference_rows), num_current=len(window.rows),
        min_rows=settings.min_rows, alpha=settings.alpha,
    )  # fmt: skip
    report = DriftReport(
        uri=output.uri, spec=spec.name, model_digest=head.model_digest, verdict=decision.verdict, reasons=decision.reasons,
        tests=tuple(tests), p_value=decision.p_value, num_reference=len(reference_rows), num_current=len(window.rows),
        window_digest=window.digest, window_start=window.start, window_end=window.end, report_uri=f"{output.uri}/{PAGE}",
    )  # fmt: skip
    measured = Measured(reference, current)
    notes = [f"{torn} torn rows at the end of log segments were left out."] if torn else []
    write_pages(report, measured, window.rows, reference_rows, output.path, settings.alpha, notes, seed)
    return report


def write_pages(
    report: DriftReport,
    measured: Measured,
    current_rows: tuple[Row, ...],
    reference_rows: list[Row],
    folder: Path,
    alpha: float,
    notes: list[str],
    seed: int,
) -> None:
    """Evidently's report, then ours, which links to it."""
    evidently = write_evidently(frame(reference_rows), frame(current_rows), folder)
    notes = notes + [f"Evidently could not take {name}: {why}." for name, why in evidently.left_out.items()]
    links = [("Evidently report", HTML)] if evidently.columns else []
    examples: list[Mapping[str, Any]] = []
    if measured.reference.embeddings is not None and measured.current.embeddings is not None:
        order = most_unlike(
            measured.reference.embeddings, measured.current.embeddings, NUM_EXAMPLES, np.random.default_rng(seed)
        )
        examples = [current_rows[position] for position in order]
    page = render_page(
        report, measured.reference, measured.current, alpha=alpha, examples=examples, links=links, notes=notes
    )
    write_durable(folder / PAGE, page)


def read_reference(folder: Path) -> tuple[list[Row], Sample]:
    """The holdout as the champion saw it when it was evaluated.

    Raises:
        IntegrityError: Rows and embeddings do not fit together.
    """
    rows = read_jsonl(folder / "rows.jsonl")
    try:
        embeddings = np.load(folder / "embeddings.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"Cannot read {folder / 'embeddings.npy'}: {error}.") from error
    if embeddings.ndim != 2 or len(embeddings) != len(rows) or not np.isfinite(embeddings).all():
        shape = "x".join(map(str, embeddings.shape))
        raise IntegrityError(f"{folder} has {len(rows)} rows and embeddings {shape}; wanted finite ones, one per row.")
    return rows, sample(rows, embeddings)


def sample(rows: list[Row] | tuple[Row, ...], embeddings: np.ndarray[Any, Any] | None) -> Sample:
    """Rows with `prediction`, `confidence`, `num_chars` as columns; where the predictions are replies, also `stopped`."""
    answers, replies = [str(row["prediction"]) for row in rows], any(map(is_reply, rows))
    return Sample(
        labels=None if replies else answers,
        replies=answers if replies else None,
        ended=[bool(row["stopped"]) for row in rows] if replies else None,
        confidence=np.array([float(row["confidence"]) for row in rows]),
        length=np.array([float(row["num_chars"]) for row in rows]),
        embeddings=embeddings,
    )


def frame(rows: list[Row] | tuple[Row, ...]) -> pd.DataFrame:
    """What Evidently gets: no text, no ids. Replies are told by their numbers alone."""
    names = ["prediction", "confidence", "num_chars", "num_tokens"]
    if any(map(is_reply, rows)):
        names = [*names[1:], "num_answer_chars", "num_answer_tokens", "stopped"]
    columns = {name: [_plain(row.get(name)) for row in rows] for name in names}
    return pd.DataFrame(
        {name: values for name, values in columns.items() if any(value is not None for value in values)}
    )


def _plain(value: Any) -> Any:
    """Truth values as words: Evidently would take them for numbers."""
    return ("yes" if value else "no") if isinstance(value, bool) else value


def _insufficient(
    spec: FineTuneSpec, model_digest: str, window: Window, num_reference: int, reason: str
) -> DriftReport:
    decision = Decision("insufficient", (reason,), None)
    return DriftReport(
        uri="", spec=spec.name, model_digest=model_digest, verdict=decision.verdict, reasons=decision.reasons,
        num_reference=num_reference, num_current=len(window.rows), window_digest=window.digest,
        window_start=window.start, window_end=window.end,
    )  # fmt: skip
