from __future__ import annotations

from lab.ledger import Execution, parse


def test_a_try_that_was_executed_twice_stands_twice_in_the_ledger():
    tries = [f"ledger/python_heavy/soak-0001/work/-1/{number}/" for number in (1, 1, 2)]
    counted = parse(f"{tried}{unique}" for unique, tried in enumerate(tries))
    work = {"dag_id": "python_heavy", "run_id": "soak-0001", "task_id": "work", "map_index": -1}
    assert counted == {Execution(**work, try_number=1): 2, Execution(**work, try_number=2): 1}
