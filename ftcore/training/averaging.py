"""Which weights become the candidate: one checkpoint's, or the mean of several where that is no worse.

The mean of the weights along one run generalises at least as well as their best (Izmailov et al. 2018, arXiv:1803.05407), most
of the time; so it is measured on the validation split before it is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from ftcore.errors import IntegrityError
from ftcore.spec import TrainingSpec
from ftcore.training import checkpoints
from ftcore.training.methods import load_trained_state
from ftcore.training.trainer import WEIGHTS, DurableTrainer, say


def load_final_weights(trainer: DurableTrainer, training: TrainingSpec, folder: Path) -> tuple[list[int], float]:
    """Load into the trainer's model what the candidate is made of.

    Returns:
        The steps of its checkpoints (more than one: their mean), and its validation loss.

    Raises:
        IntegrityError: A checkpoint was damaged on disk.
        TrainingDiverged: The mean's validation loss is not finite.
    """
    steps = trainer.history.steps_to_keep(training.final_weights, training.average_checkpoints)
    losses = {validation.step: validation.loss for validation in trainer.history.validations}
    if len(steps) > 1:
        load_trained_state(trainer.model, mean_state([_read(folder, step) for step in steps]))
        mean_loss, listed = trainer.validation_loss(), ", ".join(str(step) for step in sorted(steps))
        if mean_loss <= losses[steps[0]]:
            say(f"the mean of steps {listed} is taken: validation loss {mean_loss:.4f}, alone {losses[steps[0]]:.4f}")
            return sorted(steps), mean_loss
        say(
            f"the mean of steps {listed} is not taken: its validation loss {mean_loss:.4f} is higher than "
            f"{losses[steps[0]]:.4f} of step {steps[0]} alone"
        )
    load_trained_state(trainer.model, _read(folder, steps[0]))
    return steps[:1], losses[steps[0]]


def mean_state(states: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Mean of each tensor over the states, summed in float64; whole numbers (counters) are taken from the first."""
    return {
        name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }


def _read(folder: Path, step: int) -> dict[str, torch.Tensor]:
    if not checkpoints.is_valid(folder, step):
        hint = "run the same command again: training goes on from the newest checkpoint that is whole"
        raise IntegrityError(f"The checkpoint of step {step} was damaged on disk during training.", hint=hint)
    state: dict[str, torch.Tensor] = load_file(checkpoints.path_of(folder, step) / WEIGHTS)
    return state
