from __future__ import annotations

from tests.node.programs import module

log = module("airflow_node.log")


def test_a_long_message_keeps_its_beginning_and_its_end():
    line = log.one_line("start\n" + "x" * 2000 + "\nend")
    assert len(line) < 420
    assert line.startswith("start x")
    assert line.endswith("x end")
