"""How masters scale worker pools.

`controller` runs a pass: `observation` collects what the database, Auto Scaling and the worker registry hold, `scaler`
decides for each pool. `scaler` and what it imports (`fleet`, `forecast`, `launch_backoff`, `need`, `pool`, `reason`)
have neither clock nor I/O: times are seconds of any monotonic clock. `bench/scaling` simulates with them.
"""
