"""`ftcore spec check`: what prepare would refuse is refused here."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftcore.cli.spec import check
from ftcore.data.templates import load_chat_tokenizer
from ftcore.errors import BaseModelError, SpecError
from tests.tiny_bert import build_tiny_bert
from tests.tiny_families import build_base


def test_a_base_model_without_a_chat_template_is_refused_in_the_words_of_prepare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_tiny_bert(tmp_path / "base")
    spec = tmp_path / "spec.yaml"
    spec.write_text("name: demo\ntask: instruction\nbase_model: {name: base}\n")
    with pytest.raises(BaseModelError) as later:
        load_chat_tokenizer(tmp_path / "base")
    with pytest.raises(SpecError, match="has no chat template") as now:
        check(str(spec))
    assert (now.value.message, now.value.hint) == (later.value.message, later.value.hint)
    check(str(spec), ["task=classification"])
    check(str(spec), ["base_model.name=not-here-yet"])  # nobody can tell: prepare will
    (tmp_path / "base" / "chat_template.jinja").write_text("{{ messages[0].content }}")
    check(str(spec))
    assert capsys.readouterr().out.count("ok: ") == 3


def test_a_metric_that_is_not_installed_is_a_fault(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("name: demo\nbase_model: {name: base}\nevaluation: {metrics: [nobody_has_it]}\n")
    with pytest.raises(SpecError, match="'nobody_has_it' is installed 0 times, wanted once"):
        check(str(spec))


def test_few_shot_of_an_encoder_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build_tiny_bert(tmp_path / "bert")
    build_base(tmp_path / "llama")
    spec = tmp_path / "spec.yaml"
    spec.write_text("name: demo\nbase_model: {name: bert}\nevaluation: {baselines: [few_shot]}\n")
    with pytest.raises(SpecError, match="few_shot asks a decoder, which goes on from a text; bert is an encoder"):
        check(str(spec))
    check(str(spec), ["base_model.name=not-here-yet"])
    check(str(spec), ["base_model.name=llama"])
    check(str(spec), ["evaluation.baselines=[nearest_centroid]"])
    assert capsys.readouterr().out.count("ok: ") == 3
