"""The gate: evidence in, PASS, FAIL, NOT ENOUGH EVIDENCE or HOLD out, with every reason."""
