"""Prepares and cleans Airflow's databases, on one master at a time."""
