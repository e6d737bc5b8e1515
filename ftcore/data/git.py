"""Git as a child process: a few read-only questions, and commits in repositories that ftcore itself owns."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from ftcore.errors import DataMissing, DataUnavailable, DataUnreachable

_TIMEOUT_S = 120.0
_NETWORK_FAULT = re.compile(
    r"could not resolve|timed? ?out|connection (was )?(refused|reset|closed)|failed to connect|unreachable|error: 5\d\d",
    re.I,
)
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def run_git(*args: str, cwd: Path | None = None, timeout_s: float = _TIMEOUT_S) -> subprocess.CompletedProcess[str]:
    """Run git without prompts and without a caller's GIT_* variables (set inside hooks, they would redirect it).

    Raises:
        DataUnavailable: git is not installed.
        DataUnreachable: It did not answer in time.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    try:
        return subprocess.run(
            ["git", *args], cwd=cwd, env=env, capture_output=True, text=True, errors="replace", timeout=timeout_s
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise DataUnavailable(f"No folder at {cwd}; wanted a git repository.", hint=f"ls -d {cwd}") from error
        raise DataUnavailable("git is not installed; data versions live in git.", hint="apt-get install git") from error
    except subprocess.TimeoutExpired as error:
        command = " ".join(("git", *args))
        raise DataUnreachable(f"`{command}` gave no answer in {timeout_s:.0f} s.", hint=command) from error


def is_url(repo: str) -> bool:
    """True for what git reaches through a transport (https://, ssh://, file://, user@host:path)."""
    return "://" in repo or re.match(r"[\w.-]+@[\w.-]+:", repo) is not None


def resolve_commit(repo: str, rev: str) -> str:
    """The full commit that `rev` names in `repo` (folder or URL).

    Raises:
        DataUnavailable: No repository there, or it has no such revision.
    """
    if rev.startswith("-"):  # git would read it as an option
        raise DataUnavailable(f"{rev!r} is not a git revision.", hint=f"git -C {repo} tag --list")
    return _resolve_remote(repo, rev) if is_url(repo) else _resolve_local(Path(repo), rev)


def _resolve_local(repo: Path, rev: str) -> str:
    if not repo.is_dir():
        raise DataMissing(f"No data repository at {repo} (data.repo).", hint=f"ls -d {repo}")
    inside = run_git("rev-parse", "--git-dir", cwd=repo)
    if inside.returncode != 0:
        message = f"{repo} is not a usable git repository (data.repo): {_last_line(inside.stderr)}."
        hint = f"git -C {repo} init, or set `data.repo: null` to read a plain folder"
        if "dubious ownership" in inside.stderr:
            hint = f"git config --global --add safe.directory {repo.absolute()}"
        raise DataUnavailable(message, hint=hint)
    found = run_git("rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}", cwd=repo)
    if found.returncode == 0:
        return found.stdout.strip()
    if run_git("rev-parse", "--verify", "--quiet", "HEAD", cwd=repo).returncode != 0:
        raise DataUnavailable(f"The data repository {repo} has no commit yet.", hint=f"git -C {repo} commit")
    raise DataUnavailable(
        f"The data repository {repo} has no revision {rev!r} (data.rev).", hint=f"git -C {repo} fetch --all --tags"
    )


def _resolve_remote(url: str, rev: str) -> str:
    answer = run_git("ls-remote", "--", url)
    if answer.returncode != 0:
        message = f"Cannot reach the data repository {url} (data.repo): {_last_line(answer.stderr)}."
        kind = DataUnreachable if _NETWORK_FAULT.search(answer.stderr) else DataUnavailable
        raise kind(message, hint=f"git ls-remote {url}")
    names = {name: commit for commit, name in (line.split("\t", 1) for line in answer.stdout.splitlines())}
    # An annotated tag is listed twice; the peeled entry (^{}) is the commit.
    for name in (f"refs/tags/{rev}^{{}}", f"refs/tags/{rev}", f"refs/heads/{rev}", rev):
        if name in names:
            return names[name]
    if _COMMIT.fullmatch(rev) and _may_have(url, rev):
        return rev
    raise DataUnavailable(f"{url} has no branch, tag or commit {rev!r} (data.rev).", hint=f"git ls-remote {url}")


def _may_have(url: str, commit: str) -> bool:
    """False if the server says that it has no such commit; one that answers no such question may have it."""
    with tempfile.TemporaryDirectory(prefix="ftcore-git-") as folder:
        run_git("init", "--quiet", "--bare", cwd=Path(folder))
        asked = run_git("fetch", "--quiet", "--depth=1", "--filter=tree:0", "--", url, commit, cwd=Path(folder))
    if asked.returncode != 0 and _NETWORK_FAULT.search(asked.stderr):
        message = f"Cannot ask the data repository {url} for {commit[:12]}: {_last_line(asked.stderr)}."
        raise DataUnreachable(message, hint=f"git ls-remote {url}")
    return asked.returncode == 0 or "not our ref" not in asked.stderr


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].removeprefix("fatal: ").rstrip(".") if lines else "no message"
