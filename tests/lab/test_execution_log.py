from __future__ import annotations

from lab.execution_log import Execution, parse


def test_a_try_that_was_executed_twice_is_counted_twice():
    tries = [f"executions/python_heavy/soak-0001/load/-1/{number}/" for number in (1, 1, 2)]
    counted = parse(f"{tried}{unique}" for unique, tried in enumerate(tries))
    first, second = (
        Execution(dag_id="python_heavy", run_id="soak-0001", task_id="load", map_index=-1, try_number=number)
        for number in (1, 2)
    )
    assert counted == {first: 2, second: 1}
