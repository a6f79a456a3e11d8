from __future__ import annotations

import json
from datetime import UTC, datetime

from lab.service_log import parse


def test_events_are_found_among_the_lines_of_other_programs():
    decision = {"event": "decision", "pool": "heavy", "to": 2}
    messages = [json.dumps(decision), "Started airflow-scaling.service.", "7", [1, 2]]
    journal = "\n".join(json.dumps({"__REALTIME_TIMESTAMP": "1500000", "MESSAGE": message}) for message in messages)
    [event] = parse(journal)
    assert (event.name, event.fields) == ("decision", decision)
    assert event.at == datetime.fromtimestamp(1.5, UTC)
