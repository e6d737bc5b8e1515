"""Where a project is: the folder that holds `dags/specs/`."""

from __future__ import annotations

from pathlib import Path

from ftcore.errors import SpecError, UsageError
from ftcore.spec import load_spec


def find_project(start: Path | None = None) -> Path:
    """The nearest folder with `dags/specs`, from `start` (default: the current folder) upwards.

    Raises:
        UsageError: There is none.
    """
    folder = (start or Path.cwd()).absolute()
    for candidate in (folder, *folder.parents):
        if (candidate / "dags" / "specs").is_dir():
            return candidate
    raise UsageError(f"No project here: {folder} and its parents hold no dags/specs.", hint="ftcore init DIR")


def spec_files(project: Path) -> list[Path]:
    """The project's spec files, sorted by name."""
    return sorted((project / "dags" / "specs").glob("*.yaml"))


def spec_faults(folder: Path) -> dict[Path, SpecError | None]:
    """Every spec file of a folder, sorted, with what is wrong with it; None: it can be read."""
    faults: dict[Path, SpecError | None] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            load_spec(path)
            faults[path] = None
        except SpecError as error:
            faults[path] = error
    return faults


def good_specs(folder: Path) -> list[Path]:
    """Spec files of a folder that can be read."""
    return [path for path, error in spec_faults(folder).items() if error is None]


def spec_names(folder: Path) -> list[str]:
    """What the specs of a folder call themselves; a file that cannot be read goes by its own name."""
    faults = spec_faults(folder)
    return [path.stem if error else load_spec(path).name for path, error in faults.items()]
