"""The dashboard for authors of DAGs: how are my DAGs?"""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.alert_rules import watch
from dashboards.panels import EACH_BAR, Panel, choice, counts, frame, graph, rows, watched_graph

_OWN = 'dag_id=~"$dag_id"'


def dashboard() -> Dashboard:
    """The whole dashboard."""
    return frame(
        "dags",
        "DAGs",
        "How are my DAGs? The 200 DAGs that were active first have figures of their own, the others share (other).",
        {"Runs": _runs(), "Tasks": _tasks(), "Files and releases": _files()},
        variables=[choice("dag_id", "DAG", "airflow_dag_runs_finished_total", "dag_id")],
        since="now-2d",
    )


def _mean_seconds(timer: str, by: str, window: str) -> str:
    """The mean of one of Airflow's timers, of all runs that ended in the window."""
    name = f"airflow_{timer}_milliseconds"
    total, number = (f"sum by ({by}) (increase({name}_{part}{{{_OWN}}}[{window}]))" for part in ("sum", "count"))
    return f"{total} / ({number} > 0) / 1000"


def _ended(state: str) -> str:
    """Runs that ended so in the time that the dashboard shows."""
    return f'max by (dag_id) (increase(airflow_dag_runs_finished_total{{state="{state}", {_OWN}}}[$__range]))'


def _runs() -> list[Panel]:
    return [
        rows(
            "Runs in the shown time",
            {
                "Succeeded": _ended("success"),
                "Failed": _ended("failed"),
                "Mean duration of success": _mean_seconds("dagrun_duration_success", "dag_id", "$__range"),
            },
            columns={"dag_id": "DAG"},
            units={"Mean duration of success": "s"},
            bad="failed runs. Runs that were marked as ended by hand have no duration.",
            alerts=["DagRunFailed"],
        ),
        graph(
            "Runs that are queued or run",
            "short",
            {"{{dag_id}}: {{state}}": f"max by (dag_id, state) (airflow_dag_runs{{{_OWN}}})"},
            bad="queued ones that only increase: max_active_runs of the DAG holds them.",
            empty="No run is queued or runs",
            width=12,
        ),
        counts(
            "Runs that ended",
            {
                "{{dag_id}}: {{state}}": "max by (dag_id, state) "
                f"(increase(airflow_dag_runs_finished_total{{{_OWN}}}{EACH_BAR}))"
            },
            bad="failed ones; no bar at the time at which a run always ends.",
            mentions=["DagRunFailed"],
        ),
        graph(
            "Mean duration of the runs that succeeded within an hour",
            "s",
            {"{{dag_id}}": _mean_seconds("dagrun_duration_success", "dag_id", "1h")},
            bad="a duration that grows from run to run.",
            empty="No run succeeded",
        ),
        graph(
            "Mean delay until the first task of a scheduled run",
            "s",
            {"{{dag_id}}": _mean_seconds("dagrun_first_task_scheduling_delay", "dag_id", "1h")},
            bad="minutes: the queue has too few workers, or the scheduler is late. Runs of the last hour count.",
            empty="No scheduled run ended",
        ),
    ]


def _tasks() -> list[Panel]:
    return [
        counts(
            "Tries of tasks that ended",
            {
                "{{dag_id}}: {{state}}": "max by (dag_id, state) "
                f"(increase(airflow_tasks_finished_total{{{_OWN}}}{EACH_BAR}))"
            },
            bad="failed; up_for_retry that repeat: something on which the tasks depend is unstable.",
        ),
        graph(
            "Deadlines missed in the last 24 hours",
            "short",
            {"{{dag_id}}": f"max by (dag_id) (airflow_deadlines_missed{{{_OWN}}})"},
            bad="any.",
            alert=watch("DeadlineMissed"),
            empty="No deadline was missed",
        ),
        graph(
            "Free slots of Airflow's pools",
            "short",
            {"{{pool_name}}": "max by (pool_name) (airflow_pool_open_slots)"},
            bad="none for long: tasks of this pool wait, although workers are free. Pools are those of the UI, not "
            "worker pools.",
        ),
    ]


def _files() -> list[Panel]:
    return [
        graph(
            "Time since the DAG was parsed that waits longest for it",
            "s",
            {"{{bundle}}": "max by (bundle) (airflow_dag_last_parse_age_seconds)"},
            bad="much more than the usual pace of the bundle: changes of its DAGs take as long to be seen.",
        ),
        watched_graph(
            "Files that cannot be imported",
            "short",
            "{{bundle}}",
            watch("DagImportErrors"),
            bad="any. The UI has the traceback.",
        ),
        rows(
            "Releases that the masters have",
            {"Masters": "count by (bundle, version) (airflow_dag_release_info)"},
            columns={"bundle": "Bundle", "version": "Release"},
            bad="two releases of a bundle for long: a master cannot get the current one.",
            alerts=["DagReleasesDiffer"],
            empty="No bundle with releases",
            width=8,
        ),
    ]
