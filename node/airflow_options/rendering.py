"""The Airflow options that the program sets on nodes, with their reasons. docs/airflow-options.md is made of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from node.airflow_options.node_option import Computed, NodeOption
from node.dag_bundles import config_list
from node.naming import API_SERVER_PORT, api_server_url

if TYPE_CHECKING:
    from node.environment import NodeEnvironment


def _default(section: str, option: str, value: str | Computed, reason: str) -> NodeOption:
    return NodeOption(section=section, option=option, value=value, reason=reason, locked=False)


def _locked(section: str, option: str, value: str | Computed, reason: str) -> NodeOption:
    return NodeOption(section=section, option=option, value=value, reason=reason, locked=True)


PLUGINS_FOLDER = "/usr/local/lib/airflow/plugins"
"""Where `airflow-plugins/` is on nodes."""

# Names and units of the arguments are libpq's; node_database.py has those of the metadata engines.
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


LARGEST_XCOM = 10 << 20
"""Bytes of JSON."""


def _slots(environment: NodeEnvironment, least: int) -> str | None:
    return None if environment.task_slots is None else str(max(least, environment.task_slots))


_API_RETRIES = (
    "A task retries its calls to the API, from its start to its last XCom, for 170 s if each attempt fails at once, "
    "and for 290 s if each runs into its time-out of 5 s. That outlasts a failover of the database."
)
_WAITING = (
    "A task may wait a day for a free worker, which is as long as its first token is valid. It is then queued again. "
    "Tasks whose message the broker has lost do not wait for that: requeue-lost-tasks finds them."
)
_GUNICORN = (
    "The processes of the api-server grow. gunicorn replaces each of them twice a day, and starts the new one before "
    "it stops the old one. It forks them from a process that has already built the execution API (node_api_server.py); "
    "processes that uvicorn starts are slow at their first call."
)
SECRETS_BACKEND = "node_secrets.CachedSecretsBackend"
TASKS_SECRETS_BACKEND = "airflow.secrets.environment_variables.EnvironmentVariablesBackend"
_BROKER_TLS = "The broker accepts only TLS, and a `rediss://` URL alone verifies nothing."
_LOG_FILENAME = (
    # Airflow's own, unless a name does not fit into one folder: the name of a file has at most 255 bytes.
    "{% macro folders(name) %}"
    "{{ name if name.encode()|length <= 247 else name|batch(60)|map('join')|join('/+') }}"
    "{% endmacro %}"
    "dag_id={{ folders(ti.dag_id) }}/run_id={{ folders(ti.run_id) }}/task_id={{ folders(ti.task_id) }}/"
    "{% if ti.map_index >= 0 %}map_index={{ ti.map_index }}/{% endif %}"
    "attempt={{ try_number|default(ti.try_number) }}.log"
)
_LIVE_LOG_PORT = "The security groups open this port for the logs of running tasks and triggers."

COMMON_OPTIONS = (
    _default("core", "default_task_retries", "1", "A lost message or a dead worker costs a task one try."),
    _default("core", "load_examples", "False", "The examples are no part of a production cluster."),
    _default(
        "core",
        "xcom_backend",
        "node_xcom.NodeXCom",
        "An XCom that is too large fails its task at once, with the reason. Airflow accepts any size, and then tries "
        "for minutes to send it, without a heartbeat (node_xcom.py).",
    ),
    _default(
        "common.io",
        "xcom_objectstorage_threshold",
        str(LARGEST_XCOM),
        "In bytes as JSON: larger XComs are refused; with `xcom_objectstorage_path` they are stored in S3. -1 is no "
        "limit. A call is repeated after 5 s; an XCom of this size takes the api-server about one.",
    ),
    _default(
        "scheduler",
        "task_instance_heartbeat_timeout",
        "180",
        "A dead worker's tasks fail after three minutes instead of five. A failover of the database takes up to two, "
        "in which no heartbeat is stored: a shorter time would fail every running task.",
    ),
    _default("workers", "execution_api_retries", "25", _API_RETRIES),
    _default("workers", "execution_api_retry_wait_max", "15", _API_RETRIES),
    _default(
        "workers",
        "max_failed_heartbeats",
        "1",
        "A heartbeat is retried as long as any other call. When it fails, the worker ends the task, because by then it "
        "may run on another worker.",
    ),
    _default(
        "scheduler",
        "orphaned_tasks_check_interval",
        "60",
        "Another scheduler adopts the tasks of one that failed after about a minute.",
    ),
    _default("scheduler", "task_queued_timeout", "86400", _WAITING),
    _default(
        "scheduler",
        "task_queued_timeout_check_interval",
        "30",
        "A task whose message is lost is queued again within a minute.",
    ),
    _default("scheduler", "num_stuck_in_queued_retries", "1000", "Waiting for a worker never fails a task."),
    _default(
        "celery",
        "task_publish_max_retries",
        "1000000",
        "While the broker is away, a task waits and loses no try. Each attempt is cut off after a second.",
    ),
    _default(
        "celery_broker_transport_options",
        "visibility_timeout",
        "604800",
        "After this time, the broker delivers a message again even if its task still runs. A week is longer than any "
        "task may run while its worker drains.",
    ),
    _default(
        "celery",
        "result_backend_sqlalchemy_engine_options",
        json.dumps(RESULT_BACKEND_ENGINE),
        "Connections that a failover of the database has cut are found before they are used, and within a minute if "
        "the server closed none of them.",
    ),
    _default(
        "execution_api",
        "jwt_expiration_time",
        "3600",
        "A task renews its token with its heartbeats. Airflow's ten minutes may end in a failover of the database.",
    ),
    _default("api", "server_type", "gunicorn", _GUNICORN),
    _default("api", "worker_refresh_interval", "43200", _GUNICORN),
    _locked("core", "executor", "CeleryExecutor", "The cluster's workers are Celery workers."),
    _locked(
        "core",
        "auth_manager",
        "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "The program creates its first user, and the nodes hold no configuration for any other.",
    ),
    _locked(
        "core",
        "execution_api_server_url",
        Computed(
            of=lambda node: f"{api_server_url(node.cluster)}/execution/",
            source="the private name of the internal load balancer",
        ),
        "Workers reach the execution API through the internal load balancer.",
    ),
    _locked(
        "core",
        "plugins_folder",
        PLUGINS_FOLDER,
        "Plugins come with the node's programs, from `airflow-plugins/` of this repository. No task can write there.",
    ),
    _locked(
        "core",
        "hostname_callable",
        "node_address.private_address",
        "The api-server reads live logs at the node's address, so nothing depends on names that DNS may not have.",
    ),
    _locked(
        "api",
        "base_url",
        Computed(of=lambda node: node.web_url, source="`airflow:web.domain`, or the internal load balancer's name"),
        "Links and redirects lead to the load balancer.",
    ),
    _locked("api", "port", str(API_SERVER_PORT), "The load balancers connect to this port."),
    _locked("celery", "ssl_active", "True", _BROKER_TLS),
    _locked("celery", "ssl_mutual_tls", "False", "ElastiCache uses no client certificates."),
    _locked("logging", "remote_logging", "True", "A task's log outlives its node."),
    _locked(
        "logging",
        "remote_base_log_folder",
        Computed(of=lambda node: f"s3://{node.task_logs_bucket}/airflow", source="the bucket for task logs"),
        "Nodes may write task logs to the stack's own bucket only.",
    ),
    _locked(
        "logging",
        "remote_log_conn_id",
        Computed(of=lambda _: None, source="no connection"),
        "Logs are read and written with the node's IAM role, whatever people enter as `aws_default` for their DAGs.",
    ),
    _locked("logging", "delete_local_logs", "True", "Logs are in S3; copies would fill the disk of the node."),
    _default(
        "logging",
        "logging_config_class",
        "node_logging.LOGGING_CONFIG",
        "Logs of any size are uploaded and shown: in parts, and the last 4 MiB. Airflow's own upload and display have "
        "the whole log in memory, and get that of a running task from its worker at each look (node_logging.py, "
        "task_logs.py, task_log_handler.py).",
    ),
    _locked("logging", "worker_log_server_port", "8793", _LIVE_LOG_PORT),
    _locked("logging", "trigger_log_server_port", "8794", _LIVE_LOG_PORT),
    _locked(
        "dag_processor",
        "dag_bundle_config_list",
        Computed(
            of=lambda node: config_list(node.dag_bundles, node.dags_bucket),
            source="`airflow:dagBundles`; by default one bundle named `dags`: the releases in the bucket for DAGs",
        ),
        "Masters and workers read the same releases, from a bucket that their IAM roles may read (release_bundle.py).",
    ),
    _default(
        "dag_processor",
        "min_file_process_interval",
        "120",
        "The files of a release never change, and those of a new one are parsed at once. Parsing them again finds only "
        "what they take from elsewhere, such as Variables. Airflow's 30 s would keep the masters busy with it.",
    ),
    _default(
        "dag_processor",
        "stale_bundle_cleanup_age_threshold",
        "0",
        "A node keeps the ten releases (`stale_bundle_cleanup_min_versions`) that it used last, and every one in use. "
        "Others are removed, however young, when it fetches one: they can be fetched again.",
    ),
    _locked(
        "dag_processor",
        "stale_bundle_cleanup_interval",
        "0",
        "Airflow's clean-up can be killed halfway, and a task would then use the half that is left. Nodes remove old "
        "releases themselves (release_store.py).",
    ),
    _locked(
        "dag_processor",
        "dag_bundle_storage_path",
        "/var/lib/airflow/bundles",
        "The systemd units let the services write there.",
    ),
)
"""The options of every node."""

MASTER_OPTIONS = (
    _default(
        "core",
        "parallelism",
        Computed(
            of=lambda node: _slots(node, 32), source="the task slots of all worker pools at `maxSize`, at least 32"
        ),
        "Each scheduler can fill every worker on its own.",
    ),
    _default(
        "core",
        "default_pool_task_slot_count",
        Computed(
            of=lambda node: _slots(node, 128), source="the task slots of all worker pools at `maxSize`, at least 128"
        ),
        "The default pool does not limit the worker pools. It applies when the database is created.",
    ),
    _default(
        "secrets",
        "backend",
        SECRETS_BACKEND,
        "Connections and variables are looked up in Secrets Manager first, under `<cluster>/connections/` and "
        "`<cluster>/variables/`, with a cache (node_secrets.py). An empty value leaves Secrets Manager out.",
    ),
    _default(
        "logging",
        "log_filename_template",
        _LOG_FILENAME,
        "Airflow's own paths, but a name that is too long for one folder becomes several: with Airflow's, a task "
        "cannot run if the id of its DAG or run has more than 248 bytes, or its own more than 247.",
    ),
    _locked(
        "database",
        "sql_alchemy_connect_args",
        "node_database.CONNECT_ARGS",
        "Connections that a failover of the database has cut end within a minute.",
    ),
    _locked(
        "database",
        "sql_alchemy_connect_args_async",
        "node_database.ASYNC_CONNECT_ARGS",
        "Connections that a failover of the database has cut end within a minute.",
    ),
    _locked(
        "celery",
        "celery_config_options",
        "node_celery.CONFIG",
        "Connections to the broker that a failover has cut end within seconds, and the pickled results of tasks are "
        "never loaded (node_celery.py).",
    ),
    _locked(
        "dag_processor",
        "refresh_interval",
        "0",
        "Airflow stores one time of the last refresh for all dag-processors: with an interval, a master would look for "
        "a new release only when no other has done so. Without one, each looks every `bundle_refresh_check_interval`, "
        "5 s, which is half a million requests and 0.20 USD a month.",
    ),
    _locked(
        "fab",
        "config_file",
        "/usr/local/lib/airflow/python/webserver_config.py",
        "Sessions are signed with a key that workers cannot read, and login attempts are counted in the broker "
        "(webserver_config.py).",
    ),
    _locked(
        "fab",
        "cookie_secure",
        Computed(of=lambda node: str(node.secure_cookies), source="True if `airflow:web.domain` is set"),
        "With a domain, the UI is HTTPS only.",
    ),
    _locked(
        "fab",
        "update_fab_perms",
        "False",
        "The step that prepares the database does it, once and under its lock; two api-servers would collide.",
    ),
)
"""The options that only masters have."""

WORKER_OPTIONS = (
    _default(
        "workers",
        "secrets_backend",
        TASKS_SECRETS_BACKEND,
        "Tasks ask the execution API for connections and variables. Without this option, each of them would also ask "
        "the backend in `secrets.backend` itself. This one adds nothing.",
    ),
    _locked(
        "celery",
        "celery_config_options",
        "worker_celery.CONFIG",
        "The same as on masters, and the modules with which a worker reports its tasks and refuses remote commands "
        "(worker_celery.py).",
    ),
    _locked(
        "celery",
        "worker_concurrency",
        Computed(
            of=lambda node: str(node.worker_pool.concurrency),
            source="`concurrency` or `taskMemoryGib` of the worker pool",
        ),
        "The masters calculate with it when they scale the pool.",
    ),
    _locked(
        "celery", "worker_autoscale", "", "The masters calculate with a fixed number of task slots for each worker."
    ),
    _locked(
        "celery",
        "pool",
        "prefork",
        "Each task is a process of its own, which a worker that drains can find and end.",
    ),
)
"""The options that only workers have."""

_OTEL = (
    "Metrics go to the node's vmagent. Only services of masters send them, not commands and not tasks: each process "
    "needs 0.2 s of processor time for it, is a set of series of its own, and waits 10 s at its end if nobody listens."
)
SERVICE_OPTIONS = (
    _default("metrics", "otel_on", "True", _OTEL),
    _default(
        "metrics",
        "legacy_names_on",
        "False",
        "The ids of DAGs and tasks are labels. Airflow's older names contain them, so every task would be a name.",
    ),
)
"""The options that only Airflow's services on masters have, if the stack has a monitor (`airflow:monitoring`)."""
