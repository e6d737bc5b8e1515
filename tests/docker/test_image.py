"""The image: what goes in, who runs it, which versions. It is not built here: that needs a Docker engine."""

from __future__ import annotations

import importlib.util
import re
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docker_{name}", DOCKER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


requirements = _load("requirements")
make_env = _load("make_env")


def _extras() -> list[str]:
    found = re.search(r"^ARG EXTRAS=(\S+)", DOCKERFILE, re.MULTILINE)
    assert found is not None
    return found[1].split(",")


def test_every_requirement_of_the_image_is_pinned() -> None:
    lines = requirements.with_extras((ROOT / "pyproject.toml").read_text(encoding="utf-8"), _extras())
    pinned = requirements.pins((DOCKER / "constraints.txt").read_text()) | requirements.pins(
        (ROOT / "constraints.txt").read_text()
    )
    names = {re.sub(r"[-_.]+", "-", name) for name in pinned}
    wanted = {re.match(r"[\w.-]+", line)[0].lower() for line in lines}  # type: ignore[index]
    assert {re.sub(r"[-_.]+", "-", name) for name in wanted} - names == set()


def test_the_images_own_pins_differ_only_where_said() -> None:
    own, common = (
        requirements.pins(path.read_text()) for path in (DOCKER / "constraints.txt", ROOT / "constraints.txt")
    )
    assert set(own) & set(common) <= {"celery"}


def test_merge_prefers_the_first_file(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("# why\nCelery==5.6.3\n")
    (tmp_path / "common.txt").write_text("celery==5.7.0\n\ntorch==2.13.0\n")
    command = [sys.executable, DOCKER / "requirements.py", "merge", tmp_path / "own.txt", tmp_path / "common.txt"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Celery==5.6.3", "torch==2.13.0"]


def test_unknown_extra_is_refused() -> None:
    with pytest.raises(SystemExit, match="no extra nope"):
        requirements.with_extras((ROOT / "pyproject.toml").read_text(encoding="utf-8"), ["nope"])


def test_dockerfile_runs_as_nobody_special_from_pinned_bases() -> None:
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["50000:0"]
    assert re.search(r"^ARG PYTHON=3\.11\.\d+$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"python:${PYTHON}-slim-bookworm"}
    for instruction in ("ENTRYPOINT", "CMD"):
        assert re.search(rf"^{instruction} \[", DOCKERFILE, re.MULTILINE), f"{instruction} is not in exec form"
    assert not re.search(r"^(ARG|ENV)\s+\w*(PASSWORD|TOKEN|SECRET)", DOCKERFILE, re.MULTILINE)


def test_the_builder_sees_each_copied_path_and_nothing_secret() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [line for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE) if "--from" not in line]
    sources = {source for line in copied for source in line.split()[:-1] if not source.startswith("--")}
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_make_env_fills_every_secret_once_and_privately(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env.example").write_text((DOCKER / "env.example").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(make_env, "HERE", tmp_path)
    make_env.main()
    written = tmp_path / ".env"
    values = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", written.read_text(encoding="utf-8"), re.MULTILINE))
    assert all(values.values()) and stat.S_IMODE(written.stat().st_mode) == 0o600
    made = [values[name] for name in re.findall(r"^([A-Z0-9_]+)=$", (DOCKER / "env.example").read_text(), re.MULTILINE)]
    assert len(set(made)) == len(made) and min(len(value) for value in made) >= 32
    with pytest.raises(SystemExit, match="exists"):
        make_env.main()


def test_fernet_key_has_the_form_airflow_wants() -> None:
    from cryptography.fernet import Fernet

    Fernet(make_env.fill("AIRFLOW_FERNET_KEY=").partition("=")[2].encode())


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


def test_health_check_tells_well_from_ill() -> None:
    server = HTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"

    def check(address: str) -> int:
        return subprocess.run(
            [sys.executable, DOCKER / "health.py", address], capture_output=True, check=False
        ).returncode

    try:
        assert check(f"{url}/health") == 0
        assert check(f"{url}/ill") == 1
    finally:
        server.shutdown()
        server.server_close()
    assert check(f"{url}/health") == 1  # nobody there
