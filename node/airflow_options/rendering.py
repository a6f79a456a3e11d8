"""The Airflow options that a node sets, with the reason for each that is not Airflow's default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from node.naming import API_SERVER_PORT, api_server_url

if TYPE_CHECKING:
    from node.environment import NodeEnvironment

Options = Mapping[tuple[str, str], str]

# Connections that a failover of the database has cut are noticed before use, and within a minute where the other end
# went without a word. Names and units of the arguments are libpq's; node_database.py has the metadata engines' own.
RESULT_BACKEND_ENGINE = {
    "pool_pre_ping": True,
    "pool_recycle": 1800,
    "connect_args": {
        "connect_timeout": 15,
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 5,
        "tcp_user_timeout": 60_000,
    },
}


def default_options(environment: NodeEnvironment) -> dict[tuple[str, str], str]:
    """What production wants and the user's `airflow:config` may change."""
    options = {
        # A task whose message the broker lost, or whose worker died, costs one try.
        ("core", "default_task_retries"): "1",
        ("core", "load_examples"): "False",
        # A dead worker's task fails after three minutes instead of five. A failover of the database takes up to two, in
        # which no heartbeat is written down: less than this would fail every running task.
        ("scheduler", "task_instance_heartbeat_timeout"): "180",
        # What a task asks of Airflow, from its start to its last XCom, and its heartbeats are asked again for about as
        # long: 170 s where each attempt fails at once, 290 s where each runs into its time-out of 5 s. A worker that
        # has heard nothing for that long ends the task: by then it may run elsewhere.
        ("workers", "execution_api_retries"): "25",
        ("workers", "execution_api_retry_wait_max"): "15",
        ("workers", "max_failed_heartbeats"): "1",
        ("scheduler", "orphaned_tasks_check_interval"): "60",
        # A task may wait a day for a free worker; the token it starts with lives as long. Afterwards it is queued anew,
        # as often as it takes. Those whose messages the broker lost are found by requeue-lost-tasks.
        ("scheduler", "task_queued_timeout"): "86400",
        ("scheduler", "task_queued_timeout_check_interval"): "30",
        ("scheduler", "num_stuck_in_queued_retries"): "1000",
        # Attempts while the broker is away. Each is cut off after a second; then a task costs no try but waits.
        ("celery", "task_publish_max_retries"): "1000000",
        # A message is redelivered after this time even if its task still runs: far above any task.
        ("celery_broker_transport_options", "visibility_timeout"): "604800",
        ("celery", "result_backend_sqlalchemy_engine_options"): json.dumps(RESULT_BACKEND_ENGINE),
        # Tokens are renewed with heartbeats; ten minutes do not outlast a failover of the database.
        ("execution_api", "jwt_expiration_time"): "3600",
        # api-server processes grow. gunicorn replaces each of them twice a day and starts the new one before it stops
        # the old one. It forks them from a process that has built the execution API (node_api_server.py); processes
        # that uvicorn starts are slow at their first call.
        ("api", "server_type"): "gunicorn",
        ("api", "worker_refresh_interval"): "43200",
    }
    if environment.task_slots is not None:
        # Each scheduler alone must be able to fill every worker.
        options["core", "parallelism"] = str(max(32, environment.task_slots))
        options["core", "default_pool_task_slot_count"] = str(max(128, environment.task_slots))
    return options


def managed_options(environment: NodeEnvironment) -> dict[tuple[str, str], str]:
    """What the cluster's parts rely on between each other; a stack file cannot change it."""
    shared = {
        ("core", "executor"): "CeleryExecutor",
        ("core", "auth_manager"): "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        ("core", "execution_api_server_url"): f"{api_server_url(environment.cluster)}/execution/",
        # Live logs are read from the node's address: nothing depends on names that DNS may not have.
        ("core", "hostname_callable"): "node_address.private_address",
        ("api", "base_url"): environment.web_url,
        ("api", "port"): str(API_SERVER_PORT),
        ("celery", "ssl_active"): "True",
        ("celery", "ssl_mutual_tls"): "False",
        ("logging", "remote_logging"): "True",
        ("logging", "remote_base_log_folder"): f"s3://{environment.task_logs_bucket}/airflow",
        ("logging", "remote_log_conn_id"): "aws_default",
        ("logging", "delete_local_logs"): "True",
        # The ports that the security groups open for live logs.
        ("logging", "worker_log_server_port"): "8793",
        ("logging", "trigger_log_server_port"): "8794",
        ("dag_processor", "dag_bundle_config_list"): json.dumps([_dag_bundle(environment)]),
        ("dag_processor", "dag_bundle_storage_path"): "/var/lib/airflow/bundles",
    }
    return shared | environment.role.definition.airflow_options(environment)


def _dag_bundle(environment: NodeEnvironment) -> dict[str, object]:
    return {
        "name": "dags",
        "classpath": "airflow.providers.amazon.aws.bundles.s3.S3DagBundle",
        "kwargs": {"aws_conn_id": "aws_default", "bucket_name": environment.dags_bucket, "prefix": ""},
    }


def master_options(environment: NodeEnvironment) -> dict[tuple[str, str], str]:
    """The managed options that only masters have."""
    return {
        ("database", "sql_alchemy_connect_args"): "node_database.CONNECT_ARGS",
        ("database", "sql_alchemy_connect_args_async"): "node_database.ASYNC_CONNECT_ARGS",
        ("celery", "celery_config_options"): "node_celery.CONFIG",
        # Airflow stores one time of the last refresh for all dag-processors. With an interval, the master that
        # refreshes first keeps the others from it, and they keep parsing their old files: changed DAGs alternate
        # between two versions, deleted ones come back. Without one, each master refreshes every
        # `bundle_refresh_check_interval`, 5 s. That takes one list request for each 1,000 files, 2.60 USD a month, and
        # 1 % of a core for 100 files, 9 % for 1,000.
        ("dag_processor", "refresh_interval"): "0",
        ("fab", "config_file"): "/usr/local/lib/airflow/python/webserver_config.py",
        ("fab", "cookie_secure"): str(environment.secure_cookies),
        # The database step does it, once and under its lock; two api-servers at a time would collide.
        ("fab", "update_fab_perms"): "False",
    }


def worker_options(environment: NodeEnvironment) -> dict[tuple[str, str], str]:
    """The managed options that only workers have."""
    return {
        ("celery", "celery_config_options"): "worker_celery.CONFIG",
        ("celery", "worker_concurrency"): str(environment.worker_pool.concurrency),
        # The masters reckon with it; and the tasks that a node has to end are found as processes of their own.
        ("celery", "worker_autoscale"): "",
        ("celery", "pool"): "prefork",
    }
