"""What candidate and champion are asked beside the holdout: groundedness, self-consistency, safety, canaries, forgetting."""
