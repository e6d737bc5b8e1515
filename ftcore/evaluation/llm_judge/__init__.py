"""A language model behind an HTTP endpoint compares answers of candidate and champion. For people to read; it decides nothing."""
