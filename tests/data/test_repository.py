from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ftcore.data.repository import DataRepository
from ftcore.data.versions import pull
from ftcore.errors import DataUnavailable, StorageError, UsageError


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An FTCORE_HOME with a seeded repository `demo`; copy it, do not write to it."""
    root = tmp_path_factory.mktemp("seeded")
    (root / "seed" / "sub").mkdir(parents=True)
    (root / "seed" / "messages.jsonl").write_text("{}\n")
    (root / "seed" / "sub" / "more.jsonl").write_text("{}\n")
    DataRepository(root / "home", "demo").ensure(root / "seed")
    return root / "home"


@pytest.fixture
def repository(seeded: Path, tmp_path: Path) -> DataRepository:
    shutil.copytree(seeded, tmp_path / "state")
    return DataRepository(tmp_path / "state", "demo")


def content(repository: DataRepository, target: Path) -> dict[str, str]:
    """What a fresh worker without our cache gets for the newest version."""
    shutil.rmtree(repository.root / ".dvc" / "cache", ignore_errors=True)
    newest = repository.newest()
    assert newest is not None
    shutil.rmtree(target, ignore_errors=True)
    pull(newest, target)
    return {path.relative_to(target).as_posix(): path.read_text() for path in target.rglob("*") if path.is_file()}


def commits(repository: DataRepository) -> int:
    count = subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=repository.root, capture_output=True, text=True)
    return int(count.stdout)


SEED = {"messages.jsonl": "{}\n", "sub/more.jsonl": "{}\n"}


def test_seed_then_add(repository: DataRepository, tmp_path: Path) -> None:
    first = repository.newest()
    assert first is not None
    added = repository.add({"feedback-1.jsonl": b"1\n"}, "More rows")
    assert added.rev != first.rev
    assert added.reason == "feedback"
    assert content(repository, tmp_path / "out") == SEED | {"feedback-1.jsonl": "1\n"}
    pull(first, tmp_path / "first")
    assert not (tmp_path / "first" / "feedback-1.jsonl").exists()


def test_the_same_again_makes_no_version(repository: DataRepository, tmp_path: Path) -> None:
    once = repository.add({"a.jsonl": b"1\n"}, "m")
    assert repository.add({"a.jsonl": b"1\n"}, "m") == once
    assert commits(repository) == 2
    assert repository.ensure(tmp_path / "ignored") == repository.ensure(tmp_path / "ignored")


def test_it_is_its_own_repository_with_its_own_identity(repository: DataRepository, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)  # the user's checkout around FTCORE_HOME
    (tmp_path / "hooks").mkdir()
    repository.add({"a.jsonl": b"1\n"}, "m")
    log = subprocess.run(["git", "log", "-1", "--format=%an %s"], cwd=repository.root, capture_output=True, text=True)
    assert log.stdout == "ftcore m\n"
    outer = subprocess.run(["git", "log"], cwd=tmp_path, capture_output=True, text=True)
    assert outer.returncode != 0  # nothing was committed there


def test_home_can_be_moved(repository: DataRepository, tmp_path: Path) -> None:
    (tmp_path / "state").rename(tmp_path / "moved")
    moved = DataRepository(tmp_path / "moved", "demo")
    moved.add({"a.jsonl": b"1\n"}, "m")
    assert content(moved, tmp_path / "out") == SEED | {"a.jsonl": "1\n"}


def test_a_nearly_full_disk_is_refused_first(repository: DataRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    before = repository.newest()
    usage = shutil.disk_usage("/")._replace(free=10 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match="nearly full"):
        repository.add({"a.jsonl": b"1"}, "m")
    assert repository.newest() == before


def test_before_seeding(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="no data repository"):
        DataRepository(tmp_path, "demo").add({"a": b""}, "m")
    assert DataRepository(tmp_path, "demo").newest() is None


@pytest.mark.parametrize("name", ["../x", "/etc/x", "", "a/../../x", "a\0b"])
def test_names_stay_inside(repository: DataRepository, name: str) -> None:
    with pytest.raises(UsageError):
        repository.add({name: b""}, "m")


# Dies with SIGKILL at the n-th call of one of the steps, like a machine that lost power there.
KILLED = """
import os, signal, sys
from pathlib import Path
import ftcore.data.repository as room
home, point = Path(sys.argv[1]), int(sys.argv[2])
calls = 0
def dying(function):
    def wrapper(*args, **kwargs):
        global calls
        calls += 1
        if calls == point: os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        calls += 1
        if calls == point: os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapper
from dvc.repo import Repo
room.run_git = dying(room.run_git)
room.write_durable = dying(room.write_durable)
Repo.add, Repo.push, Repo.pull = dying(Repo.add), dying(Repo.push), dying(Repo.pull)
if len(sys.argv) > 3:
    room.DataRepository(home, "demo").ensure(Path(sys.argv[3]))
else:
    room.DataRepository(home, "demo").add({"x.jsonl": b"half\\n", "messages.jsonl": b"new\\n"}, "killed")
print("survived")
"""


@pytest.mark.parametrize("point", [5, 11, 15, 18])
def test_a_half_done_add_is_repaired(repository: DataRepository, tmp_path: Path, point: int) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "state"), str(point)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    (repository.root / ".git" / "index.lock").touch()  # what a killed git leaves
    before = content(repository, tmp_path / "out")
    assert before in (SEED, SEED | {"x.jsonl": "half\n", "messages.jsonl": "new\n"})
    repository.add({"y.jsonl": b"2\n"}, "after")
    assert content(repository, tmp_path / "out") == before | {"y.jsonl": "2\n"}


@pytest.mark.parametrize("point", [3, 20])
def test_a_half_done_seed_is_repaired(seeded: Path, tmp_path: Path, point: int) -> None:
    seed = str(seeded.parent / "seed")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "state"), str(point), seed]
    assert subprocess.run(command, capture_output=True).returncode == -9
    repository = DataRepository(tmp_path / "state", "demo")
    repository.ensure(Path(seed))
    assert content(repository, tmp_path / "out") == SEED


def test_a_second_writer_waits(repository: DataRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftcore.data.repository._LOCK_TIMEOUT_S", 0.3)
    with repository._locked(), pytest.raises(DataUnavailable, match="Another process has been writing"):
        repository.add({"a.jsonl": b"1"}, "m")


def test_several_processes_at_once(repository: DataRepository, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from ftcore.data.repository import DataRepository\n\
DataRepository(Path(sys.argv[1]), 'demo').add({f'{sys.argv[2]}.jsonl': b'x\\n'}, sys.argv[2])"
    children = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "state"), str(n)]) for n in range(3)]
    assert [child.wait(timeout=120) for child in children] == [0] * 3
    assert commits(repository) == 4
    assert content(repository, tmp_path / "out") == SEED | {f"{n}.jsonl": "x\n" for n in range(3)}
