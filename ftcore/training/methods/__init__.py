"""What is trained: all weights, some layers, or an adapter of PEFT beside frozen ones; and how that is saved."""

from ftcore.training.methods.apply import (
    apply_method,
    continue_adapter,
    head_parameters,
    load_trained_state,
    num_parameters,
    trained_state,
)
from ftcore.training.methods.configs import HEAD, check_method

__all__ = [
    "HEAD",
    "apply_method",
    "check_method",
    "continue_adapter",
    "head_parameters",
    "load_trained_state",
    "num_parameters",
    "trained_state",
]
