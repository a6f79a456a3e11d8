"""Writes docs/task.svg, how a task runs on the prod stack, with its recorded names and ports: `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from math import ceil
from textwrap import wrap

from docs.drawing import GREY, INK, LINE_HEIGHT, PADDING, Box, Colour, Content, Drawing, Point
from docs.stack_parts import BROKER, DATABASE, LOAD_BALANCER, StackParts
from engine.program import run_program
from engine.recording import Recording
from node.roles import Role

MARGIN, TOP, ROW_GAP, LANE, STEP_GAP = 16, 112, 42, 30, 8
COLUMNS = ((28, 180), (274, 190), (534, 130), (732, 152))
"""Left edge and width: who brings DAGs and runs tasks, what they pass through, the masters' services, the database."""

STRAIGHT = {
    1: (0, 0, 1),
    2: (0, 1, 2),
    3: (0, 2, 3),
    4: (1, 3, 2),
    5: (1, 2, 1),
    6: (1, 1, 0),
    8: (2, 0, 1),
    9: (2, 1, 2),
    10: (2, 2, 3),
    11: (3, 0, 1),
}
"""Each arrow within a row: its row, the column where it begins, and the one where it ends."""

STEPS = (
    "The publisher uploads a folder of DAGs as a release, and then makes it the current one.",
    "The dag-processor of each master fetches the current release, and parses its DAGs.",
    "It stores what it has found in Airflow's database.",
    "The scheduler finds DAG runs that are due, and in them the tasks that can start.",
    "It sends a message for each task to the task's queue.",
    "A worker of the pool that serves the queue takes the message when it can run one more task.",
    "The worker fetches the release with which the DAG run began, unless it has it already.",
    "The worker reports to the execution API: that the task starts, that it is alive, how it ended.",
    "The load balancer passes the requests to the api-server of a master.",
    "The api-server writes the task's state into the database.",
    "The worker uploads the task's log; the UI reads it from there.",
    "The worker's Celery stores the outcome of the message in a database of its own, which the scheduler reads.",
)


def diagram(recording: Recording) -> str:
    """The picture as SVG."""
    return _TaskDiagram(StackParts(recording)).svg()


class _TaskDiagram:
    """Four rows of boxes with numbered arrows between them, and below them what happens at each number."""

    def __init__(self, parts: StackParts) -> None:
        self._parts = parts
        self._masters, self._workers = parts.of_role(Role.MASTER), parts.of_role(Role.WORKER)
        self._environments = [parts.environment(group) for group in self._workers.members]
        self._pools = [_pool(environment) for environment in self._environments]
        [self._database], [self._broker] = parts.of_type(DATABASE), parts.of_type(BROKER)
        self._balancer = next(part for part in parts.of_type(LOAD_BALANCER) if part.members[0].inputs["internal"])
        self._steps = list(zip(STEPS, self._places(), strict=True))
        says = " ".join(f"{number}. {step} ({place})" for number, (step, place) in enumerate(self._steps, start=1))
        self._title = f"How a task runs on {parts.cluster}"
        self._drawing = Drawing(self._title, says)
        self._height = self._row_height()
        self._rows = [TOP + row * (self._height + ROW_GAP) for row in range(4)]

    def svg(self) -> str:
        self._drawing.text((MARGIN, 32), self._title, size=18, bold=True)
        says = "Names and ports are those of the resources that the program creates for the prod stack."
        self._drawing.text((MARGIN, 54), says, colour=GREY)
        self._draw_boxes()
        self._draw_services()
        workers = self._draw_pools()
        self._draw_arrows(workers)
        return self._drawing.svg(self._describe(workers.bottom + LANE + 38))

    def _places(self) -> Iterator[str]:
        """Where each step happens."""
        masters, workers = self._masters, self._workers
        database, broker = self._database.members[0].inputs["identifier"], self._broker.members[0].inputs
        in_database = f"{database}, port {self._parts.port(masters, self._database)}"
        exports = self._parts.recording.exports
        dags, bundles = exports["buckets"]["dags"], ", ".join(exports["dagPublisherPolicies"])
        yield f"s3://{dags}/<bundle>/releases/ and <bundle>/current.json; bundles: {bundles or 'none'}"
        yield f"s3://{dags}"
        yield in_database
        yield in_database
        yield f"{broker['replicationGroupId']}, port {self._parts.port(masters, self._broker)}"
        yield f"{broker['replicationGroupId']}, port {self._parts.port(workers, self._broker)}"
        yield f"s3://{dags}"
        yield self._environments[0]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
        yield f"{self._balancer.members[0].inputs['name']}, port {self._parts.port(self._balancer, masters)}"
        yield in_database
        yield self._environments[0]["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"]
        yield f"{database}, port {self._parts.port(workers, self._database)}"

    def _row_height(self) -> int:
        """Enough for three lines of text in each box, and for all worker pools beside three rows."""
        pools = sum(pool.height + PADDING for pool in self._pools) + LINE_HEIGHT + 10
        return max(LINE_HEIGHT * 3 + PADDING, ceil((pools - 2 * ROW_GAP) / 3))

    def _at(self, column: int, row: int, content: Content, *, rows: int = 1) -> Box:
        x, width = COLUMNS[column]
        height = self._rows[row + rows - 1] + self._height - self._rows[row]
        return self._drawing.box(content, Box(x, self._rows[row], width, height))

    def _draw_boxes(self) -> None:
        broker, database = self._broker.members[0].inputs, self._database.members[0].inputs
        messages = [f"{broker['engine'].capitalize()} {broker['engineVersion']}", f"port {broker['port']}"]
        rows = [f"PostgreSQL {database['engineVersion']}", f"port {database['port']}"]
        port = self._parts.port(self._workers, self._balancer)
        logs = self._environments[0]["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"].rpartition("/")[2]
        self._at(0, 0, Content("DAG publisher", ["make dags-publish,", "or a workflow"]))
        self._at(1, 0, Content("S3 bucket for DAGs", ["releases, and which", "of them is current"], Colour.STORAGE))
        self._at(1, 1, Content("Celery broker", messages, Colour.DATABASE))
        self._at(1, 2, Content("Internal load balancer", [f"port {port}"], Colour.NETWORK))
        self._at(1, 3, Content("S3 bucket for logs", [f"{logs}/"], Colour.STORAGE))
        self._at(3, 0, Content("Database", rows, Colour.DATABASE), rows=3)

    def _draw_services(self) -> None:
        x, width = COLUMNS[2]
        title, end = self._rows[0] - LINE_HEIGHT - PADDING, self._rows[2] + self._height
        around = Box(x - PADDING, title, width + 2 * PADDING, end + PADDING - title)
        self._drawing.area(around, "#fff7ed", "#f3d3ad")
        self._drawing.text((x, self._rows[0] - 9), "on each master", colour=GREY)
        services = {"dag-processor": "parses DAGs", "scheduler": "queues tasks", "api-server": "execution API, UI"}
        for row, (service, does) in enumerate(services.items()):
            self._at(2, row, Content(service, [does], Colour.COMPUTE))

    def _draw_pools(self) -> Box:
        """The worker pools, one below the other; returns the area around them."""
        x, width = COLUMNS[0]
        end = self._rows[3] + self._height
        around = Box(x - PADDING, self._rows[1], width + 2 * PADDING, end - self._rows[1])
        self._drawing.area(around, "#fff7ed", "#f3d3ad")
        self._drawing.text((x, around.y + LINE_HEIGHT), "worker pools", colour=GREY)
        y = around.y + LINE_HEIGHT + 10
        spare = (around.bottom - y - sum(pool.height + PADDING for pool in self._pools)) / len(self._pools)
        for pool in self._pools:
            self._drawing.box(pool, Box(x, round(y), width, round(pool.height + spare)))
            y += pool.height + spare + PADDING
        return around

    def _draw_arrows(self, workers: Box) -> None:
        """The arrows between neighbours in a row, then those that leave their row."""
        for number, (row, start, end) in STRAIGHT.items():
            left, right = sorted((start, end))
            span = workers.right if left == 0 < row else sum(COLUMNS[left]), COLUMNS[right][0]
            y = self._rows[row] + self._height / 2
            self._arrow(number, [(x, y) for x in (span if start < end else span[::-1])], (sum(span) / 2, y))
        below, lane = self._rows[0] + self._height, self._rows[1] - ROW_GAP / 2
        x, down = COLUMNS[1][0] + 24, workers.x + workers.width / 2
        self._arrow(7, [(x, below), (x, lane), (down, lane), (down, workers.y)], ((x + down) / 2, lane))
        bottom, database = workers.bottom + LANE, COLUMNS[3][0] + 76
        points = [(down, workers.bottom), (down, bottom), (database, bottom), (database, self._rows[2] + self._height)]
        self._arrow(12, points, ((down + database) / 2, bottom))

    def _arrow(self, number: int, points: Sequence[Point], middle: Point) -> None:
        self._drawing.arrow(points, f"{number}. {STEPS[number - 1]}")
        self._drawing.number(number, middle)

    def _describe(self, y: float) -> float:
        """What happens at each number, below the boxes; returns the height of the picture."""
        for number, (step, place) in enumerate(self._steps, start=1):
            self._drawing.number(number, (MARGIN + 12, y + 5))
            self._drawing.text((MARGIN + 36, y), step, colour=INK)
            self._drawing.text((MARGIN + 36, y + LINE_HEIGHT), place, colour=GREY)
            y += 2 * LINE_HEIGHT + STEP_GAP
        return y


def _pool(environment: dict[str, str]) -> Content:
    queues = wrap(f"queues: {environment['NODE_QUEUES'].replace(',', ', ')}", width=22)
    slots = f"{environment['NODE_CONCURRENCY']} tasks per worker"
    return Content(f"Pool {environment['NODE_POOL']}", [*queues, slots], Colour.COMPUTE)


if __name__ == "__main__":
    sys.stdout.write(diagram(run_program("prod")))
