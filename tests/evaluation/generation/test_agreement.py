"""BLEU, chrF and ROUGE against the command lines that people quote, on plain and on hostile text."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from ftcore.evaluation.generation.holdout import Reply, text_holdout
from ftcore.evaluation.generation.metrics import value_of
from ftcore.evaluation.generation.row_statistics import row_statistics, signatures

ROUGES = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
PIECES = ["the", "a", "Card", "card.", "don't", "3.5", "1,000", "x-ray", "a_b", "--", "&amp;", "<b>", '"q"', "%"]
HOSTILE = [
    ("It costs $1,000.50 (net).", "It costs $1,000.50 net"),
    ("the the the the the", "the the"),
    ("Größe “M” – 20 °C", "Größe M - 20 °C"),
    ("你好，世界", "你好世界"),
    ("مرحبا بالعالم", "مرحبا"),
    ("one", ""),
    ("&quot;quoted&quot; &lt;tag&gt;", '"quoted" <tag>'),
    ("a" * 300, "a" * 200),
    ("tab\tand  spaces   here", "tab and spaces here"),
    ("end with a hyphen-", "end with a hyphen -"),
]


def made_up(count: int) -> list[tuple[str, str]]:
    picks = random.Random(7)
    pairs = []
    for _ in range(count):
        words = [picks.choice(PIECES) for _ in range(picks.randint(1, 14))]
        pairs.append((" ".join(words) or "x", " ".join(word for word in words if picks.random() < 0.8)))
    return [(target if target.strip() else "x", answer) for target, answer in pairs]


def of_corpus(pairs: Sequence[tuple[str, str]], name: str) -> float:
    targets, answers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return value_of(text_holdout(targets, {"candidate": Reply(answers)}), "candidate", name)


@pytest.mark.parametrize("pairs", [made_up(150), HOSTILE], ids=["made up", "hostile"])
def test_the_same_as_sacrebleus_command_line(pairs: list[tuple[str, str]], tmp_path: Path) -> None:
    for name, part in (("references", 0), ("answers", 1)):
        (tmp_path / name).write_text("".join(f"{pair[part]}\n" for pair in pairs), encoding="utf-8")
    line = ["references", "-i", "answers", "-m", "bleu", "chrf", "-w", "12", "--format", "json"]
    found = subprocess.run([sys.executable, "-m", "sacrebleu", *line], cwd=tmp_path, capture_output=True, check=True)
    scores = {item["name"]: item for item in json.loads(found.stdout)}
    assert of_corpus(pairs, "bleu") == pytest.approx(scores["BLEU"]["score"] / 100, abs=1e-6)
    assert of_corpus(pairs, "chrf") == pytest.approx(scores["chrF2"]["score"] / 100, abs=1e-6)
    for name, signature in (("BLEU", signatures()["bleu"]), ("chrF2", signatures()["chrf"])):
        told = dict(part.split(":") for part in signature.split("|"))
        assert told["version"] == scores[name]["version"] and told["nrefs"] == scores[name]["nrefs"] == "1"


def test_the_same_as_rouge_scores_command_line(tmp_path: Path) -> None:
    pairs = [(target.replace("\t", " "), answer) for target, answer in made_up(60)]
    for name, part in (("references", 0), ("answers", 1)):
        (tmp_path / name).write_text("".join(f"{pair[part]}\n" for pair in pairs), encoding="utf-8")
    line = [
        "--target_filepattern=references",
        "--prediction_filepattern=answers",
        "--output_filename=out",
        "--noaggregate",
    ]
    subprocess.run([sys.executable, "-m", "rouge_score.rouge", *line], cwd=tmp_path, capture_output=True, check=True)
    header, *rows = [text.split(",") for text in (tmp_path / "out").read_text().splitlines()]
    ours = row_statistics([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    for name, theirs in ROUGES.items():
        column = header.index(f"{theirs}-F")
        np.testing.assert_allclose(ours[name][:, 0], [float(row[column]) for row in rows], atol=1e-6)


@settings(max_examples=150)
@given(st.text(st.characters(max_codepoint=127)), st.text(st.characters(max_codepoint=127)))
def test_rouge_equals_its_package_on_any_ascii_text(target: str, answer: str) -> None:
    theirs = RougeScorer(list(ROUGES.values())).score(target, answer)
    ours = row_statistics([target], [answer])
    for name, other in ROUGES.items():
        assert ours[name][0, 0] == pytest.approx(theirs[other].fmeasure, abs=1e-6)


@pytest.mark.parametrize(("target", "answer"), [*HOSTILE[:2], *made_up(10)])
def test_rouge_equals_its_package(target: str, answer: str) -> None:
    theirs = RougeScorer(list(ROUGES.values())).score(target, answer)
    ours = row_statistics([target], [answer])
    for name, other in ROUGES.items():
        assert ours[name][0, 0] == pytest.approx(theirs[other].fmeasure, abs=1e-6)
