"""What the data report says in plain words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ftcore.validation.findings import Finding

if TYPE_CHECKING:
    from ftcore.validation.report.facts import DataReport

_IDS = re.compile(r"; (?=(?:ids?|rows?) )")
_MOSTLY = re.compile(r"mostly=([01](?:\.\d+)?)(?=,|$)")
_UNKNOWN = re.compile(r"labels? that train lacks: ")


def expected(finding: Finding) -> str:
    """`expect_column_values_to_not_be_null(text)` as "text: values to not be null"."""
    name, _, column = finding.expectation.rstrip(")").partition("(")
    words = name.removeprefix("expect_").removeprefix("column_").replace("_", " ")
    return f"expected of “{column}”: {words}" if column else f"expected: {words}"


def wanted(finding: Finding) -> str:
    """The settings of the expectation as far as the message names them; empty: it has none."""
    told, there, _ = _told(finding).partition("; saw ")
    return _MOSTLY.sub(_share, told.removeprefix("wanted ")) if there and told.startswith("wanted ") else ""


def seen(finding: Finding, ids: bool = True) -> str:
    """What was seen, without the name of the expectation and what it wanted; ids of rows at the end if wanted."""
    said = _told(finding)
    if wanted(finding):
        said = said.partition("; saw ")[2]
    said = said.removeprefix("saw ")
    return said if ids else _IDS.split(said)[0]


def _told(finding: Finding) -> str:
    return finding.said.removeprefix(f"{finding.expectation}: ")


def _share(match: re.Match[str]) -> str:
    return f"in at least {100 * float(match[1]):g} % of the rows"


def next_steps(report: DataReport) -> list[str]:
    """What a data owner does now, the causes of a refusal first."""
    steps = []
    refusing = [finding for finding in report.findings if finding.action == "refuse"]
    if any(finding.reason == "no_rows" for finding in refusing):
        steps.append("A split is empty: add rows, or name the right files under data.files.")
    if any(finding.num_rows and "leaks" not in finding.expectation for finding in refusing):
        ids = "; findings.json has their ids" if report.in_store else ""
        steps.append(f"Correct or remove the rows listed under “What fell short”{ids}.")
    if any(_UNKNOWN.search(line) for line in report.refused):
        steps.append("Give every label of the test set rows in train, or correct the labels that are misspelt.")
    if any("in more than one split" in line for line in report.refused):
        steps.append("Keep every record in one split only: the ids that appear twice are named above.")
    if report.refused and _over(report.leaks.num_leaked, report.leaks.num_test, report.limits["max_leaked"]):
        steps.append(
            "Too much of the test set is also in train. Collect test rows apart from train (by user, document or time) and "
            "remove the twins. Raise the limit (leakage.max_leaked) only if the pairs below are no copies."
        )
    aside = sum(sum(split.aside.values()) for split in report.splits)
    if _over(aside, sum(split.num_rows for split in report.splits), report.limits["max_quarantined"]):
        steps.append(
            "More rows are set aside than validation.max_quarantined allows: repair the source they come from."
        )
    if report.refused:
        steps.append(
            "An expectation that is wrong for this data is changed in the suite file, in review, with a note why."
        )
        version = "Make the corrected files a new data version (dvc add, git commit, dvc push) and validate again."
        steps.append(version if report.in_store else "Validate the corrected files again.")
        return steps
    if aside:
        steps.append("Look through the rows set aside below: they are not used until they are corrected.")
    if report.leaks.num_conflicting:
        steps.append(
            "Look at the pairs with conflicting labels: at least one label of each is wrong, or two labels overlap."
        )
    if any(probe.suspicious for probe in report.probes):
        steps.append("Find out why a column beside the text predicts the label.")
    if report.in_store:
        steps.append(
            "Train: ftcore run with the same spec. Twins of test rows leave train on the way; test stays as it is."
        )
    else:
        steps.append("Take the twins of test rows out of train (ftcore leakage lists them); leave test as it is.")
    return steps


def _over(count: int, of: int, limit: float) -> bool:
    return bool(of) and count / of > limit
