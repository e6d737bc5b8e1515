"""Search for settings with Optuna: trials on the validation split, pruned early, the best trained anew on fresh seeds."""
