"""A picture of one trace as SVG: waits and workers over time, by policy. Equal outcomes give equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import pairwise

from bench.scaling import oracle
from bench.scaling.outcome import Comparison, Outcome
from bench.scaling.work import Trace

WIDTH, LEFT, RIGHT = 960, 64, 20
PANEL_HEIGHT, GAP, TOP, BOTTOM = 210, 46, 100, 44
HEIGHT = TOP + 2 * PANEL_HEIGHT + GAP + BOTTOM
COLOURS = {"this project": "#0b62c4", "KEDA + HPA": "#d9480f", "MWAA": "#2b8a3e", "Turbine": "#868e96"}
NEED_COLOUR = "#ffe8a3"
# A wait is shown at the time when its task became ready; of each of these spans, only the longest.
BUCKET_SECONDS = 60.0

Points = Sequence[tuple[float, float]]


def draw(comparison: Comparison) -> str:
    """The whole picture."""
    trace = comparison.trace
    waits = {name: _waits(outcome, trace) for name, outcome in comparison.outcomes.items()}
    # The waits of the slowest policy would flatten all others; the picture says what is cut off.
    shown = [wait for name, points in waits.items() if name != "Turbine" for _, wait in points]
    top_wait = _round_up(max(shown, default=1.0))
    workers = {name: _workers(outcome, trace) for name, outcome in comparison.outcomes.items()}
    need = _need(trace)
    top_workers = _round_up(max(count for points in (*workers.values(), need) for _, count in points))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 24, f"Trace “{trace.name}”: {_hours_text(trace)}", size=17),
        *_legend(comparison),
    ]
    upper, lower = Panel(trace, TOP, top_wait), Panel(trace, TOP + PANEL_HEIGHT + GAP, top_workers)
    parts += upper.frame("longest wait of the tasks that got ready in each minute, seconds (Turbine's may lie above)")
    parts += [upper.line(points, COLOURS[name]) for name, points in reversed(waits.items())]
    parts.append(lower.area(need, NEED_COLOUR))
    parts += lower.frame(
        "workers, from the request to the end (area: what a clairvoyant with instant boots would have)"
    )
    parts += [lower.steps(points, COLOURS[name]) for name, points in reversed(workers.items())]
    parts += lower.hours()
    return "\n".join([*parts, "</svg>", ""])


class Panel:
    """One of the two diagrams."""

    def __init__(self, trace: Trace, top: float, highest: float) -> None:
        self._window = trace.window
        self._top = top
        self._highest = highest

    def frame(self, title: str) -> list[str]:
        """Title and horizontal lines with their values."""
        parts = [_text(LEFT, self._top - 8, title, colour="#333")]
        for step in range(5):
            value = self._highest * step / 4
            y = self._y(value)
            parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd" fill="none"/>')
            parts.append(_text(LEFT - 8, y + 4, f"{value:g}", anchor="end", colour="#555"))
        return parts

    def line(self, points: Points, colour: str) -> str:
        """Joined points."""
        return self._path(" ".join(f"{self._x(at):.1f},{self._y(value):.1f}" for at, value in points), colour)

    def steps(self, points: Points, colour: str) -> str:
        """A value that holds until the next one."""
        return self._path(" ".join(self._corners(points)), colour)

    def area(self, points: Points, colour: str) -> str:
        """The surface under a value that holds until the next one."""
        start, end = self._x(self._window[0]), self._x(self._window[1])
        bottom = self._y(0)
        corners = " ".join(self._corners(points))
        return f'<polygon points="{start:.1f},{bottom:.1f} {corners} {end:.1f},{bottom:.1f}" fill="{colour}"/>'

    def hours(self) -> list[str]:
        """The time axis."""
        begin, end = self._window
        hour = 3600.0 if end - begin <= 5 * 3600 else 7200.0
        first = -(-begin // hour) * hour
        marks = [first + number * hour for number in range(int((end - first) // hour) + 1)]
        y = self._top + PANEL_HEIGHT
        parts = [_text(self._x(at), y + 20, _clock(at), anchor="middle", colour="#555") for at in marks]
        return [*parts, _text(LEFT, y + 38, "time of the trace", colour="#333")]

    def _corners(self, points: Points) -> Iterator[str]:
        ends = [at for at, _ in points[1:]] + [self._window[1]]
        for (begin, value), end in zip(points, ends, strict=True):
            y = self._y(value)
            yield f"{self._x(begin):.1f},{y:.1f} {self._x(end):.1f},{y:.1f}"

    def _path(self, corners: str, colour: str) -> str:
        return (
            f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>'
        )

    def _x(self, at: float) -> float:
        begin, end = self._window
        return LEFT + (min(max(at, begin), end) - begin) / (end - begin) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return self._top + PANEL_HEIGHT * (1 - min(value, self._highest) / self._highest)


def _legend(comparison: Comparison) -> Iterator[str]:
    for number, (name, outcome) in enumerate(comparison.outcomes.items()):
        x, y = LEFT + number % 2 * (WIDTH - LEFT) // 2, 44 + number // 2 * 20
        waited, killed = f"{outcome.p95_wait:.0f} s p95 wait", f"{outcome.killed} tasks killed"
        yield f'<path d="M{x} {y - 4}h16" stroke="{COLOURS[name]}" stroke-width="3"/>'
        yield _text(x + 22, y, f"{name}: {waited}, {outcome.hours:.0f} instance-hours, {killed}")


def _waits(outcome: Outcome, trace: Trace) -> Points:
    longest: dict[int, float] = {}
    for queued_at, wait in outcome.record.waits:
        bucket = int(queued_at // BUCKET_SECONDS)
        longest[bucket] = max(longest.get(bucket, 0.0), wait)
    begin, end = (int(edge // BUCKET_SECONDS) for edge in trace.window)
    return [(bucket * BUCKET_SECONDS, longest.get(bucket, 0.0)) for bucket in range(begin, end + 1)]


def _workers(outcome: Outcome, trace: Trace) -> Points:
    return _within(_changes((at, float(workers)) for at, workers, _ in outcome.record.samples), trace.window)


def _need(trace: Trace) -> Points:
    """The largest number of the oracle's workers in each minute: one step per task would make thousands."""
    highest: dict[float, float] = {}
    steps = [*oracle.need(trace), (trace.seconds, 0)]
    for (begin, count), (end, _) in pairwise(steps):
        for bucket in range(int(begin // BUCKET_SECONDS), int(end // BUCKET_SECONDS) + 1):
            at = bucket * BUCKET_SECONDS
            highest[at] = max(highest.get(at, 0.0), float(count))
    return _within(_changes(highest.items()), trace.window)


def _changes(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    changed: list[tuple[float, float]] = []
    for at, value in points:
        if not changed or changed[-1][1] != value:
            changed.append((at, value))
    return changed


def _within(points: Points, window: tuple[float, float]) -> list[tuple[float, float]]:
    """The points of the window, with the value that it begins with."""
    first = [value for at, value in points if at <= window[0]]
    inside = [(at, value) for at, value in points if window[0] < at <= window[1]]
    return [(window[0], first[-1] if first else 0.0), *inside]


def _round_up(value: float) -> float:
    """The next value whose quarters read well."""
    for step in (4, 8, 12, 20, 40, 60, 80, 120, 160, 200, 240, 320, 400, 600, 800, 1200, 2000, 4000, 8000):
        if value <= step:
            return float(step)
    return value


def _hours_text(trace: Trace) -> str:
    return f"{(trace.window[1] - trace.window[0]) / 3600:.1f} of {trace.seconds / 3600:.0f} hours"


def _clock(at: float) -> str:
    day, rest = divmod(int(at), 86_400)
    return f"day {day + 1}, {rest // 3600:02}:{rest % 3600 // 60:02}"


def _text(x: float, y: float, text: str, *, size: float = 13, anchor: str = "start", colour: str = "#111") -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size:g}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(text)}</text>"
    )
