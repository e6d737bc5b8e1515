"""Answers that survive a kill: taken up where they verify, made anew where they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ftcore.evaluation import kept
from ftcore.evaluation.kept import KeptAnswers
from ftcore.models.batches import Arrays, Work, run_all

TOKENS = [[7] * length for length in (1, 1, 2, 3, 3, 5, 8)]
BATCHES = [np.array([0, 1, 2]), np.array([3, 4, 5]), np.array([6])]


class Model:
    """Counts the batches that it runs; dies at one of them."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.ran: list[int] = []
        self.dies_at = dies_at

    def work(self, **settings: int) -> Work:
        return Work("answers", [TOKENS], BATCHES, self.run, settings)

    def run(self, rows: np.ndarray) -> Arrays:
        if self.dies_at == len(self.ran):
            raise KeyboardInterrupt
        self.ran.append(int(rows[0]))
        longest = max(len(TOKENS[row]) for row in rows)
        return {
            "ids": np.array([[*TOKENS[row], *[0] * (longest - len(TOKENS[row]))] for row in rows]),
            "none": np.zeros((len(rows), 0), dtype=np.int64),
            "sums": rows / 3,
        }


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEEP_EVERY_S", 0.0)


def everything(
    folder: Path, model: Model, said: list[str] | None = None, **settings: int
) -> list[dict[str, list[float]]]:
    answers = KeptAnswers(folder, "cpu fp32", (said if said is not None else []).append)
    found = list(answers.runner("candidate", "d" * 64)(model.work(**settings)))
    assert [rows.tolist() for rows, _ in found] == [rows.tolist() for rows in BATCHES]
    return [{name: array.tolist() for name, array in arrays.items()} for _, arrays in found]


def interrupted(folder: Path, batches: int = 2) -> None:
    with pytest.raises(KeyboardInterrupt):
        everything(folder, Model(dies_at=batches))


def test_a_later_run_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    wanted = [{name: array.tolist() for name, array in arrays.items()} for _, arrays in run_all(Model().work())]
    interrupted(tmp_path)
    model, said = Model(), list[str]()
    assert everything(tmp_path, model, said) == wanted and model.ran == [6]
    assert said == ["answers of candidate: 6 of 7 rows are there from an earlier attempt"]
    again = Model()
    assert everything(tmp_path, again) == wanted and again.ran == []


def test_what_does_not_verify_is_run_again(tmp_path: Path) -> None:
    interrupted(tmp_path)
    first, second = sorted(tmp_path.rglob("*.safetensors"))
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(data)
    second.write_bytes(second.read_bytes()[:-9])
    (first.parent / "000000-none.safetensors").write_bytes(b"\x00" * 40)
    model = Model()
    everything(tmp_path, model)
    assert model.ran == [0, 3, 6]
    model = Model()
    everything(tmp_path, model)
    assert model.ran == []  # nothing damaged is left in the way


def test_other_settings_models_and_devices_share_nothing(tmp_path: Path) -> None:
    interrupted(tmp_path)
    model = Model()
    everything(tmp_path, model, max_new_tokens=9)
    assert len(model.ran) == 3
    for device, digest in (("cuda bf16", "d" * 64), ("cpu fp32", "e" * 64)):
        model = Model()
        list(KeptAnswers(tmp_path, device, print).runner("candidate", digest)(model.work()))
        assert len(model.ran) == 3


def test_other_rows_or_batches_share_nothing(tmp_path: Path) -> None:
    interrupted(tmp_path)
    runner = KeptAnswers(tmp_path, "cpu fp32", print).runner("candidate", "d" * 64)
    for tokens, batches in (
        ([[9], *TOKENS[1:]], BATCHES),
        (TOKENS, [np.arange(7)]),
        ([*TOKENS[1:], TOKENS[0]], BATCHES),
    ):
        model = Model()
        list(runner(Work("answers", [tokens], batches, model.run)))
        assert len(model.ran) == len(batches)


def test_short_work_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEEP_EVERY_S", 30.0)
    everything(tmp_path, Model())
    assert not list(tmp_path.rglob("*"))


def test_progress_says_rows_rate_and_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "SAY_EVERY_S", 0.0)
    clock = iter(range(0, 1_000, 5))
    monkeypatch.setattr(kept.time, "monotonic", lambda: float(next(clock)))
    said: list[str] = []
    everything(tmp_path, Model(), said)
    assert len(said) == 2 and said[0].startswith("answers of candidate: 3/7 rows, ")
    assert said[0].endswith(" s left") and " rows/s, about " in said[0]
