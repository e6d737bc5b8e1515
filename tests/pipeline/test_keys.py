from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

import ftcore
from ftcore.errors import UsageError
from ftcore.ledger import open_ledger
from ftcore.pipeline import key_inputs, run_pipeline, tuned
from ftcore.pipeline.keys import _SOURCE
from ftcore.records import DataRef, PreparedDataset, TuningResult, digest_of
from ftcore.spec import FineTuneSpec, load_spec
from ftcore.stages import AFTER_TUNING, STAGES, stages_of
from ftcore.store import Store
from tests.evaluation.test_own_metrics import install_metrics
from tests.tiny_bert import build_tiny_bert

SPACE = "tuning={space: {training.epochs: {low: 1, high: 9}}}"


def test_a_spec_without_a_space_has_no_search_and_its_keys_know_of_none(project: Path) -> None:
    plain, searching = (load_spec(project / "spec.yaml", extra) for extra in ([], [SPACE]))
    assert stages_of(plain) == {name: stage for name, stage in STAGES.items() if name != "tune"}
    assert list(stages_of(searching)) == list(STAGES)
    for name in AFTER_TUNING:
        assert "tune" in stages_of(searching)[name].inputs
        if name != "promote":
            build_tiny_bert(project / "nowhere")
            told = json.dumps({**key_inputs(stages_of(plain)[name], plain, {}), "code": ""})
            assert '"tune"' not in told and '"tuning"' not in told
    with pytest.raises(UsageError, match=r"tiny has no tuning\.space"):
        next(run_pipeline(plain, Store(), open_ledger(), last="tune"))


def test_the_settings_of_a_search_give_the_key_that_they_give_in_the_spec(project: Path) -> None:
    build_tiny_bert(project / "nowhere")
    prepared = PreparedDataset(
        uri="u",
        content_digest="c",
        train_digest="t",
        labels=(),
        num_rows={},
        num_quarantined={},
        num_tokens={},
        test_digest="h",
    )
    found = TuningResult(
        uri="u", data_digest="t", metric="loss", settings={"training.epochs": 7.5}, settings_digest="s", chosen_trial=1,
        trials_uri="u", num_trials=1, num_complete=1, num_pruned=0, num_failed=0, search_s=1.0, rescore_s=1.0, best_trial=1,
        best_score=0.1, own_trial=None,
    )  # fmt: skip
    searching = load_spec(project / "spec.yaml", [SPACE])
    written = load_spec(project / "spec.yaml", ["training.epochs=7.5"])
    inputs = {"prepare": prepared, "start": None}
    stage = stages_of(searching)["train"]
    by_search = key_inputs(stage, tuned(searching, {**inputs, "tune": found}), {**inputs, "tune": found})
    assert by_search == key_inputs(STAGES["train"], written, inputs)
    assert by_search != key_inputs(STAGES["train"], searching, inputs)

    def search_key(**changed: str) -> str:
        changed_record = dataclasses.replace(prepared, **changed)
        return digest_of(key_inputs(STAGES["tune"], searching, {"prepare": changed_record, "start": None}))

    assert search_key() == search_key(content_digest="other", test_digest="other") != search_key(train_digest="other")


@pytest.mark.parametrize(
    ("stage", "override", "changes"),
    [
        ("ingest", "data.path=other", True),
        ("ingest", "training.epochs=9", False),
        ("validate", "leakage.max_leaked=0.5", True),
        ("validate", "prepare.phone_regions=[DE]", True),
        ("validate", "prepare.max_chars=9", False),
        ("validate", "training.max_length=64", True),
        ("validate", "training.learning_rate=0.1", False),
        ("prepare", "training.batch_size=64", True),
        ("prepare", "training.learning_rate=0.1", False),
        ("evaluate", "training.seed=3", True),
        ("evaluate", "training.learning_rate=0.1", False),
        ("train", "training.learning_rate=0.1", True),
        ("judge", "gate.margin=0.1", True),
        ("judge", "training.seed=3", False),
        ("judge", "evaluation.costs={a: {b: 2}}", True),
    ],
)
def test_a_key_covers_what_its_stage_reads_and_no_more(project: Path, stage: str, override: str, changes: bool) -> None:
    (project / "other").mkdir()
    build_tiny_bert(project / "nowhere")
    before, after = (load_spec(project / "spec.yaml", extra) for extra in ([], [override]))
    assert (key(stage, before) != key(stage, after)) is changes


@pytest.mark.parametrize("stage", ["validate", "prepare", "evaluate"])
def test_fields_of_a_section_that_a_stage_names_singly_are_all_that_its_rooms_read(stage: str) -> None:
    """What stands in no key would give yesterday's output again: here the sources are asked, not the table."""
    root = Path(ftcore.__file__).parent
    rooms = [f"stages/{stage}.py", *(room for room in STAGES[stage].rooms if room != "training")]
    files = [
        file for room in rooms for file in ([root / room] if room.endswith(".py") else (root / room).rglob("*.py"))
    ]
    read = set(re.findall(r"spec\.training\b\.?(\w*)", "".join(file.read_text(encoding="utf-8") for file in files)))
    named = {path.partition(".")[2] for path in STAGES[stage].sections if path.startswith("training.")}
    assert read <= named, f"{stage} reads more of the section training (empty: hands all of it on)"


def test_costs_of_mistakes_score_no_model_again() -> None:
    plain, costly = (
        FineTuneSpec.model_validate(
            {"name": "s", "base_model": {"name": "none"}, "evaluation": {"costs": {"a": {"b": cost}} if cost else {}}}
        )
        for cost in (0, 5)
    )
    stage = STAGES["evaluate"]
    assert plain.part(stage.sections) != costly.part(stage.sections)
    assert plain.part(stage.sections, stage.ignored) == costly.part(stage.sections, stage.ignored)


def key(stage: str, spec: FineTuneSpec) -> str:
    inputs = {"data": DataRef(repo=None, rev="HEAD", path=str(spec.at(spec.data.path)))} if stage == "ingest" else {}
    return digest_of(key_inputs(STAGES[stage], spec, inputs))


def test_a_users_own_metrics_are_part_of_evaluates_key(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    install_metrics(tmp_path / "own", monkeypatch)
    build_tiny_bert(project / "base")
    plain, asked = (
        load_spec(project / "spec.yaml", ["base_model.name=base", *extra])
        for extra in ([], ["evaluation.metrics=[polite]"])
    )
    before = key_inputs(STAGES["evaluate"], asked, {})
    assert "own_metrics" not in key_inputs(STAGES["evaluate"], plain, {})
    with (tmp_path / "own" / "house_metrics.py").open("a") as file:
        file.write("# another\n")
    assert key_inputs(STAGES["evaluate"], asked, {}) != before


def test_files_of_the_probes_are_part_of_evaluates_key(project: Path) -> None:
    build_tiny_bert(project / "base")
    settings = ["base_model.name=base", "task=instruction", "evaluation.probes={canaries: c.jsonl, safety: s.yaml}"]
    spec = load_spec(project / "spec.yaml", settings)
    seen = [key("evaluate", spec)]
    for name in ("c.jsonl", "s.yaml"):
        (project / name).write_text("{}")
        seen.append(key("evaluate", spec))
    assert len(set(seen)) == 3
    assert "probes" not in key_inputs(STAGES["evaluate"], load_spec(project / "spec.yaml", settings[:2]), {})


def test_presidio_and_its_model_are_part_of_prepares_key(project: Path) -> None:
    def key_with(*overrides: str) -> str:
        return key("prepare", load_spec(project / "spec.yaml", ["base_model.name=base", *overrides]))

    folder, base = project / "names", project / "base"
    folder.mkdir()
    base.mkdir()
    for name in ("config.json", "model.safetensors"):
        (base / name).write_text("{}")
    (folder / "meta.json").write_text("{}")
    engine, model = "prepare.personal_engine=presidio", "prepare.presidio.model=names"
    assert key_with() != key_with(engine)
    before = key_with(engine, model)
    assert before == key_with(engine, model)
    (folder / "meta.json").write_text('{"version": "2"}')
    assert before != key_with(engine, model)
    # What is not used changes nothing.
    spec = load_spec(project / "spec.yaml", ["base_model.name=base"])
    assert "presidio" not in key_inputs(STAGES["prepare"], spec, {})


def test_the_suite_is_part_of_validates_key(project: Path) -> None:
    spec = load_spec(project / "spec.yaml")
    before = key("validate", spec)
    suite = project / "expectations" / "classification.json"
    suite.write_text(suite.read_text() + " ")
    assert key("validate", spec) != before


def write_suite(project: Path, kind: str, **kwargs: object) -> None:
    suite = {
        "name": "s",
        "expectations": [{"type": kind, "kwargs": {"column": "text", **kwargs}, "meta": {"notes": "why"}}],
    }
    (project / "expectations" / "classification.json").write_text(json.dumps(suite))


def test_a_word_list_that_the_suite_names_is_part_of_validates_key(project: Path) -> None:
    write_suite(project, "expect_column_text_to_have_no_listed_words", words_file="words.txt")
    spec = load_spec(project / "spec.yaml")
    seen = [key("validate", spec)]
    for words in ("rude", "rude\nruder"):
        (project / "words.txt").write_text(words)
        seen.append(key("validate", spec))
    assert len(set(seen)) == 3


def test_the_base_model_is_part_of_validates_key_where_it_is_looked_at(project: Path) -> None:
    def keys(*overrides: str) -> set[str]:
        found = set()
        for content in ("one", "two"):
            build_tiny_bert(project / "base")
            (project / "base" / "chat_template.jinja").write_text(content)
            found.add(key("validate", load_spec(project / "spec.yaml", ["base_model.name=base", *overrides])))
        return found

    assert len(keys()) == 1, "nothing looks at it"
    assert len(keys("leakage.paraphrases=report")) == 2
    write_suite(project, "expect_column_text_to_fit_tokens", max_tokens=9)
    assert len(keys()) == 2


def test_word_lists_and_styles_beside_the_code_are_part_of_a_rooms_source() -> None:
    rooms = [Path(ftcore.__file__).parent / name for name in ("validation", "evaluation")]
    files = {path.suffix for room in rooms for path in room.rglob("*") if path.is_file()}
    assert files - {".pyc"} <= set(_SOURCE)


def test_the_accepted_profile_is_part_of_validates_key(project: Path) -> None:
    spec = load_spec(project / "spec.yaml", ["validation.accepted=accepted.json"])
    before = key("validate", spec)
    (project / "accepted.json").write_text("{}")
    assert key("validate", spec) != before


def test_what_phases_read_is_part_of_prepares_key(project: Path) -> None:
    build_tiny_bert(project / "model")
    plain = ["base_model.name=model"]

    def prepare(*more: str) -> str:
        return key("prepare", load_spec(project / "spec.yaml", [*plain, *more]))

    assert prepare() == prepare("method.curriculum.pacing=root") == prepare("method.adapt.epochs=2")
    read = ["method.adapt.texts=[a.txt]", "method.adapt.texts=[b.txt]", "method.prefer.data=[a.jsonl]"]
    keys = {prepare(setting, *(["task=instruction"] if "prefer" in setting else [])) for setting in read}
    assert len({prepare(), *keys}) == 4


@pytest.mark.parametrize("stage", ["train", "tune"])
def test_a_named_teacher_is_part_of_the_key(project: Path, stage: str) -> None:
    build_tiny_bert(project / "model")
    build_tiny_bert(project / "teacher")
    settings = ["base_model.name=model", "method.distill.teacher=teacher", SPACE]
    before = key(stage, load_spec(project / "spec.yaml", settings))
    config = project / "teacher" / "config.json"
    config.write_text(config.read_text().replace("gelu", "relu"))
    assert key(stage, load_spec(project / "spec.yaml", settings)) != before


def test_other_choices_of_people_ask_the_judge_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftcore.models.base.base_digest", lambda spec: "b" * 64)
    labels = tmp_path / "labels.jsonl"
    judge = {"url": "https://judge.example/v1", "model": "m", "labels": str(labels)}
    spec = FineTuneSpec.model_validate({
        "name": "tiny", "task": "instruction", "base_model": {"name": "b"}, "evaluation": {"llm_judge": judge},
        "compute": {"device": "cpu"},
    })  # fmt: skip
    seen = []
    for text in (None, "one", "other"):
        if text is not None:
            labels.write_text(text)
        seen.append(key_inputs(STAGES["evaluate"], spec, {})["llm_judge_labels"])
    assert seen[0] == "missing" and len(set(seen)) == 3
    assert "llm_judge_labels" not in key_inputs(STAGES["judge"], spec, {})
