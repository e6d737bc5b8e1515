"""Leaks: test (or validation) rows that training would see. Each rule yields pairs; rows leave train, never test."""

from ftcore.data.leakage.find import MEANINGS, OTHER_RULES, TEXT_RULES, find_leaks, leaks_between
from ftcore.data.leakage.leaks import Leak, count_by_rule, leaked_fraction, leaked_rows
from ftcore.data.leakage.paraphrases import PARAPHRASE, Embed

__all__ = [
    "MEANINGS",
    "OTHER_RULES",
    "PARAPHRASE",
    "TEXT_RULES",
    "Embed",
    "Leak",
    "count_by_rule",
    "find_leaks",
    "leaked_fraction",
    "leaked_rows",
    "leaks_between",
]
