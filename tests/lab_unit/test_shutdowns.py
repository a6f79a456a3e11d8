"""What instances hold until they are off."""

from __future__ import annotations

from lab.aws.shutdowns import SECONDS_TO_SHUT_DOWN, Shutdowns


def test_what_belongs_to_an_instance_is_free_when_it_is_off():
    shutdowns, freed = Shutdowns(), []
    shutdowns.begin(0, lambda: freed.append("first"))
    shutdowns.begin(10, lambda: freed.append("second"))
    shutdowns.settle(SECONDS_TO_SHUT_DOWN - 1)
    assert freed == []
    shutdowns.settle(SECONDS_TO_SHUT_DOWN)
    assert freed == ["first"]
    shutdowns.settle(SECONDS_TO_SHUT_DOWN + 10)
    shutdowns.settle(SECONDS_TO_SHUT_DOWN + 10)
    assert freed == ["first", "second"]
