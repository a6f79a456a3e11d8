from __future__ import annotations

from pathlib import Path

from node.roles import Role
from tests.node import node_root, redis_server, supervised_tasks


def test_tasks_run_also_where_no_cgroup_can_be_made(broker: redis_server.Server, tmp_path: Path):
    """Another kernel, or a unit that was changed."""
    with supervised_tasks.running(broker, tmp_path, cgroups=tmp_path) as worker:
        worker.finish()
        worker.start_task().get(timeout=60)
        worker.end_daemons()
        assert "What tasks leave behind is not ended" in worker.log


def test_the_unit_lets_the_worker_make_cgroups(tmp_path: Path):
    root = node_root.build(tmp_path, Role.WORKER)
    (dropin,) = (root / node_root.UNITS / "airflow-worker.service.d").glob("*task-cgroups.conf")
    assert "Delegate=yes\nProtectControlGroups=no\n" in dropin.read_text()
    assert dropin.name > "10-hardening.conf", "systemd reads them in this order, and the last one decides"
