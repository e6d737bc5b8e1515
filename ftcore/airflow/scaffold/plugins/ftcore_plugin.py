"""Puts the ftcore page into Airflow's UI."""

from ftcore.airflow.plugin import FtcorePlugin

__all__ = ["FtcorePlugin"]
