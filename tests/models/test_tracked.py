"""Base models under DVC: pulled at a commit, kept once, checked, and told apart from what lies in the work tree."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

import ftcore.models.tracked as room
from ftcore.errors import BaseModelError, IntegrityError
from ftcore.models.base import BaseModel, resolve_base
from ftcore.spec import BaseModelSpec


def git(repo: Path, *args: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *args]
    return subprocess.run(command, cwd=repo, check=True, capture_output=True, text=True).stdout.strip()


def track(repo: Path) -> None:
    """`dvc add models` and `dvc push`, in this process: DVC's start takes seconds."""
    with Repo(str(repo)) as opened:
        opened.add(str(repo / "models"))
        opened.push()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, tiny_base: BaseModel) -> Path:
    """A repository with `models/tiny` below a tracked `models`, pushed to a remote inside the repository."""
    project = tmp_path_factory.mktemp("original") / "project"
    shutil.copytree(tiny_base.path, project / "models" / "tiny")
    git(project, "init", "-q")
    with Repo.init(str(project)):
        pass
    (project / ".dvc" / "config").write_text("[core]\n    remote = store\n['remote \"store\"']\n    url = remote\n")
    track(project)
    git(project, "add", "-A")
    git(project, "commit", "-qm", "a model")
    return project


@pytest.fixture
def clone(original: Path, tmp_path: Path) -> Path:
    """A fresh clone: no models in the work tree, an empty DVC cache."""
    git(tmp_path, "clone", "-q", str(original), "clone")
    assert not (tmp_path / "clone" / "models").exists()
    return tmp_path / "clone"


def spec(path: str = "models/tiny", revision: str | None = None) -> BaseModelSpec:
    return BaseModelSpec(name=f"dvc:{path}", revision=revision)


def test_a_fresh_clone_has_the_model(clone: Path, tiny_base: BaseModel, home: Path) -> None:
    found = resolve_base(spec(), clone)
    assert found.digest == tiny_base.digest
    assert found.path.is_relative_to(home / "base-models")
    assert found.name == f"dvc:models/tiny@{git(clone, 'rev-parse', 'HEAD')}"
    assert git(clone, "status", "--porcelain") == "" and not (clone / "models").exists()


def test_a_commit_that_leaves_the_model_alone_pulls_nothing(clone: Path, home: Path) -> None:
    first = resolve_base(spec(), clone)
    (clone / "other.txt").write_text("x")
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "something else")
    shutil.rmtree(clone / ".dvc" / "remote")
    second = resolve_base(spec(), clone)
    assert (second.path, second.digest) == (first.path, first.digest)
    assert second.name != first.name
    assert [path.name for path in (home / "base-models").iterdir()] == [first.path.name]


def test_an_older_revision_is_another_model(clone: Path, tiny_base: BaseModel) -> None:
    git(clone, "tag", "old")
    shutil.copytree(tiny_base.path, clone / "models" / "tiny")
    (clone / "models" / "tiny" / "config.json").write_text("{}")
    track(clone)
    git(clone, "commit", "-qam", "another model")
    assert resolve_base(spec(), clone).digest != tiny_base.digest
    assert resolve_base(spec(revision="old"), clone).digest == tiny_base.digest


def test_a_damaged_copy_is_pulled_again(clone: Path, tiny_base: BaseModel) -> None:
    path = resolve_base(spec(), clone).path
    (path / "model.safetensors").write_bytes(b"not what came")
    (path / "added.txt").write_text("x")
    assert resolve_base(spec(), clone).digest == tiny_base.digest
    assert not (path / "added.txt").exists()


def test_a_crash_while_pulling_leaves_nothing(clone: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(room, "publish_folder", crash)
    with pytest.raises(RuntimeError):
        resolve_base(spec(), clone)
    assert list((home / "base-models").iterdir()) == []


def test_damage_in_the_remote_is_told(clone: Path, home: Path) -> None:
    largest = max((clone / ".dvc" / "remote").rglob("*"), key=lambda path: path.stat().st_size)
    largest.chmod(0o644)
    largest.write_bytes(b"not what DVC recorded")
    with pytest.raises(IntegrityError, match="arrived damaged"):
        resolve_base(spec(), clone)
    assert list((home / "base-models").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "revision", "message"),
    [
        ("", None, "wanted dvc:PATH"),
        ("../elsewhere", None, "wanted dvc:PATH"),
        ("/etc", None, "wanted dvc:PATH"),
        ("models/huge", None, r"has no path 'models/huge'; it has"),
        ("models/tiny/config.json", None, "is a file, wanted a folder"),
        ("models/tiny", "v9", "no git repository that has the revision 'v9'"),
    ],
)
def test_names_that_lead_nowhere(clone: Path, path: str, revision: str | None, message: str) -> None:
    with pytest.raises(BaseModelError, match=message) as caught:
        resolve_base(spec(path, revision), clone)
    assert caught.value.hint and "(data." not in str(caught.value)


def test_without_a_repository_or_a_remote(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(BaseModelError, match="is no git repository"):
        resolve_base(spec(), tmp_path / "plain")
    shutil.rmtree(clone / ".dvc" / "remote")
    with pytest.raises(BaseModelError, match="cannot be reached"):
        resolve_base(spec(), clone)
