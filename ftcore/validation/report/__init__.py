"""The data report: what validate found, as one HTML file that a data owner can read.

`collect` gathers what it shows, with every list cut and row text masked; `render` lays it out; `write_report` writes it.
"""

from ftcore.validation.report.facts import DataReport, collect
from ftcore.validation.report.layout import render, write_report

__all__ = ["DataReport", "collect", "render", "write_report"]
