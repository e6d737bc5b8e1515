from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ftcore.errors import SpecError, UsageError
from ftcore.spec import FineTuneSpec, load_spec, setting_of, with_settings

MINIMAL = "name: intents\nbase_model: {name: ./model}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_minimal_spec_has_defaults_for_everything_else(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, MINIMAL))
    assert (spec.task, spec.method.name, spec.gate.metric) == ("classification", "full", "accuracy")


def test_every_fault_is_reported_at_once_with_path_and_value(tmp_path: Path) -> None:
    text = "name: Bad-Name\ndata: {filez: 1}\ntraining: {epochs: -1, batch_size: many}\ngate: {metric: auc}\n"
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, text))
    faults = "\n".join(caught.value.details)
    for wanted in ("name: saw 'Bad-Name'", "data.filez: unknown key; allowed: repo", "base_model: missing",
                   "training.epochs: saw -1", "training.batch_size: saw 'many'", "gate.metric: saw 'auc'"):  # fmt: skip
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


@pytest.mark.parametrize(
    "override",
    [
        "prepare.label_audit=true", "prepare.label_audit.splits=test", "prepare=3", "data.columns=x", "gate=a",
        "prepare.personal_kinds=phone", "leakage.rules=exact", "evaluation.slices=3", "prepare.augment.methods=typo",
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_refused_with_one_that_is_taken(tmp_path: Path, override: str) -> None:
    path = write(tmp_path, MINIMAL)
    with pytest.raises(SpecError) as caught:
        load_spec(path, [override])
    (fault,) = caught.value.details
    example = fault.partition("; for example --set '")[2]
    assert example.startswith(override.partition("=")[0])
    load_spec(path, [example.removesuffix("'")])


def test_a_generation_spec_has_the_defaults_of_its_task(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, MINIMAL + "task: instruction\ngate: {margin: 0.01}\n"))
    assert (spec.gate.metric, spec.gate.floors, spec.gate.margin) == ("chrf", {"chrf": 0.2}, 0.01)
    assert spec.evaluation.baselines == ["base", "few_shot", "similar_reply"]
    assert FineTuneSpec.model_validate(spec.model_dump(mode="json")).digest == spec.digest
    own = load_spec(write(tmp_path, MINIMAL + "task: seq2seq\ngate: {metric: bleu, floors: {bleu: 0.1}}\n"))
    assert (own.gate.metric, own.gate.floors) == ("bleu", {"bleu": 0.1})


def test_measures_that_do_not_fit_the_task_are_all_named(tmp_path: Path) -> None:
    gate = "gate: {metric: accuracy, floors: {macro_f1: 0.5, chrf: 0.2}}\n"
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, MINIMAL + "task: instruction\nevaluation: {baselines: [majority]}\n" + gate))
    faults = "\n".join(caught.value.details)
    for wanted in (
        "gate.metric: 'accuracy'",
        "gate.floors: 'macro_f1'",
        "evaluation.baselines: 'majority'",
        "wanted chrf or",
    ):
        assert wanted in faults
    assert "'chrf' is no" not in faults
    with pytest.raises(SpecError, match="'chrf' is no metric of task classification"):
        load_spec(write(tmp_path, MINIMAL + "gate: {metric: chrf}\n"))


def test_calibration_is_a_guard_of_classification_only(tmp_path: Path) -> None:
    gate = "gate: {guards: {ece: 0.01, brier: 0.005}}\n"
    assert load_spec(write(tmp_path, MINIMAL + gate)).gate.guards == {"ece": 0.01, "brier": 0.005}
    with pytest.raises(SpecError, match="gate.guards: 'ece' is no metric of task instruction"):
        load_spec(write(tmp_path, MINIMAL + "task: instruction\n" + gate))
    with pytest.raises(SpecError, match="gate.floors"):
        load_spec(write(tmp_path, MINIMAL + "gate: {floors: {ece: 0.1}}\n"))


def test_few_shot_settings_are_for_a_baseline_of_classification(tmp_path: Path) -> None:
    asked = "evaluation: {baselines: [majority, few_shot], few_shot: {per_class: 2, num_orders: 5}}\n"
    found = load_spec(write(tmp_path, MINIMAL + asked)).evaluation.few_shot
    assert found is not None and (found.per_class, found.num_orders) == (2, 5)
    for wrong, fault in (
        ("evaluation: {few_shot: {per_class: 2}}\n", "has no effect"),
        ("task: instruction\nevaluation: {few_shot: {per_class: 2}}\n", "is for task classification"),
        ("evaluation: {baselines: [few_shot], few_shot: {num_orders: 2}}\n", "greater than or equal to 3"),
    ):
        with pytest.raises(SpecError) as caught:
            load_spec(write(tmp_path, MINIMAL + wrong))
        assert fault in "\n".join(caught.value.details)


def test_own_metrics_and_formats_must_be_asked_for(tmp_path: Path) -> None:
    gate = "gate: {metric: own.polite, floors: {own.short: 0.5, format_valid: 0.9}}\n"
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, MINIMAL + "task: instruction\nevaluation: {metrics: [polite, polite]}\n" + gate))
    faults = "\n".join(caught.value.details)
    assert "gate.floors: 'own.short'" in faults and "gate.floors: 'format_valid'" in faults
    assert "'own.polite' is no" not in faults and "evaluation.metrics: a name stands there twice" in faults
    asked = "evaluation: {metrics: [polite, short], generation: {format: {regex: 'a.*'}}}\n"
    spec = load_spec(write(tmp_path, MINIMAL + "task: instruction\n" + asked + gate))
    assert (spec.gate.metric, spec.evaluation.metrics) == ("own.polite", ["polite", "short"])
    assert FineTuneSpec.model_validate(spec.model_dump(mode="json")).digest == spec.digest
    with pytest.raises(SpecError, match="format is for generated text"):
        load_spec(write(tmp_path, MINIMAL + "evaluation: {generation: {format: {regex: a}}}\n"))


def test_settings_that_are_not_set_change_no_digest(tmp_path: Path) -> None:
    plain = load_spec(write(tmp_path, MINIMAL)).model_dump(mode="json")["evaluation"]
    assert "metrics" not in plain and "format" not in plain["generation"] and "probes" not in plain


def test_slices_are_columns_of_the_data_and_a_named_one_has_values(tmp_path: Path) -> None:
    for column in ("confidence", "group"):
        with pytest.raises(SpecError, match=f"'{column}' is a column of the predictions"):
            load_spec(write(tmp_path, MINIMAL + f"evaluation: {{slices: [{column}]}}\n"))
    with pytest.raises(SpecError, match="'chrf' is a column of the predictions"):
        load_spec(write(tmp_path, MINIMAL + "task: instruction\nevaluation: {slices: [chrf]}\n"))
    with pytest.raises(SpecError, match=r"gate.slices.source"):
        load_spec(write(tmp_path, MINIMAL + "gate: {slices: {source: []}}\n"))


def test_guards_on_probes_need_the_probe(tmp_path: Path) -> None:
    text = MINIMAL + "task: instruction\ngate: {probe_guards: {forgetting.bits_per_byte: 0.1}}\n"
    for probes in ("", "evaluation: {probes: {general_text: null}}\n"):
        with pytest.raises(SpecError, match="'forgetting.bits_per_byte' is not measured"):
            load_spec(write(tmp_path, text + probes))
    guarded = load_spec(write(tmp_path, text + "evaluation: {probes: {}}\n"))
    other = load_spec(write(tmp_path, text + "evaluation: {probes: {general_text: own.txt}}\n"))
    assert guarded.gate_digest != other.gate_digest  # what a guard asks is a rule
    assert "probe_guards" not in load_spec(write(tmp_path, MINIMAL)).model_dump(mode="json")["gate"]
    with pytest.raises(SpecError, match="probe_guards"):
        load_spec(write(tmp_path, text.replace("forgetting", "knowledge") + "evaluation: {probes: {}}\n"))


def test_probes_are_for_generated_text_and_canaries_are_a_rule_of_the_gate(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="evaluation.probes ask for generated text"):
        load_spec(write(tmp_path, MINIMAL + "evaluation: {probes: {}}\n"))
    with pytest.raises(SpecError, match="saw 1, wanted 0"):
        load_spec(write(tmp_path, MINIMAL + "task: instruction\nevaluation: {probes: {samples: 1}}\n"))
    with pytest.raises(SpecError, match="no effect without canaries"):
        load_spec(write(tmp_path, MINIMAL + "task: instruction\nevaluation: {probes: {max_canaries: 1}}\n"))
    texts = ["", "evaluation: {probes: {samples: 3}}\n", "evaluation: {probes: {canaries: c.jsonl}}\n",
             "evaluation: {probes: {canaries: c.jsonl, max_canaries: 2}}\n"]  # fmt: skip
    rules = [load_spec(write(tmp_path, MINIMAL + "task: instruction\n" + text)).gate_digest for text in texts]
    assert rules[0] == rules[1] and len(set(rules)) == 3


def test_perplexity_cannot_decide_where_a_baseline_has_none(tmp_path: Path) -> None:
    text = MINIMAL + "task: instruction\ngate: {metric: inverse_perplexity}\n"
    with pytest.raises(SpecError, match="similar_reply copies answers"):
        load_spec(write(tmp_path, text))
    spec = load_spec(write(tmp_path, text + "evaluation: {baselines: [base]}\n"))
    assert spec.gate.metric == "inverse_perplexity"


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ("{batch_size: 12, micro_batch_size: 5}", "5 does not divide batch_size 12; wanted one of 1, 2, 3, 4, 6, 12"),
        ("{max_steps: 5, warmup_steps: 5}", "leaves none of max_steps 5"),
        ("{packing: true}", "training.packing True has no effect for classification, only for instruction"),
        ("{neftune_alpha: 5}", "training.neftune_alpha 5.0 has no effect"),
        ("{class_weights: {card: 0}}", "class_weights.+greater than 0"),
    ],
)
def test_training_settings_that_cannot_be_or_do_nothing(tmp_path: Path, training: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, f"{MINIMAL}training: {training}\n"))
    assert re.search(message, "\n".join(caught.value.details))


def test_settings_that_a_task_ignores_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(
            write(
                tmp_path, f"{MINIMAL}task: instruction\ntraining: {{label_smoothing: 0.1, class_weights: balanced}}\n"
            )
        )
    assert "class_weights 'balanced'" in caught.value.details[0] and "label_smoothing 0.1" in caught.value.details[0]
    assert load_spec(write(tmp_path, f"{MINIMAL}task: seq2seq\ntraining: {{label_smoothing: 0.1}}\n")).task == "seq2seq"


@pytest.mark.parametrize(
    ("method", "faults"),
    [
        ("{name: ia3, rank: 8, alpha: 4}", ["ia3 does not read rank", "ia3 does not read alpha"]),
        ("{name: full, dora: true, peft: {r: 4}}", ["full does not read dora", "full does not read peft"]),
        ("{name: lora, freeze_layers: 1, virtual_tokens: 3}", ["read freeze_layers (of full)", "read virtual_tokens"]),
        ("{name: prefix_tuning, target_modules: [query]}", ["prefix_tuning does not read target_modules"]),
        ("{name: lora, init: orthogonal, rank: 7}", ["needs an even rank, saw 7"]),
        ("{name: qlora, init: pissa}", ["qlora cannot start from pissa"]),
        ("{name: lora, init: eva}", ["should match pattern"]),
        ("{name: lora, peft: {r: 4, task_type: SEQ_CLS}}", ["peft.r is method.rank here", "peft.task_type is set by"]),
        ("{name: peft, peft: {r: 4}}", ["name peft and peft.peft_type go together"]),
        ("{name: lora, peft: {peft_type: VERA}}", ["name peft and peft.peft_type go together"]),
        ("{name: p_tuning, start_from: champion}", ["p_tuning leaves no weights to go on from"]),
        ("{shots: 0}", ["method.shots: saw 0"]),
    ],
)
def test_settings_that_the_method_does_not_read_are_faults(tmp_path: Path, method: str, faults: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, f"{MINIMAL}method: {method}\n"))
    for fault in faults:
        assert fault in "\n".join(caught.value.details)


def test_defaults_of_other_methods_are_no_faults(tmp_path: Path) -> None:
    names = ("full", "lora", "qlora", "ia3", "prefix_tuning", "prompt_tuning", "p_tuning", "ln_tuning")
    for name in names:
        spec = load_spec(write(tmp_path, f"{MINIMAL}method: {{name: {name}, rank: 16, dora: false, peft: {{}}}}\n"))
        assert FineTuneSpec.model_validate(spec.model_dump(mode="json")).digest == spec.digest


def test_shots_are_for_classes(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="has none"):
        load_spec(write(tmp_path, f"{MINIMAL}task: instruction\nmethod: {{shots: 5}}\n"))


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
        (["method.adapt.epochs=1", "method.name=qlora"], "method.adapt trains all weights in float32"),
        (["method.curriculum.difficulty=base_loss", "method.name=qlora"], "base_loss reads the base model in float32"),
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
        (["method.adapt=3"], "wanted a section; allowed: texts"),
        (["method.distill.student_layers=2", "method.name=p_tuning"], "method.distill and p_tuning exclude each other"),
        (
            ["method.prefer.data=[a]", "method.name=prefix_tuning", "task=instruction"],
            "method.prefer and prefix_tuning",
        ),
        (["method.distill.student_layers=2", "task=instruction", "training.packing=true"], "packing is not for"),
        (["method.prefer.data=[a]", "task=instruction", "training.micro_batch_size=1"], "saw one row, wanted two"),
    ],
)
def test_phases_that_cannot_be_are_faults(tmp_path: Path, settings: list[str], wanted: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, MINIMAL), settings)
    assert wanted in "\n".join(caught.value.details)


@pytest.mark.parametrize(
    ("settings", "path", "wanted"),
    [
        ([], "method.adapt.epochs", "method.adapt is not set; wanted the section, in which to vary epochs"),
        (["method.adapt.epochs=1"], "method.adapt.texts", "cannot be searched: the files are read before"),
        (["method.distill.student_layers=1"], "method.distill.teacher", "the teacher is settled before"),
        (["method.prefer.data=[a]", "task=instruction"], "training.batch_size", "wanted only method.prefer.epochs or"),
        (["method.prefer.data=[a]", "task=instruction"], "method.prefer.beta", "losses of other scales"),
        (
            ["method.prefer.data=[a]", "task=instruction", "tuning.metric=accuracy"],
            "method.prefer.epochs",
            "kto measures none",
        ),
    ],
)
def test_a_search_over_phases_that_cannot_be_compared(
    tmp_path: Path, settings: list[str], path: str, wanted: str
) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, MINIMAL), [*settings, f"tuning.space={{{path}: {{choices: [1, 2]}}}}"])
    assert wanted in "\n".join(caught.value.details)


def test_a_search_over_phases_changes_them(tmp_path: Path) -> None:
    space = "tuning.space={method.distill.temperature: {low: 1, high: 4}, method.curriculum.until: {low: 0.2, high: 1}}"
    phases = ["method.distill.student_layers=1", "method.curriculum.pacing=step"]
    spec = load_spec(write(tmp_path, MINIMAL), [*phases, space])
    changed = with_settings(spec, {"method.distill.temperature": 3.5, "method.curriculum.until": 0.25})
    assert changed.method.distill and (changed.method.distill.temperature, changed.method.distill.student_layers) == (
        3.5,
        1,
    )
    assert changed.method.curriculum and (changed.method.curriculum.until, changed.method.curriculum.pacing) == (
        0.25,
        "step",
    )
    assert setting_of(spec, "method.distill.temperature") == 2.0


TOGETHER = ["compute.processes=2", "compute.nodes=2"]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ([*TOGETHER, "training.batch_size=30"], "batch_size 30 is not a multiple of .*; wanted for example 32"),
        ([*TOGETHER, "training.batch_size=2"], "batch_size 2 is not a multiple of .*; wanted for example 4"),
        (
            [*TOGETHER, "training.batch_size=24", "training.micro_batch_size=4"],
            "micro_batch_size 4 does not divide the 6 rows that each process has .*wanted one of 1, 2, 3, 6",
        ),
        ([*TOGETHER, "method.distill={student_layers: 2}"], "method.distill is for one process"),
        ([*TOGETHER, "method.name=qlora", "compute.sharding=full"], "sharding full cannot cut up weights in 4 bits"),
        (
            [*TOGETHER, "compute.sharding=full", "tuning.space={training.epochs: {choices: [1, 2]}}"],
            "sharding full is not for tuning.space",
        ),
        (["compute.sharding=full"], "sharding full needs several processes"),
    ],
)
def test_what_several_processes_cannot_do_together(tmp_path: Path, settings: list[str], wanted: str) -> None:
    with pytest.raises(SpecError, match=wanted):
        load_spec(write(tmp_path, MINIMAL), settings)


def test_several_processes(tmp_path: Path) -> None:
    settings = [*TOGETHER, "compute.sharding=full", "training.batch_size=32", "training.micro_batch_size=4"]
    assert load_spec(write(tmp_path, MINIMAL), settings).compute.sharding == "full"
