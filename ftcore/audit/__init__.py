"""Audits: verify what is claimed, answer for a model, hand the evidence to a third party."""
