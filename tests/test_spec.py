from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftcore.errors import SpecError, UsageError
from ftcore.spec import FineTuneSpec, load_spec

MINIMAL = "name: intents\nbase_model: {name: ./model}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_minimal_spec_has_defaults_for_everything_else(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, MINIMAL))
    assert (spec.task, spec.method.name, spec.gate.metric) == ("classification", "full", "accuracy")


def test_every_fault_is_reported_at_once_with_path_and_value(tmp_path: Path) -> None:
    text = "name: Bad-Name\ndata: {filez: 1}\ntraining: {epochs: -1, batch_size: many}\ngate: {metric: bleu}\n"
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, text))
    faults = "\n".join(caught.value.details)
    for wanted in ("name: saw 'Bad-Name'", "data.filez: unknown key; allowed: repo", "base_model: missing",
                   "training.epochs: saw -1", "training.batch_size: saw 'many'", "gate.metric: saw 'bleu'"):  # fmt: skip
        assert wanted in faults
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "not YAML"), ("- 1", "wanted a mapping"), (MINIMAL + "data: {files: {train: a}}", "needs `any`")],
)
def test_broken_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_spec(write(tmp_path, text))


def test_missing_file_is_a_spec_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No spec at"):
        load_spec(tmp_path / "absent.yaml")


def test_overrides_are_typed_and_checked(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    assert load_spec(path, ["training.epochs=2.5", "data.repo=null"]).training.epochs == 2.5
    assert load_spec(path, ["data.repo=null"]).data.repo is None
    with pytest.raises(SpecError, match="1 fault"):
        load_spec(path, ["training.epochz=2"])
    with pytest.raises(UsageError, match="Cannot read the override"):
        load_spec(path, ["training.epochs"])


@pytest.mark.parametrize(
    "url",
    ["http://[bad", "https://", "http://host:port/", "hooks.example.org/x", "", "mailto:me@example.org", "json://a\tb"],
)
def test_an_alert_address_that_is_none_is_a_fault(tmp_path: Path, url: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, MINIMAL + f"alerts: {{urls: [https://example.org/x, {json.dumps(url)}]}}\n"))
    (fault,) = caught.value.details
    assert fault.startswith(f"alerts.urls.1: saw {url!r}; not an address")


def test_alert_addresses_of_every_kind_are_taken(tmp_path: Path) -> None:
    urls = [
        "${OPS_WEBHOOK}",
        "https://${HOST}:${PORT}/x",
        "http://[::1]:8080/x",
        "tgram://123:AbC/42",
        "mailtos://a:b@c.org",
    ]
    assert load_spec(write(tmp_path, MINIMAL + f"alerts: {{urls: {json.dumps(urls)}}}\n")).alerts.urls == urls


def test_root_is_the_project_folder_and_not_part_of_the_digest(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "expectations").mkdir(parents=True)
        (tmp_path / name / "dags" / "specs").mkdir(parents=True)
        write(tmp_path / name / "dags" / "specs", MINIMAL)
    one, two = (load_spec(tmp_path / name / "dags/specs/spec.yaml") for name in ("one", "two"))
    assert one.root == tmp_path / "one"
    assert one.at("data") == tmp_path / "one" / "data"
    assert one.digest == two.digest


def test_every_field_explains_itself() -> None:
    schema = FineTuneSpec.model_json_schema()
    bare = [
        f"{section}.{field}"
        for section, body in schema["$defs"].items()
        for field, item in body["properties"].items()
        if "description" not in item
    ]
    assert bare == []


@pytest.mark.parametrize(("task", "format"), [("instruction", "classification"), ("classification", "messages")])
def test_a_format_of_another_task_is_a_fault(tmp_path: Path, task: str, format: str) -> None:
    with pytest.raises(SpecError, match=f"'{format}' does not fit task '{task}'"):
        load_spec(write(tmp_path, MINIMAL), [f"task={task}", f"data.format={format}"])


def test_phases_that_are_not_asked_for_change_no_digest(tmp_path: Path) -> None:
    plain = load_spec(write(tmp_path, MINIMAL))
    names = ("adapt", "distill", "curriculum", "prefer")
    assert not set(names) & plain.part(["method"])["method"].keys()
    assert "difficulty" not in plain.part(["data"])["data"]["columns"]
    asked = load_spec(write(tmp_path, MINIMAL), ["method.curriculum.pacing=root"])
    assert asked.part(["method"])["method"]["curriculum"]["start_fraction"] == 0.2
    assert FineTuneSpec.model_validate(asked.model_dump(mode="json")).digest == asked.digest != plain.digest


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (["method.prefer.data=[a]"], "method.prefer needs answers to rate: wanted task instruction"),
        (["method.adapt.epochs=1", "task=seq2seq"], "not for task seq2seq"),
        (["method.adapt.columns=[completion]"], "rows of task classification lack"),
        (["method.adapt.columns=[]"], "texts and columns are both empty"),
        (["method.adapt.epochs=1", "method.start_from=champion"], "wanted one of them"),
        (["method.distill.student_layers=2", "task=seq2seq"], "for task classification or instruction"),
        (["method.distill.teacher=new"], "wanted student_layers, or else a teacher by name"),
        (["method.distill.student_layers=2", "method.distill.teacher_revision=a"], "does not belong to teacher `new`"),
        (["method.distill.student_layers=2", "method.start_from=champion"], "wanted one"),
        (["method.distill={student_layers: 2, embedding_weight: 1}", "task=instruction"], "is for task classification"),
        (["method.curriculum.difficulty=column"], "needs data.columns.difficulty"),
        (["method.distill.layers=2"], "unknown key; allowed: teacher"),
    ],
)
def test_phases_that_cannot_be_are_faults(tmp_path: Path, settings: list[str], wanted: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, MINIMAL), settings)
    assert wanted in "\n".join(caught.value.details)
