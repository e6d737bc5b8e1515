"""`ftcore watch SPEC`: judge the newest production window; alarm and ask for retraining on drift."""

from __future__ import annotations

from ftcore.cli._output import (
    JsonFlag,
    SetOption,
    SpecArgument,
    libraries_on_stderr,
    print_json,
    print_line,
    print_table,
)
from ftcore.records import DriftReport
from ftcore.spec import load_spec


def watch(spec: SpecArgument, overrides: SetOption = None, json: JsonFlag = False) -> None:
    """Judge the newest production window: ok, watch, drift or insufficient. The verdict is the answer, so all exit with 0."""
    from ftcore.ledger import open_ledger
    from ftcore.ledger.ledger import SERVICE
    from ftcore.monitoring.watch import watch as judge
    from ftcore.store import Store

    store = Store()
    with libraries_on_stderr():
        report = judge(load_spec(spec, overrides or ()), store, open_ledger(), SERVICE)
    if json:
        print_json(report.to_dict())
    else:
        _show(report, store.root / report.report_uri if report.report_uri else None)


def _show(report: DriftReport, page: object) -> None:
    print_line(f"{report.verdict}: {report.spec}, {report.num_current} rows against {report.num_reference}")
    for reason in report.reasons:
        print_line(f"  - {reason}")
    if report.tests:
        rows = [
            (test.name, f"{test.effect:.3f}", f"{test.floor:g}", f"{test.p_value:.2g}", f"{test.p_adjusted:.2g}")
            for test in report.tests
        ]
        print_table("", ("test", "effect", "floor", "p", "p (Holm)"), rows)
    if page:
        print_line(f"Report: {page}")
