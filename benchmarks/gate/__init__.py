"""How often the gate decides wrongly, by simulation of the shipped rule. `python -m benchmarks.gate`."""
