"""ftcore keeps a fine-tuned language model good: evidence before promotion, drift watched, retraining closed in a loop."""

__version__ = "0.1.0"
