"""What a stack costs at rest: counted from the recorded resources, with a name for everything that has no price."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pulumi_aws as aws
import pytest

from aws_catalog import prices
from engine.program import deploy
from plan import __main__ as plan
from plan import costs
from tests.stack_file import changed
from tests.stack_variants import VARIANTS, program, recorded


def charged(source: str | Callable[[], Any]) -> dict[str, float]:
    """The quantities by name of a variant, or of a program."""
    recording = recorded(source) if isinstance(source, str) else deploy(source)[1]
    found: dict[str, float] = {}
    for charge in costs.floor(recording).charges:
        found[charge.name] = found.get(charge.name, 0) + charge.quantity
    return found


def test_what_runs_all_the_time_in_the_prod_stack_is_counted():
    assert charged("prod") == {
        "m7i.large": 2,
        "m7i.xlarge": 1,
        "GB of EBS gp3": 2 * 30 + 50,
        "detailed monitoring": 3,
        "db.m7g.large": 2,
        "GB of RDS gp3": 2 * 100,
        "cache.m7g.large": 2,
        "NAT gateway": 3,
        "public IPv4 address": 3,
        "Application Load Balancer": 1,
        "hosted zone": 1,
        "secret": 9,
        "metric of an alarm": 2,
    }


def test_the_floor_is_the_sum_of_its_components():
    found = costs.floor(recorded("prod"))
    assert found.unpriced == []
    assert sum(usd for _, usd, _ in found.components()) == pytest.approx(found.monthly)
    shares = {name: usd for name, usd, _ in found.components()}
    assert shares["database"] == pytest.approx(2 * 0.168 * 730 + 200 * 0.115)
    assert list(shares) == sorted(shares, key=lambda name: -shares[name])


def test_a_pause_saves_the_nodes_with_their_disks_and_the_databases_instances_without_its_storage():
    nodes = 2 * 0.1008 * 730 + 0.2016 * 730 + (2 * 30 + 50) * 0.08 + 3 * 2.1
    assert costs.pausable(recorded("prod")) == pytest.approx(nodes + 2 * 0.168 * 730)


def test_a_public_load_balancer_has_an_address_in_each_zone():
    more = {name: count - charged("domain").get(name, 0) for name, count in charged("public").items()}
    assert more["Application Load Balancer"] == 1
    assert more["public IPv4 address"] == 3


def test_an_alarm_is_charged_by_its_metrics():
    found = costs.floor(program(changed({"airflow:alerts": VARIANTS["alerts"]["airflow:alerts"]}))).charges
    # README's numbers.
    assert sum(charge.quantity for charge in found if charge.name == "metric of an alarm") == 41
    assert sum(charge.quantity for charge in found if charge.name == "KMS key") == 1


def test_an_interface_endpoint_is_charged_in_each_of_its_subnets_and_a_gateway_endpoint_is_free():
    assert charged("endpoints")["interface endpoint in a subnet"] == 2 * 3
    assert "interface endpoint in a subnet" not in charged("prod")


def test_the_monitors_node_and_volume_are_counted():
    monitor = {each.name for each in costs.floor(recorded("monitoring")).charges if "monitor" in each.component}
    assert "t4g.small" in monitor
    assert charged("monitoring")["GB of EBS gp3"] > charged("prod")["GB of EBS gp3"] + 20


def test_spot_nodes_have_no_price_and_are_named():
    changes = {"airflow:workerPools.default.minSize": 1, "airflow:workerPools.default.spotPercent": 100}
    recording = program(changed(changes, stack="dev"))
    found = costs.floor(recording)
    assert [str(charge) for charge in found.unpriced] == ["1 x t3.medium spot"]
    assert "  not in the table of prices: 1 x t3.medium spot" in costs.lines(recording, "eu-west-1")


def test_a_type_without_a_price_is_named_and_left_out_of_the_sum():
    def a_database() -> None:
        aws.rds.Instance("database", instance_class="db.x2g.large", allocated_storage=100, storage_type="gp3")

    recording = deploy(a_database)[1]
    found = costs.floor(recording)
    assert [charge.name for charge in found.unpriced] == ["db.x2g.large"]
    assert found.monthly == pytest.approx(11.5)
    assert costs.lines(recording, "us-east-1")[0].startswith("At rest the stack costs at least $12 a month")


def test_a_stack_without_anything_that_is_charged_for_has_no_line():
    assert costs.lines(deploy(lambda: aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16"))[1], "us-east-1") == []


def test_a_group_without_a_launch_template_of_its_own_is_named():
    def a_group() -> None:
        aws.autoscaling.Group("group", min_size=2, max_size=2)

    assert charged(a_group) == {"unknown instance type": 2}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_of_the_stack_has_a_floor(variant: str):
    assert costs.floor(recorded(variant)).monthly > 100


def test_the_region_is_named_where_the_prices_are_of_another():
    assert "; those of eu-west-1 differ: docs/cost.md" in costs.lines(recorded("prod"), "eu-west-1")[0]
    assert "differ" not in costs.lines(recorded("prod"), prices.region())[0]


@pytest.mark.parametrize(
    ("tasks", "size"),
    [
        (0, "mw1.small with 1 worker"),
        (5, "mw1.small with 1 worker"),
        (6, "mw1.small with 2 workers"),
        (125, "mw1.small with 25 workers"),
        (126, "mw1.medium with 13 workers"),
        (500, "mw1.large with 25 workers"),
    ],
)
def test_mwaa_is_the_cheapest_environment_for_as_many_tasks(tasks: int, size: str):
    environment = costs.mwaa(tasks)
    assert environment is not None
    assert environment.size == size


def test_mwaa_charges_for_workers_after_the_first():
    environment = costs.mwaa(16)
    assert environment is not None
    assert environment.monthly == pytest.approx((0.49 + 3 * 0.055) * 730)


def test_no_mwaa_environment_runs_more_tasks_than_its_most_workers():
    assert costs.mwaa(501) is None


def test_the_tasks_at_rest_are_those_of_the_workers_that_always_run():
    assert [costs.floor(recorded(stack)).tasks for stack in ("prod", "dev")] == [16, 0]


def test_the_plan_says_it_as_text_and_as_json(capsys: pytest.CaptureFixture[str]):
    assert plan.main(["--stack", "dev"]) == 0
    text = capsys.readouterr().out
    assert plan.main(["--stack", "dev", "--format", "json"]) == 0
    cost = json.loads(capsys.readouterr().out)["cost"]
    assert f"At rest the stack costs at least ${cost['monthlyUsd']:,.0f} a month" in text
    assert cost["pricesOf"] == prices.region()
    assert sum(cost["components"].values()) == pytest.approx(cost["monthlyUsd"], abs=0.05)
