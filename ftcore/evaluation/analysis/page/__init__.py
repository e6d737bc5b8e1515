"""The error report as one HTML file: drawn from the plain data of an analysis, everything from outside escaped."""

from ftcore.evaluation.analysis.page.layout import render

__all__ = ["render"]
