"""The estimate of how long `pulumi up` takes, and the chain of resources that decides it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from engine.program import deploy
from plan import durations
from tests.stack_variants import recorded


def lines(program: Callable[[], Any]) -> list[str]:
    return durations.lines(deploy(program)[1])


def a_database(**more: Any) -> aws.rds.Instance:
    return aws.rds.Instance("database", instance_class="db.t4g.small", **more)


def test_the_longest_chain_decides_and_not_the_longest_list():
    def program() -> None:
        subnet = aws.ec2.Subnet("subnet", vpc_id=aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16").id)
        database = a_database(db_subnet_group_name=aws.rds.SubnetGroup("group", subnet_ids=[subnet.id]).name)
        aws.ssm.Parameter("address", type="String", value=database.address)
        for number in range(9):
            aws.ec2.NatGateway(f"nat-{number}", subnet_id=subnet.id)

    headline, chain = lines(program)
    assert chain == "  longest chain: vpc -> subnet -> group -> database (3 to 8 min) -> address"
    assert headline.startswith("`pulumi up` takes about 3 to 9 minutes, then nodes boot")
    assert "not measured" in headline


def test_resources_that_wait_for_each_other_add_up():
    def program() -> None:
        gateway = aws.ec2.NatGateway("nat", subnet_id="subnet-1")
        a_database(opts=pulumi.ResourceOptions(depends_on=[gateway]))

    assert lines(program)[1] == "  longest chain: nat (1 to 2 min) -> database (3 to 8 min)"
    estimate = durations.creation(deploy(program)[1])
    assert estimate is not None
    assert (estimate.fast, estimate.slow) == pytest.approx((4.7, 10.1))


def test_a_standby_takes_longer():
    assert "(8 to 20 min)" in lines(lambda: a_database(multi_az=True))[1]


def test_nothing_is_said_where_everything_takes_seconds():
    assert lines(lambda: aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")) == []
    assert durations.creation(deploy(lambda: None)[1]) is None


@pytest.mark.parametrize(("stack", "decides"), [("prod", "database-instance"), ("dev", "broker-replication-group")])
def test_database_or_broker_decides_and_the_masters_wait_for_it(stack: str, decides: str):
    estimate = durations.creation(recorded(stack))
    assert estimate is not None
    assert [each.name for each in estimate.deciding] == [decides]
    assert "masters-group" in [each.name for each in estimate.chain]


def test_every_type_with_a_duration_is_one_that_the_program_creates():
    created = {each.type for each in recorded("prod").resources}
    assert durations.MINUTES.keys() <= created
