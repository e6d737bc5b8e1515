from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ftcore.data.versions import pull, resolve_rev
from ftcore.errors import DataUnavailable, DataUnreachable, IntegrityError, StorageError, UsageError
from ftcore.records import DataRef
from ftcore.store import Manifest

FILES = {"a.jsonl": '{"n": 1}\n', "sub/b.csv": "x,y\n1,2\n"}


def git(repo: Path, *args: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *args]
    return subprocess.run(command, cwd=repo, check=True, capture_output=True, text=True).stdout.strip()


def dvc(repo: Path, *args: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *args], cwd=repo, check=True, capture_output=True)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose `data` is under DVC (two versions, pushed) and whose `plain` is under git alone."""
    project = tmp_path_factory.mktemp("original") / "project"
    project.mkdir()
    git(project, "init", "-q")
    dvc(project, "init", "-q")
    dvc(project, "remote", "add", "-q", "-d", "store", str(project.parent / "remote"))
    (project / "plain").mkdir()
    (project / "plain" / "p.jsonl").write_text("{}\n")
    for number, files in enumerate((FILES, FILES | {"c.jsonl": "{}\n"})):
        for name, text in files.items():
            path = project / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        dvc(project, "add", "-q", "data")
        git(project, "add", "-A")
        git(project, "commit", "-qm", f"version {number}")
        git(project, "tag", f"v{number}")
        dvc(project, "push", "-q")
    return project


@pytest.fixture
def project(original: Path, tmp_path: Path) -> Path:
    """A copy to damage, with its remote beside it; nothing of DVC's data in work tree or cache."""
    shutil.copytree(original.parent, tmp_path / "copy")
    copy = tmp_path / "copy" / "project"
    dvc(copy, "remote", "modify", "store", "url", str(copy.parent / "remote"))
    shutil.rmtree(copy / ".dvc" / "cache")
    shutil.rmtree(copy / "data")
    return copy


def ref(project: Path | str, **more: str) -> DataRef:
    return DataRef(**({"repo": str(project), "rev": "HEAD", "path": "data"} | more))  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return [path for path, _, _ in Manifest.of(folder).files]


def objects(project: Path) -> list[Path]:
    return sorted(path for path in (project.parent / "remote").rglob("*") if path.is_file())


def test_pull_at_a_revision_touches_no_work_tree(project: Path, tmp_path: Path) -> None:
    before = git(project, "status", "--porcelain", "--ignored")
    assert pull(ref(project, rev="v0"), tmp_path / "v0") == git(project, "rev-parse", "v0")
    assert pull(ref(project), tmp_path / "v1") == git(project, "rev-parse", "HEAD")
    assert names(tmp_path / "v0") == ["a.jsonl", "sub/b.csv"]
    assert names(tmp_path / "v1") == ["a.jsonl", "c.jsonl", "sub/b.csv"]
    assert (tmp_path / "v0" / "sub" / "b.csv").read_text() == FILES["sub/b.csv"]
    assert git(project, "status", "--porcelain", "--ignored") == before
    assert not (project / "data").exists()


def test_pull_takes_no_dvc_lock(project: Path, tmp_path: Path) -> None:
    holder = (
        "import time; from dvc.repo import Repo; r=Repo('.'); r.lock.lock(); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holder], cwd=project, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        pull(ref(project), tmp_path / "out")
        child.kill()
    assert names(tmp_path / "out")


def test_pull_from_the_cache_when_the_remote_is_away(original: Path, tmp_path: Path) -> None:
    shutil.copytree(original, tmp_path / "project")
    pull(ref(tmp_path / "project"), tmp_path / "out")
    assert len(names(tmp_path / "out")) == 3
    assert not (tmp_path / "out" / "a.jsonl").is_symlink()


def test_pull_a_clone_by_url(project: Path, tmp_path: Path) -> None:
    url = f"file://{project}"
    assert resolve_rev(ref(url, rev="v0")) == git(project, "rev-parse", "v0")
    # A clone knows the remote only through the committed settings.
    git(project, "commit", "-qam", "remote moved")
    pull(ref(url), tmp_path / "out")
    assert len(names(tmp_path / "out")) == 3
    with pytest.raises(DataUnavailable, match="no branch, tag or commit 'v9'"):
        resolve_rev(ref(url, rev="v9"))
    with pytest.raises(DataUnavailable, match="Cannot reach the data repository"):
        resolve_rev(ref("file:///no/such/place"))
    older = git(project, "rev-parse", "v0~0")
    git(project, "tag", "-d", "v0")  # now no name leads to it
    assert resolve_rev(ref(url, rev=older)) == older
    with pytest.raises(DataUnavailable, match="no branch, tag or commit 'aaaa"):
        resolve_rev(ref(url, rev="a" * 40))


def test_git_tracked_files_are_pulled_too(project: Path, tmp_path: Path) -> None:
    pull(ref(project, path="plain"), tmp_path / "out")
    assert names(tmp_path / "out") == ["p.jsonl"]


def failing(data: DataRef, target: Path, kind: type[Exception] = DataUnavailable) -> str:
    with pytest.raises(kind) as caught:
        pull(data, target)
    assert not target.exists()
    return str(caught.value)


def test_each_missing_thing_names_the_command_that_helps(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "git -C" in failing(ref(project, rev="v9"), out)
    assert "No data repository at" in failing(ref(tmp_path / "nowhere"), out)
    (tmp_path / "empty").mkdir()
    assert "init" in failing(ref(tmp_path / "empty"), out)
    message = failing(ref(project, path="other"), out)
    assert "no path 'other'" in message
    assert "it has: data, plain" in message
    assert "dvc add other" in message
    message = failing(ref(project, remote="nope"), out)
    assert "remotes there: store" in message
    assert "dvc remote add nope URL" in message
    failing(ref(project, path="../x"), out, UsageError)
    failing(ref(project, path="/etc"), out, UsageError)
    assert "not a git revision" in failing(ref(project, rev="--help"), out)


def test_an_unreachable_remote(project: Path, tmp_path: Path) -> None:
    (project.parent / "remote").rename(project.parent / "unplugged")
    message = failing(ref(project), tmp_path / "out")
    assert "'store' cannot be reached: no folder at" in message
    assert "dvc remote modify store url" in message
    dvc(project, "remote", "modify", "store", "url", "http://127.0.0.1:9/x")
    assert "dvc push -r store" in failing(ref(project), tmp_path / "out", DataUnreachable)
    dvc(project, "remote", "remove", "store")
    assert "dvc remote add -d NAME URL" in failing(ref(project), tmp_path / "out")


def test_a_network_fault_may_be_tried_again_a_wrong_address_may_not(tmp_path: Path) -> None:
    assert DataUnreachable.transient and not DataUnavailable.transient
    with pytest.raises(DataUnreachable, match="Cannot reach the data repository"):
        resolve_rev(DataRef(repo="http://127.0.0.1:9/x.git", path="data", rev="main"))
    with pytest.raises(DataUnavailable) as caught:
        resolve_rev(DataRef(repo=f"file://{tmp_path}/nothing", path="data", rev="main"))
    assert not caught.value.transient


@pytest.mark.parametrize("directory", [True, False])
def test_objects_missing_in_the_remote(project: Path, tmp_path: Path, directory: bool) -> None:
    for path in objects(project):
        if (path.suffix == ".dir") is directory:
            path.unlink()
    message = failing(ref(project), tmp_path / "out")
    assert "lacks objects of data" in message
    assert "dvc push -r store" in message


def test_damaged_objects_are_noticed(project: Path, tmp_path: Path) -> None:
    for path in objects(project):
        if path.suffix != ".dir":
            path.chmod(0o644)
            path.write_bytes(path.read_bytes() + b"!")
    assert "arrived damaged" in failing(ref(project), tmp_path / "out", IntegrityError)


@pytest.mark.parametrize(
    "name", ["/data/../../escaped.jsonl", "/data/sub/../../../escaped.jsonl", "/etc/escaped.jsonl"]
)
def test_names_that_lead_out_of_the_folder_are_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Listings come from the remote, which somebody else may write. (DVC 3.67 trips over such a name by itself.)"""
    monkeypatch.setattr("ftcore.data.versions._list_files", lambda *_: [("/data/a.jsonl", None), (name, None)])
    assert "leads out of" in failing(ref(project), tmp_path / "a" / "out", IntegrityError)
    assert not list(tmp_path.rglob("escaped.jsonl"))


def test_git_variables_of_a_hook_do_not_redirect_us(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = git(project, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert resolve_rev(ref(project)) == wanted


def test_resolving_imports_no_dvc(project: Path) -> None:
    code = f"import sys; from ftcore.data.versions import resolve_rev; from ftcore.records import DataRef; \
resolve_rev(DataRef(repo={str(project)!r}, rev='HEAD', path='data')); assert 'dvc' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_plain_folder(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.jsonl").write_text("1\n")
    data = DataRef(repo=None, rev="HEAD", path=str(folder))
    first = resolve_rev(data)
    assert pull(data, tmp_path / "out") == first == Manifest.of(tmp_path / "out").digest
    (folder / "sub" / "a.jsonl").write_text("2\n")
    assert resolve_rev(data) != first
    (folder / "link").symlink_to("/etc/passwd")
    failing(data, tmp_path / "out2", IntegrityError)
    assert "wanted a folder" in failing(DataRef(repo=None, rev="", path=str(tmp_path / "no")), tmp_path / "out2")


@pytest.fixture
def plain(tmp_path: Path) -> DataRef:
    (tmp_path / "rows" / "sub").mkdir(parents=True)
    (tmp_path / "rows" / "sub" / "a.jsonl").write_text("1\n")
    return DataRef(repo=None, rev="HEAD", path=str(tmp_path / "rows"))


def test_a_disk_that_fills_up_while_a_folder_is_copied(
    plain: DataRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ftcore.store.copy_folder.__defaults__", (full,))
    assert "The disk is full" in failing(plain, tmp_path / "out", StorageError)


@pytest.mark.parametrize("call", ["resolve", "copy"])
def test_a_file_that_may_not_be_read(
    plain: DataRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def forbidden(path: Path, *_: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    if call == "resolve":  # root may read everything, so the operating system's answer is put in its mouth
        monkeypatch.setattr("ftcore.store.file_sha256", forbidden)
    else:
        monkeypatch.setattr("ftcore.store.copy_folder.__defaults__", (forbidden,))
    message = failing(plain, tmp_path / "out")
    assert "No permission to read" in message
    assert "a.jsonl" in message and "ls -ld" in message


def test_a_target_that_may_not_be_written(plain: DataRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(source: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))

    monkeypatch.setattr("ftcore.store.copy_folder.__defaults__", (forbidden,))
    assert "No permission to write" in failing(plain, tmp_path / "out", StorageError)
