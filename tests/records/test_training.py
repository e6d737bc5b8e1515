from __future__ import annotations

from typing import Any

from ftcore.records import TrainingRun


def test_identity_of_a_training_run_is_its_model() -> None:
    common: dict[str, Any] = {
        "uri": "u", "model_digest": "m", "base_digest": "b", "base_name": "n", "data_digest": "d", "method": "full",
        "device": "cpu", "precision": "fp32", "num_steps": 1, "num_epochs": 1.0, "best_step": 1,
        "best_validation_loss": 0.1, "num_trainable": 1, "num_parameters": 1, "samples_per_s": 1.0,
    }  # fmt: skip
    assert TrainingRun(**common, train_s=1.0).digest == TrainingRun(**common, train_s=2.0).digest == "m"
