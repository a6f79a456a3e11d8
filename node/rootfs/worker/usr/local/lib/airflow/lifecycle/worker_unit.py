"""airflow-worker.service, through systemd."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from airflow_node import log

from lifecycle.action import DONE, Outcome, Result
from lifecycle.observation import Unit

NAME = "airflow-worker.service"
ADMISSION = "airflow-admission.service"
SHUTDOWN = "shutdown.target"
TIMEOUT_SECONDS = 5.0

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def run_command(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command that is not worth waiting for long."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)


class WorkerUnit:
    """Looks at the worker's unit and controls it. Nothing here waits for a job to end."""

    def __init__(self, run: Run = run_command) -> None:
        self._run = run

    def look(self) -> tuple[Unit | None, bool]:
        """The unit, None if systemd does not answer, and whether the machine is shutting down."""
        shown = self._systemctl("show", "--property=Id,ActiveState,MainPID,Job", NAME, SHUTDOWN)
        if shown is None or shown.returncode != 0:
            return None, False
        units = {unit["Id"]: unit for unit in map(_properties, shown.stdout.split("\n\n")) if "Id" in unit}
        if NAME not in units:
            return None, False
        worker, shutdown = units[NAME], units.get(SHUTDOWN, {})
        stopping = shutdown.get("ActiveState") == "active" or bool(shutdown.get("Job"))
        unit = Unit(
            active_state=worker["ActiveState"], main_pid=int(worker.get("MainPID", 0)), has_job=bool(worker.get("Job"))
        )
        return unit, stopping

    def admission_seconds(self) -> float:
        """For how long the worker was held back before its start; 0 if systemd does not answer."""
        names = ("ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic")
        shown = self._systemctl("show", f"--property={','.join(names)}", ADMISSION)
        times = _properties(shown.stdout) if shown is not None else {}
        started, ended = (int(times.get(name, 0)) / 1e6 for name in names)
        return max(0.0, ended - started)

    def start(self) -> Result:
        """Start the worker."""
        return self._control("start", NAME)

    def stop(self) -> Result:
        """Let the worker finish what it has, and end."""
        return self._control("stop", NAME)

    def restart(self) -> Result:
        """Let the worker end, and start it again."""
        return self._control("restart", NAME)

    def power_off(self) -> Result:
        """Turn the machine off. As `systemctl poweroff` does it, but without asking logind for permission."""
        return self._control("start", "--job-mode=replace-irreversibly", "poweroff.target")

    def _control(self, verb: str, *arguments: str) -> Result:
        done = self._systemctl(verb, "--no-block", *arguments)
        if done is None:
            return Result(Outcome.FAILED, "systemd does not answer")
        return DONE if done.returncode == 0 else Result(Outcome.FAILED, log.one_line(done.stderr))

    def _systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str] | None:
        try:
            return self._run(["systemctl", *arguments])
        except (OSError, subprocess.TimeoutExpired):
            # Also if no process can be started because memory or process ids have run out.
            return None


def _properties(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
