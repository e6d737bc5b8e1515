"""A user's own metric: installed as an entry point, checked by the spec check, one number per row or a plain word why not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ftcore.errors import SpecError
from ftcore.evaluation.own_metrics import identity, load_metrics, measure_rows

MODULE = """
def polite(targets, predictions):
    return [float("please" in answer) for answer in predictions]

def short(targets, predictions):
    return [1.0]

def loud(targets, predictions):
    return [2.0 if answer.isupper() else float("nan") for answer in predictions]

def broken(targets, predictions):
    raise ValueError("secret: " + predictions[0])

def same_length(targets, predictions):
    return [float(len(one) == len(other)) for one, other in zip(targets, predictions)]

NUMBER = 3
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with metrics, as pip leaves it."""
    install_metrics(tmp_path, monkeypatch)


def install_metrics(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "house_metrics.py").write_text(MODULE)
    info = folder / "house_metrics-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house-metrics\nVersion: 1.0\n")
    names = {name: name for name in ("polite", "short", "loud", "broken", "same_length")} | {
        "number": "NUMBER",
        "gone": "gone",
    }
    lines = [f"{name} = house_metrics:{value}" for name, value in names.items()]
    (info / "entry_points.txt").write_text("[ftcore.metrics]\n" + "\n".join([*lines, "lost = no_such_module:f"]) + "\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "house_metrics", raising=False)


def test_an_installed_metric_measures_rows(installed: None) -> None:
    metrics = load_metrics(["polite"])
    assert list(metrics) == ["own.polite"]
    rows = measure_rows(metrics, ["x", "y"], ["wait please", "wait"])
    assert rows["own.polite"].tolist() == [1.0, 0.0]
    assert load_metrics([]) == {} and measure_rows({}, ["x"], ["y"]) == {}


def test_the_key_sees_a_changed_metric(installed: None, tmp_path: Path) -> None:
    before = identity(["polite", "missing", "lost"])
    assert before.keys() == {"polite", "lost"} and before["lost"] == ["1.0", ""] and before["polite"][0] == "1.0"
    (tmp_path / "house_metrics.py").write_text(MODULE + "# another\n")
    assert identity(["polite"]) != {"polite": before["polite"]}


def test_every_fault_is_told_at_once(installed: None) -> None:
    with pytest.raises(SpecError) as caught:
        load_metrics(["polite", "missing", "number", "gone", "lost"])
    said = str(caught.value)
    assert "'missing' is installed 0 times, wanted once; installed metrics: broken, gone" in said
    assert "house_metrics:NUMBER is no function" in said and "AttributeError" in said
    assert "no_such_module:f cannot be loaded (ModuleNotFoundError" in said and "'polite'" not in said
    assert "ftcore.metrics" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short", "gave 1 number for 2 rows"),
        ("loud", "gave no number from 0 to 1 on 2 rows"),
        ("broken", "raised ValueError"),
    ],
)
def test_what_is_no_number_per_row_is_refused_without_row_text(installed: None, name: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        measure_rows(load_metrics([name]), ["x", "y"], ["PRIVATE", "text"])
    assert "PRIVATE" not in str(caught.value)
