"""How Airflow's processes connect to the metadata database."""

# After a failover, connections may be dead without an error. With Linux's defaults a scheduler would wait for a quarter
# of an hour; with these it notices within a minute. Names and units are libpq's.
CONNECT_ARGS = {
    "connect_timeout": 15,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 5,
    "tcp_user_timeout": 60_000,
}

# The same for the api-server's asynchronous engine, in seconds; names are asyncpg's.
ASYNC_CONNECT_ARGS = {"timeout": 15, "command_timeout": 60}
