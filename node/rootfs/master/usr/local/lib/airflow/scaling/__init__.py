"""How masters scale worker pools.

`controller` runs a pass: `observation` reads the database, Auto Scaling and the worker registry, and `scaler` decides
for each pool. `scaler` and the modules that it imports (`fleet`, `forecast`, `launch_backoff`, `need`, `pool`,
`reason`) have neither clock nor I/O: times are seconds of any monotonic clock. `bench/scaling` runs simulations with
them.
"""
