"""What `ftcore validate` prints for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftcore.cli._output import print_line, print_table
from ftcore.errors import num_of

NUM_SHOWN = 12
"""Findings and malformed rows that are told one by one."""


def print_verdict(answer: Mapping[str, Any]) -> None:
    """The answer of `ftcore validate`, or of its --suggest, for people."""
    if "suggested" in answer:
        count = num_of(answer["num_expectations"], "expectation")
        print_line(f"{count} in {answer['suggested']}: review every limit, then name it as the suite")
        return
    from ftcore.data.faults import spoken_id

    report = answer["report"]
    rows = [
        [
            item["split"],
            item["num_rows"],
            item["num_expectations"],
            len(item["failed"]),
            sum(item["quarantined"].values()),
        ]
        for item in report["splits"]
    ]
    print_table(answer["name"], ["split", "rows", "expectations", "not met", "rows set aside"], rows)
    num_malformed = report.get("num_malformed", 0)
    if num_malformed:
        print_line(f"Malformed rows, left out: {num_malformed}")
        for row in answer["malformed"][:3]:
            print_line(f"  {spoken_id(row['id'])}: {row['detail']}")
    aside = [finding for finding in answer["findings"] if finding["action"] == "quarantine"]
    if aside:
        print_line("Rows set aside:")
    for finding in aside[:NUM_SHOWN]:
        print_line(f"  {finding['split']}: {finding['said']}")
    if len(aside) > NUM_SHOWN:
        print_line(f"  and {len(aside) - NUM_SHOWN} more (--json lists all)")
    for split, counts in (("test", report["num_leaked"]), ("validation", report.get("num_leaked_validation", {}))):
        leaked = ", ".join(f"{rule} {count}" for rule, count in counts.items() if count)
        if counts:
            print_line(f"Leaked {split} rows: {leaked or 'none'}")
    for what, counts in (answer.get("prepared") or {}).items():
        print_line(f"{what}: {', '.join(f'{name} {count}' for name, count in counts.items()) or 'none'}")
    if answer.get("num_repaired"):
        print_line(f"Preparing would repair {num_of(answer['num_repaired'], 'text')}: encoding")
    print_line("Refused:" if answer["refused"] else "ok: the data may be trained on")
    for reason in answer["refused"]:
        print_line(f"  - {reason}")
    if written := answer.get("train_written"):
        print_line(f"Train rows kept: {written['num_kept']:,} of {written['num_rows']:,}, in {written['path']}")
    for name, place in (
        ("Report", answer.get("report_page")),
        ("Data Docs", answer.get("docs")),
        ("Next", answer["next"]),
    ):
        if place:
            print_line(f"{name}: {place}")
