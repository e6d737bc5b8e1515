from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ftcore.errors import SpecError
from ftcore.spec import GateSpec, load_spec
from ftcore.stages import STAGES

JUDGE = {"url": "https://judge.example/v1", "model": "m"}


def load(root: Path, task: str = "instruction", **judge: object) -> object:
    spec = {"name": "tiny", "task": task, "base_model": {"name": "b"}, "evaluation": {"llm_judge": {**JUDGE, **judge}}}
    (root / "s.yaml").write_text(yaml.safe_dump(spec))
    return load_spec(str(root / "s.yaml"))


@pytest.mark.parametrize(
    ("judge", "wanted"),
    [
        ({"url": "https://ada:hunter2@judge.example/v1"}, "without user"),
        ({"url": "https://judge.example/v1?key=hunter2"}, "without user"),
        ({"url": "ftp://judge.example"}, "wanted an address"),
        ({"url": "https://"}, "wanted an address"),
        ({"url": "https://judge.example/v1/"}, "slash"),
        ({"url": "https://judge.example:x/hunter2"}, "wanted an address"),
        ({"api_key_env": "sk-hunter2"}, "never the key itself"),
        ({"api_key_env": "hunter2"}, "never the key itself"),
        ({"api_key_env": "KEY", "url": "http://judge.example/v1"}, "https"),
        ({"min_kappa": 1.5}, "min_kappa"),
        ({"tools": []}, "tools"),
    ],
)
def test_faults_are_told_without_what_may_be_a_secret(judge: dict[str, object], wanted: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, **judge)
    assert wanted in str(caught.value) and "hunter2" not in str(caught.value)


def test_a_key_may_go_to_this_machine_in_the_clear(tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:80/v1"):
        load(tmp_path, url=url, api_key_env="KEY")
    load(tmp_path, url="http://judge.example/v1")


def test_labels_of_classes_are_not_for_a_judge(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="llm_judge compares generated text"):
        load(tmp_path, "classification")


@pytest.mark.parametrize("name", ["llm_judge", "llm_judge.win_rate", "win_rate", "judge"])
def test_no_gate_can_name_it(name: str) -> None:
    for rules in ({"metric": name}, {"floors": {name: 0.5}}, {"guards": {name: 0.1}}):
        with pytest.raises(ValueError, match="Input should be"):
            GateSpec.model_validate(rules)


def test_it_is_no_rule_of_the_gate_and_changes_no_digest_where_it_is_not_set(tmp_path: Path) -> None:
    with_judge = load(tmp_path)
    without = with_judge.model_copy(update={"evaluation": with_judge.evaluation.model_copy(update={"llm_judge": None})})  # type: ignore[attr-defined]
    assert with_judge.gate_digest == without.gate_digest and with_judge.digest != without.digest  # type: ignore[attr-defined]
    assert "llm_judge" not in without.part(STAGES["evaluate"].sections)["evaluation"]
