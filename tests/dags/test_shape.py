"""The DAGs have the shape of the stages table, and Airflow accepts them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from airflow.sdk import DAG, AssetOrTimeSchedule
from airflow.serialization.serialized_objects import DagSerialization

from ftcore import airflow as ftcore_airflow
from ftcore.spec import load_spec
from ftcore.stages import STAGES, stages_of

SPEC = Path(__file__).parents[2] / "dags" / "specs" / "support_intents.yaml"


def spec_file(folder: Path, **changes: object) -> Path:
    raw = yaml.safe_load(SPEC.read_text()) | changes
    path = folder / "support_intents.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def chain(dag: DAG) -> list[str]:
    """Task ids from the root on; fails unless the DAG is a single chain."""
    (task,) = dag.roots
    ids = [task.task_id]
    while task.downstream_list:
        (task,) = task.downstream_list
        ids.append(task.task_id)
    assert sorted(ids) == sorted(dag.task_ids)
    return ids


def test_tasks_follow_the_stages_table() -> None:
    dag = ftcore_airflow.continuous_finetuning(SPEC)
    stages = stages_of(load_spec(SPEC))
    assert chain(dag) == ["plan", *stages, "finish"] and "tune" not in stages
    for stage in stages.values():
        task = dag.get_task(stage.name)
        assert set(stage.inputs) & set(STAGES) <= task.get_flat_relative_ids(upstream=True)
        assert task.pool == ("gpu" if stage.isolated else "default_pool")
        assert task.retries == 3
        assert task.retry_exponential_backoff


SPACE = {"space": {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}, "parallel": 3}


def test_a_search_runs_as_mapped_tasks_between_prepare_and_train(tmp_path: Path) -> None:
    dag = ftcore_airflow.continuous_finetuning(spec_file(tmp_path, tuning=SPACE))
    found = chain(dag)
    assert found[found.index("prepare") :][:5] == ["prepare", "plan_trials", "trials", "tune", "train"]
    trials = dag.get_task("trials")
    assert trials.is_mapped and trials.pool == "gpu" and trials.retries == 3
    assert trials.expand_input.value["worker"].operator is dag.get_task("plan_trials")
    (one,) = [trials.unmap({"worker": 2})]
    assert one.arguments[-2:] == ["--worker", "2"]
    assert {task.trigger_rule for task in dag.tasks if task.task_id != "finish"} == {"all_success"}
    plain = ftcore_airflow.continuous_finetuning(SPEC)
    assert dag.dagrun_timeout > plain.dagrun_timeout
    once, twice = (
        DagSerialization.to_dict(ftcore_airflow.continuous_finetuning(tmp_path / "support_intents.yaml")) for _ in "ab"
    )
    assert once == twice


def test_one_run_at_a_time_and_no_catching_up() -> None:
    dag = ftcore_airflow.continuous_finetuning(SPEC)
    assert (dag.max_active_runs, dag.catchup, dag.max_consecutive_failed_dag_runs) == (1, False, 3)
    assert dag.start_date is None


def test_what_watches_is_never_paused_and_a_failed_sweep_shows() -> None:
    watching = [ftcore_airflow.drift_watch(SPEC), ftcore_airflow.feedback(SPEC), ftcore_airflow.audit()]
    sweep = ftcore_airflow.reconcile(SPEC.parents[2])
    assert {dag.max_consecutive_failed_dag_runs for dag in (*watching, sweep)} == {0}
    (last,) = sweep.leaves
    assert (last.task_id, last.trigger_rule) == ("sweep", "all_done")


def test_approval_stands_between_judge_and_promote_and_holds_by_default(tmp_path: Path) -> None:
    path = spec_file(tmp_path, approval={"required": True, "approvers": ["ada"], "timeout_hours": 2})
    dag = ftcore_airflow.continuous_finetuning(path)
    assert chain(dag)[-4:] == ["judge", "approve", "promote", "finish"]
    approve = dag.get_task("approve")
    assert approve.defaults == ["Reject"]
    assert approve.assigned_users == [{"id": "ada", "name": "ada"}]
    assert approve.response_timeout.total_seconds() == 7200
    plain = ftcore_airflow.continuous_finetuning(SPEC)
    assert dag.dagrun_timeout - plain.dagrun_timeout == approve.response_timeout


def test_finish_runs_whatever_came_before() -> None:
    dag = ftcore_airflow.continuous_finetuning(SPEC)
    assert dag.get_task("finish").trigger_rule == "all_done"
    assert {task.trigger_rule for task in dag.tasks if task.task_id != "finish"} == {"all_success"}


def test_a_retrain_schedule_comes_on_top_of_the_asset(tmp_path: Path) -> None:
    path = spec_file(tmp_path, schedule={"retrain": "0 4 * * 1"})
    assert isinstance(ftcore_airflow.continuous_finetuning(path).timetable, AssetOrTimeSchedule)


def test_only_announce_emits_the_retrain_event_and_only_promote_the_champion_event() -> None:
    retrain, champion = (
        make("support_intents") for make in (ftcore_airflow.retrain_asset, ftcore_airflow.champion_asset)
    )
    dags = [make(SPEC) for make in (ftcore_airflow.drift_watch, ftcore_airflow.feedback)]
    dags += [ftcore_airflow.reconcile(SPEC.parents[2]), ftcore_airflow.continuous_finetuning(SPEC)]
    outlets = {(dag.dag_id, task.task_id): task.outlets for dag in dags for task in dag.tasks if task.outlets}
    assert outlets == {
        ("drift_watch__support_intents", "announce"): [retrain],
        ("feedback__support_intents", "announce"): [retrain],
        ("reconcile", "announce__support_intents"): [retrain],
        ("reconcile", "announce__support_replies"): [ftcore_airflow.retrain_asset("support_replies")],
        ("continuous_finetuning__support_intents", "promote"): [champion],
    }


def test_the_second_example_runs_only_by_hand() -> None:
    """`ftcore demo` plays the first one, on a machine of two cores."""
    path = SPEC.with_name("support_replies.yaml")
    for make in (ftcore_airflow.drift_watch, ftcore_airflow.feedback):
        assert make(SPEC).timetable.can_be_scheduled
        assert not make(path).timetable.can_be_scheduled
    assert chain(ftcore_airflow.continuous_finetuning(path)) == ["plan", *stages_of(load_spec(path)), "finish"]


def test_a_faulty_spec_costs_only_itself(tmp_path: Path) -> None:
    spec_file(tmp_path)
    (tmp_path / "broken.yaml").write_text("name: broken\nspeling: 1\n")
    dags = {dag.dag_id: dag for dag in ftcore_airflow.finetuning_dags(tmp_path)}
    assert set(dags) == {"continuous_finetuning__support_intents", "continuous_finetuning__broken"}
    assert "speling" in dags["continuous_finetuning__broken"].doc_md


@pytest.mark.parametrize(
    "make",
    [
        ftcore_airflow.continuous_finetuning,
        ftcore_airflow.drift_watch,
        ftcore_airflow.feedback,
        lambda path: ftcore_airflow.reconcile(path.parents[2]),
        lambda path: ftcore_airflow.audit(),
    ],
)
def test_airflow_can_store_them_and_parsing_twice_gives_the_same(make) -> None:  # type: ignore[no-untyped-def]
    once, twice = (DagSerialization.to_dict(make(SPEC)) for _ in range(2))
    assert once == twice  # else Airflow would make a new DAG version at every parse
