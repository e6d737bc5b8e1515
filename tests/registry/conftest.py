"""An empty MLflow database, made once: MLflow takes many seconds for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.registry.harness import make_mlflow_template


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mlflow_template(tmp_path_factory.mktemp("template") / "mlflow")


@pytest.fixture
def with_mlflow(home: Path, mlflow_template: Path) -> Path:
    """FTCORE_HOME with an MLflow database."""
    shutil.copytree(mlflow_template, home / "mlflow")
    return home
