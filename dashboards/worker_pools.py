"""The dashboard of the worker pools: do they have the workers that their tasks need?"""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.alert_rules import recent_pass_seconds, watch
from dashboards.panels import EACH_BAR, Panel, choice, counts, frame, graph, recent, value, watched_graph


def dashboard() -> Dashboard:
    """The whole dashboard."""
    return frame(
        "worker-pools",
        "worker pools",
        "Do the worker pools have the workers that their tasks need? docs/scaling.md explains the decisions.",
        {"Workers": _workers(), "Tasks": _tasks(), "Scaling": _scaling()},
        variables=[choice("pool", "Worker pool", "airflow_pool_desired_workers", "pool")],
    )


def _of_pool(metric: str) -> str:
    return f"max by (pool) ({recent(_series(metric))})"


def _series(metric: str) -> str:
    return f'{metric}{{pool=~"$pool"}}'


def _workers() -> list[Panel]:
    sizes = {"desired": "desired", "needed": "needed", "in service": "in_service", "maximum": "maximum"}
    return [
        graph(
            "Size",
            "short",
            {f"{{{{pool}}}}: {word}": _of_pool(f"airflow_pool_{name}_workers") for word, name in sizes.items()},
            bad="in service below desired for longer than a boot; needed at the maximum.",
            mentions=["PoolTooSmall"],
            width=12,
        ),
        graph(
            "Workers by the state that they report",
            "short",
            {"{{pool}}: {{state}}": f"max by (pool, state) ({recent(_series('airflow_pool_workers'))}) > 0"},
            bad="starting for longer than a boot; not-consuming, unavailable or unknown. "
            "`retired` is the state of a cordoned worker.",
            empty="No worker",
            width=12,
        ),
        graph(
            "Workers that should take tasks and do not",
            "short",
            {"{{pool}}": _of_pool("airflow_pool_not_consuming_workers")},
            bad="any for minutes: they are restarted when their last task has ended.",
            alert=watch("WorkersDoNotConsume"),
        ),
        graph(
            "Workers on which tasks would fail",
            "short",
            {"{{pool}}": _of_pool("airflow_pool_unavailable_workers")},
            bad="any for minutes. Their logs have the reason, such as a disk that is full.",
        ),
        graph(
            "Pools whose launches fail",
            "short",
            {"{{pool}}": _of_pool("airflow_pool_launch_failing")},
            bad="1: AWS refuses to launch workers.",
            alert=watch("LaunchesFail"),
        ),
    ]


def _tasks() -> list[Panel]:
    kinds = ("running", "queued", "expected")
    own = '{worker_pool=~"$pool"}'
    return [
        graph(
            "Tasks",
            "short",
            {f"{{{{pool}}}}: {kind}": _of_pool(f"airflow_pool_{kind}_tasks") for kind in kinds},
            bad="queued for longer than a boot takes. Expected ones are those that the schedule lets expect soon.",
            width=12,
        ),
        graph(
            "Slots in use",
            "percentunit",
            {
                "{{worker_pool}}": f"sum by (worker_pool) (airflow_worker_active_tasks{own})"
                f" / sum by (worker_pool) (airflow_worker_slots{own})"
            },
            bad="all in use while tasks wait and the pool is at its maximum; few for hours: workers without use.",
            empty="No worker",
            width=12,
        ),
        watched_graph(
            "Age of the oldest queued task, by queue",
            "s",
            "{{queue}}",
            watch("TasksWaitTooLong"),
            bad="above the limit. All queues: the stack file says which pool consumes which.",
            empty="No task is queued or runs",
            width=12,
        ),
        counts(
            "Tasks that the broker lost, queued again",
            {"message {{message}}": f"sum by (message) (increase(airflow_lost_tasks_requeued_total{EACH_BAR}))"},
            bad="any. Their messages were gone, or taken by a worker that has ended.",
            mentions=["TasksLost"],
            width=12,
        ),
    ]


def _scaling() -> list[Panel]:
    leaving = 'action=~"scale-in|cordon|uncordon|terminate|report-unhealthy"'
    return [
        counts(
            "Decisions to raise a pool",
            {
                "{{pool}}: for the {{why}}": "sum by (pool, why) "
                f"(increase({_series('airflow_pool_raises_total')}{EACH_BAR}))"
            },
            bad="raises over and over, each soon after workers have left: idleSeconds is too short.",
            empty="No pool was raised",
            width=12,
        ),
        counts(
            "Workers that leave, or are cordoned",
            {
                "{{worker_pool}}: {{action}}": "sum by (worker_pool, action) "
                f'(increase(airflow_worker_actions_total{{worker_pool=~"$pool", {leaving}}}{EACH_BAR}))'
            },
            bad="report-unhealthy, or terminate without a spot notice.",
            empty="No worker",
            width=12,
        ),
        graph(
            "Duration of a boot",
            "s",
            {"{{pool}}": _of_pool("airflow_pool_boot_seconds")},
            bad="minutes more than before: tasks wait by as much, and scaling ahead of the schedule starts earlier.",
            empty="No boot was measured",
            width=8,
        ),
        counts(
            "Failures of scaling",
            {"{{what}}": f"sum by (what) (increase(airflow_scaling_errors_total{EACH_BAR}))"},
            bad="any that repeat: the journal of airflow-scaling has the reason.",
            empty="Nothing has failed",
            width=8,
        ),
        value(
            "Age of the last pass",
            "s",
            "time() - max(airflow_scaling_last_pass_timestamp_seconds)",
            bad="above the limit: no master scales, and alerts about pools are blind.",
            limit=recent_pass_seconds(),
        ),
        value(
            "Registry entries that are ignored",
            "none",
            f"max({recent('airflow_worker_board_ignored_entries')})",
            bad="any: reports of workers that cannot be read, from another release or forged by a task.",
            limit=0,
        ),
    ]
