"""Monitoring: calibrated drift tests over the prediction log, reports, alerts, retrain requests, feedback to data versions."""
