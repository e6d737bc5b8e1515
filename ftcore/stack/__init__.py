"""The embedded stack: Airflow, MLflow and the ftcore server on 127.0.0.1, started, watched and stopped as one.

Everything lives under FTCORE_HOME and is configured through environment variables only; nothing here loads torch.
"""
