"""Where a project is: the folder that holds `dags/specs/`."""

from __future__ import annotations

from pathlib import Path

from ftcore.errors import UsageError


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
