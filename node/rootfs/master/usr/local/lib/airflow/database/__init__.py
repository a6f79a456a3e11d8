"""What prepares and cleans Airflow's databases, one master at a time."""
