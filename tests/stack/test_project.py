"""Specs of a project, good and faulty."""

from __future__ import annotations

from pathlib import Path

from ftcore.stack.project import good_specs, spec_names


def test_a_spec_goes_by_its_own_name_and_a_faulty_one_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "first-try.yaml").write_text("name: intents\nbase_model: {name: ./base}\n")
    (tmp_path / "broken.yaml").write_text("name: Broken\n")
    assert spec_names(tmp_path) == ["broken", "intents"]
    assert [path.name for path in good_specs(tmp_path)] == ["first-try.yaml"]
