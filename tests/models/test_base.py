"""Where base models come from, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ftcore.errors import BaseModelError
from ftcore.models.base import BaseModel, local_folder, resolve_base
from ftcore.spec import BaseModelSpec
from ftcore.store import file_sha256


def test_a_folder_is_found_and_its_digest_follows_the_content(tiny_base: BaseModel, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tiny_base.path.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert resolve_base(BaseModelSpec(name=str(copy))).digest == tiny_base.digest
    (copy / "README.md").write_text("no part of the model")
    assert resolve_base(BaseModelSpec(name=str(copy))).digest == tiny_base.digest
    (copy / "config.json").write_text("{}")
    assert resolve_base(BaseModelSpec(name=str(copy))).digest != tiny_base.digest


def test_a_wrong_checksum_is_refused_before_loading(tiny_base: BaseModel) -> None:
    right = file_sha256(tiny_base.path / "model.safetensors")
    assert resolve_base(BaseModelSpec(name=str(tiny_base.path), sha256=right)).digest == tiny_base.digest
    with pytest.raises(BaseModelError, match=f"has sha256 {right}, wanted {'0' * 64}"):
        resolve_base(BaseModelSpec(name=str(tiny_base.path), sha256="0" * 64))


def test_a_model_inside_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_base: BaseModel) -> None:
    package = tmp_path / "some_model_package"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    for file in tiny_base.path.iterdir():
        (package / "model" / file.name).write_bytes(file.read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path))

    found = resolve_base(BaseModelSpec(name="pkg:some_model_package/model"))
    assert found.digest == tiny_base.digest
    assert found.name == "pkg:some_model_package/model"


@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("nowhere/at-all", None, "no such folder, and no revision"),
        ("org/model", "main", "can move; wanted a commit"),
        ("pkg:no_such_package_here/model", None, "no package 'no_such_package_here'"),
        ("pkg:ftcore/../..", None, "wanted pkg:PACKAGE/FOLDER"),
        ("pkg:ftcore/no-such-folder", None, "has no folder"),
    ],
)
def test_names_that_lead_nowhere(name: str, revision: str | None, message: str) -> None:
    with pytest.raises(BaseModelError, match=message):
        resolve_base(BaseModelSpec(name=name, revision=revision))


def test_pickled_weights_are_never_taken(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(BaseModelError, match="only pytorch_model.bin"):
        resolve_base(BaseModelSpec(name=str(tmp_path)))


def test_the_digest_costs_no_torch() -> None:
    code = "import sys, ftcore.models.base; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_what_is_on_this_machine_is_found_without_fetching(tiny_base: BaseModel, tmp_path: Path) -> None:
    assert local_folder(BaseModelSpec(name=str(tiny_base.path))) == tiny_base.path
    assert local_folder(BaseModelSpec(name=tiny_base.path.name), tiny_base.path.parent) == tiny_base.path
    for name, revision in ((str(tmp_path / "no"), None), ("pkg:no_such_package/x", None), ("no-such/model", "0" * 40)):
        assert local_folder(BaseModelSpec(name=name, revision=revision)) is None
