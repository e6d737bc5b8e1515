"""Banking77's own test rows: what is flagged, and the pairs to read."""

from __future__ import annotations

from pathlib import Path

from benchmarks.leakage.corpora import banking_rows
from benchmarks.leakage.methods import METHODS
from ftcore.data.cleaning import match_keys
from ftcore.data.leakage import TEXT_RULES, count_by_rule, find_leaks, leaked_rows
from ftcore.data.leakage.background import nearest_similarity
from ftcore.data.leakage.evidence import align, as_line


def report(folder: str, *, pairs: bool) -> None:
    train, test = banking_rows(Path(folder))
    train_rows, test_rows = ([{"text": text} for text in side] for side in (train, test))
    leaks = find_leaks(train_rows, test_rows, TEXT_RULES)
    flagged = leaked_rows(leaks)
    print(
        f"\nBanking77 as published: {len(flagged)} of {len(test):,} test rows flagged ({len(flagged) / len(test):.2%})"
    )
    print("  by rule: " + ", ".join(f"{rule} {count}" for rule, count in count_by_rule(leaks, TEXT_RULES).items()))
    for name in ("exact", "MinHash J>=.7", "any 13-gram"):
        print(f"  {name}: {len(METHODS[name](train, test))} test rows")
    keys, others = (list(dict.fromkeys(match_keys(rows))) for rows in (test_rows, train_rows))
    print("  share of test rows of 15 words and more that have a row at least so similar")
    background, against = nearest_similarity(keys).curve(), nearest_similarity(keys, others).curve()
    print("    similarity    " + "".join(f"{step:>8}" for step in background))
    print("    in test       " + "".join(f"{share:>8.1%}" for share in background.values()))
    print("    in train      " + "".join(f"{share:>8.1%}" for share in against.values()))
    if pairs:
        best = {}
        for leak in sorted(leaks, key=lambda leak: leak.score):
            best[leak.test_row] = leak
        for leak in sorted(best.values(), key=lambda leak: leak.test_row or 0):
            assert leak.test_row is not None
            assert leak.train_row is not None
            line = as_line(align(train[leak.train_row], test[leak.test_row]), max_words=200, context=40)
            print(f"{leak.test_row}\t{leak.train_row}\t{leak.rule}\t{leak.score}\t{line}")
