"""How long `ftcore stage train` takes to its first training step, beside a plain `import torch, transformers, peft`.

    python -m benchmarks.startup [--pairs 5]

The stages before it run once, on the shipped example, in a temporary FTCORE_HOME. Then both sides start in turn, each in a new
process; the clock of the stage stops when it has loaded and checked everything and is about to make its first step. Prints the
medians by the clock and by CPU time, and the difference; ends with 1 if that is more than 1.5 s by the clock. CPU time is the
steadier figure on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.wanted import Wanted, exit_status

SPEC = "dags/specs/support_intents.yaml"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Took:
    """One start."""

    wall_s: float
    cpu_s: float


def prepare(env: dict[str, str], inputs: Path) -> None:
    """Run the stages before train; their records come to `inputs`."""
    records: dict[str, object] = {}
    for stage in ("ingest", "validate", "prepare"):
        inputs.write_text(json.dumps(records), encoding="utf-8")
        command = [sys.executable, "-m", "ftcore", "stage", stage, SPEC, "--inputs", str(inputs), "--json"]
        done = subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE)
        records[stage] = json.loads(done.stdout)["record"]
    inputs.write_text(json.dumps(records), encoding="utf-8")


def until(command: list[str], env: dict[str, str], is_there: Callable[[str], bool]) -> Took:
    """Start a command and wait for a line on standard error; the process is killed then."""
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as run:
        assert run.stderr is not None
        said = []
        for line in run.stderr:
            said.append(line)
            if is_there(line):
                wall = time.perf_counter() - began
                user, system = Path(f"/proc/{run.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
                run.kill()
                return Took(wall, (int(user) + int(system)) / os.sysconf("SC_CLK_TCK"))
    sys.exit(f"{' '.join(command)} never came so far:\n{''.join(said)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    plain = "import sys, torch, transformers, peft; print('done', file=sys.stderr, flush=True); input()"
    with tempfile.TemporaryDirectory() as folder:
        env, inputs = {**os.environ, "FTCORE_HOME": folder}, Path(folder) / "inputs.json"
        prepare(env, inputs)
        sides: dict[str, list[Took]] = {"plain import": [], "stage train": []}
        stage = [sys.executable, "-m", "ftcore", "stage", "train", SPEC, "--inputs", str(inputs)]
        for _ in range(options.pairs):
            sides["plain import"].append(until([sys.executable, "-c", plain], env, lambda line: "done" in line))
            sides["stage train"].append(
                until(stage, env, lambda line: line.startswith("train: ") and "steps of" in line)
            )
    medians = {
        name: Took(statistics.median(one.wall_s for one in took), statistics.median(one.cpu_s for one in took))
        for name, took in sides.items()
    }
    for name, took in medians.items():
        print(f"{name:14} {took.wall_s:6.2f} s wall {took.cpu_s:6.2f} s CPU")
    first, second = medians.values()
    print(f"difference     {second.wall_s - first.wall_s:6.2f} s wall {second.cpu_s - first.cpu_s:6.2f} s CPU")
    return exit_status([Wanted("s longer than plain imports", second.wall_s - first.wall_s, most=1.5)])


if __name__ == "__main__":
    sys.exit(main())
