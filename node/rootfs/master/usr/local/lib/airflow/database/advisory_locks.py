"""The numbers of this program's advisory locks in PostgreSQL, which mean something in one database only.

They stand together because a lock whose number is taken silently keeps another program from its work.
"""

PREPARE = 3_301_017_551
"""Prepares Airflow's databases. In the server's own database; a migration under it may take hours."""
SCALE = 3_301_017_552
"""Scales the pools, for one pass."""
PRESENCE = 3_301_017_553
"""Held, shared, by the scaling services of the masters that scale the pools: others see whether one of them is alive.
Nothing that runs as a task can write to this database."""
CLEAN_UP = 3_301_017_554
"""Deletes old rows."""
