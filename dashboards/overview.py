"""The dashboard for people on call: is it broken, and for whom?"""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.alert_rules import watch
from dashboards.panels import EACH_BAR, Panel, counts, frame, graph, recent, rows, value, watched, watched_graph

_UP = {0: "down", 1: "up"}
# A process that follows another one of the same service on the same node has its own `service_instance_id`.
_RESTARTS = (
    "count(count by (node, service_instance_id) (last_over_time({metric}[1h])))"
    " - count(count by (node) (last_over_time({metric}[1h])))"
)


def dashboard() -> Dashboard:
    """The whole dashboard."""
    return frame(
        "overview",
        "overview",
        "Is the cluster broken, and for whom? Thresholds are those of the alert rules.",
        {
            "Is it broken?": [
                _firing("critical", "something is broken for people or tasks, now or within hours."),
                _firing("warning", "something will break, or is broken for few. It can wait for the next day."),
                watched("API server", "none", watch("ApiServerDown"), words=_UP, bad="no master's API server answers."),
                watched("Database", "none", watch("DatabaseUnreachable"), words=_UP, bad="no master reaches it."),
                watched("Broker", "none", watch("BrokerUnreachable"), words=_UP, bad="no master reaches it."),
                value(
                    "Masters that send metrics",
                    "none",
                    'count(up{job="node", role="master"}) or vector(0)',
                    bad="none: the other panels are blind, or no master runs.",
                    limit=1,
                    bad_below=True,
                    alerts=["MastersSilent"],
                ),
                rows(
                    "Alerts that fire",
                    {"For": 'time() - ALERTS_FOR_STATE and ignoring (alertstate) ALERTS{alertstate="firing"}'},
                    columns={
                        "alertname": "Alert",
                        "severity": "Severity",
                        "dag_id": "DAG",
                        "pool": "Worker pool",
                        "queue": "Queue",
                        "service": "Service",
                        "role": "Role",
                        "node": "Node",
                    },
                    units={"For": "s"},
                    bad="any row. docs/alert-rules.md says what to do about each.",
                    empty="No alert fires",
                    width=24,
                ),
            ],
            "For whom: DAG runs and tasks": _work(),
            "Services of the masters": _services(),
            "Queues and workers": _queues(),
            "Database and broker": _stores(),
        },
    )


def _firing(severity: str, bad: str) -> Panel:
    expr = f'count(ALERTS{{alertstate="firing", severity="{severity}"}}) or vector(0)'
    return value(f"Alerts: {severity}", "none", expr, bad=bad, limit=0)


def _work() -> list[Panel]:
    failed = watch("DagRunFailed")
    return [
        counts(
            "DAG runs that ended",
            {
                "{{state}}": "sum by (state) (max by (dag_id, state) "
                f"(increase(airflow_dag_runs_finished_total{EACH_BAR})))"
            },
            bad="failed ones; no bars at all at an hour at which runs always end.",
        ),
        graph(
            "DAGs whose runs failed",
            "short",
            {"{{dag_id}}": f"topk(10, {failed.expr} > {failed.limit:g})"},
            bad="any line: a DAG with runs that failed in the last minutes.",
            alert=failed,
            empty="No run failed",
        ),
        counts(
            "Tries of tasks that ended",
            {
                "{{state}}": "sum by (state) (max by (dag_id, state) "
                f"(increase(airflow_tasks_finished_total{EACH_BAR})))"
            },
            bad="a share of failed or up_for_retry that is not usual.",
        ),
        graph(
            "DAG runs that are queued or run",
            "short",
            {"{{state}}": "sum by (state) (max by (dag_id, state) (airflow_dag_runs))"},
            bad="queued runs that only increase: the scheduler, max_active_runs or a paused DAG holds them.",
            empty="No run is queued or runs",
        ),
        graph(
            "Deadlines missed in the last 24 hours",
            "short",
            {"{{dag_id}}": f"topk(10, {watch('DeadlineMissed').expr})"},
            bad="any line.",
            alert=watch("DeadlineMissed"),
            empty="No deadline was missed",
        ),
        watched_graph(
            "DAG files that cannot be imported",
            "short",
            "{{bundle}}",
            watch("DagImportErrors"),
            bad="more than none: their DAGs keep the last version, or do not exist.",
        ),
    ]


def _services() -> list[Panel]:
    restarts = {
        name: _RESTARTS.format(metric=f"airflow_{metric}_heartbeat_total")
        for name, metric in {
            "scheduler": "scheduler",
            "dag-processor": "dag_processor",
            "triggerer": "triggerer",
        }.items()
    }
    loop = "airflow_scheduler_scheduler_loop_duration_milliseconds"
    return [
        watched_graph(
            "Age of the newest heartbeat",
            "s",
            "{{service}}",
            watch("HeartbeatMissing"),
            bad="above the limit: no master's service of this kind is alive.",
            mentions=["HeartbeatInTheFuture"],
        ),
        graph(
            "Restarts within an hour",
            "short",
            restarts,
            bad="more than none without an update: the service fails or hangs, and is started again.",
        ),
        graph(
            "Duration of a scheduler's loop",
            "ms",
            {
                "{{node}}": f"sum by (node) (rate({loop}_sum[$__rate_interval]))"
                f" / sum by (node) (rate({loop}_count[$__rate_interval]))"
            },
            bad="seconds: tasks start late by as much.",
        ),
        rows(
            "Checks that fail",
            {"": "min by (role, node, worker_pool, check) (airflow_node_check) == 0"},
            columns={"check": "Check", "role": "Role", "node": "Node", "worker_pool": "Worker pool"},
            bad="any row. The same check on all nodes: what they have in common; on one node: that node.",
            alerts=["ApiServerDown", "NodeUnhealthy"],
            empty="All checks pass",
        ),
        watched_graph(
            "Releases of DAGs on the masters",
            "short",
            "{{bundle}}",
            watch("DagReleasesDiffer"),
            bad="more than one for long: a master cannot get the current release.",
            empty="No bundle with releases",
            width=12,
        ),
    ]


def _queues() -> list[Panel]:
    return [
        graph(
            "Queued tasks",
            "short",
            {"{{queue}}": 'max by (queue) (airflow_queue_tasks{state="queued"})'},
            bad="a queue that only grows.",
            empty="No task is queued or runs",
            width=6,
        ),
        watched_graph(
            "Age of the oldest queued task",
            "s",
            "{{queue}}",
            watch("TasksWaitTooLong"),
            bad="above the limit: people wait for these tasks.",
            empty="No task is queued or runs",
            width=6,
        ),
        graph(
            "Workers",
            "short",
            {"{{pool}}, {{state}}": f"max by (pool, state) ({recent('airflow_pool_workers')}) > 0"},
            bad="not-consuming, unavailable or unknown ones; none while tasks wait.",
            mentions=["WorkersDoNotConsume", "LaunchesFail", "PoolTooSmall"],
            empty="No worker",
            width=6,
        ),
        watched_graph(
            "Tasks in queues without a worker pool",
            "short",
            "{{queue}}",
            watch("QueueWithoutPool"),
            bad="any: they wait for ever.",
            empty="Every queue has a worker pool",
            width=6,
        ),
    ]


def _stores() -> list[Panel]:
    return [
        watched_graph(
            "Connections to the database in use",
            "percentunit",
            "in use",
            watch("DatabaseConnectionsShort"),
            bad="near the limit: new tasks and pages fail when all are in use.",
            width=6,
        ),
        watched_graph(
            "Age of the oldest transaction id",
            "short",
            "transactions",
            watch("TransactionIdsRunOut"),
            bad="above the limit: vacuum does not keep up, and PostgreSQL will refuse writes.",
            width=6,
        ),
        watched_graph(
            "Tasks that the broker lost, queued again within half an hour",
            "short",
            "tasks",
            watch("TasksLost"),
            bad="any: the broker was replaced, or its memory was full. The tasks are late, nothing else.",
            width=6,
        ),
        watched_graph(
            "Time until certificates expire",
            "s",
            "{{server}}",
            watch("CertificateExpires"),
            bad="below the limit: AWS has not renewed the certificate.",
            width=6,
        ),
    ]
