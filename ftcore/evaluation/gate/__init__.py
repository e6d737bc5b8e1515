"""The gate: evidence in, PASS, FAIL or NOT ENOUGH EVIDENCE out, with every reason."""
