"""What a training of a classifier must not load: it starts in every process anew."""

from __future__ import annotations

import subprocess
import sys


def test_a_training_loads_no_tables() -> None:
    code = (
        "import sys, ftcore.stages.train, ftcore.data.trained_rows, ftcore.training.inputs, ftcore.training.classification\n"
        "from transformers.utils import is_datasets_available\n"
        "assert is_datasets_available()\n"
        "print([name for name in ('datasets', 'pandas', 'pyarrow', 'mlflow', 'rapidfuzz') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
