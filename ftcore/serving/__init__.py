"""Serving: the champion over HTTP, with a prediction log that survives a kill."""
