"""Leaks: test (or validation) rows that training would see. Each rule yields pairs; rows leave train, never test."""

from ftcore.data.leakage.find import OTHER_RULES, TEXT_RULES, find_leaks
from ftcore.data.leakage.leaks import Leak, count_by_rule, leaked_fraction, leaked_rows
from ftcore.data.leakage.reuse import TrainedRows, check_holdout

__all__ = [
    "OTHER_RULES",
    "TEXT_RULES",
    "Leak",
    "TrainedRows",
    "check_holdout",
    "count_by_rule",
    "find_leaks",
    "leaked_fraction",
    "leaked_rows",
]
