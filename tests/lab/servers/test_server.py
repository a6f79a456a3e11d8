"""What all servers have in common: endpoints, and the order in which they start."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from engine.recording import Recording
from lab.addresses import SUBNET, AddressPlan, plan_addresses
from lab.progress import LabError
from lab.security_groups import GROUP as SECURITY_GROUP
from lab.servers.dnsmasq import Dnsmasq
from lab.servers.haproxy import HAProxy
from lab.servers.metadata_service import MetadataService
from lab.servers.moto import Moto
from lab.servers.postgresql import PostgreSQL
from lab.servers.server import Endpoint, Server, Site, boot
from lab.servers.valkey import Valkey


def site(recording: Recording) -> Site:
    """A site without a namespace."""
    root = SimpleNamespace(path="/root")
    namespace = SimpleNamespace(view=lambda path: path)
    return cast(
        Site, SimpleNamespace(recording=recording, plan=plan_addresses(recording), namespace=namespace, root=root)
    )


@pytest.fixture(params=["recording", "public"])
def made(request: pytest.FixtureRequest) -> tuple[Recording, list[Server]]:
    """A stack, and the servers of its lab."""
    recording: Recording = request.getfixturevalue(request.param)
    here = site(recording)
    servers = [MetadataService(here), HAProxy(here), Moto(here), PostgreSQL(here), Valkey(here)]
    return recording, [*servers, Dnsmasq(here, [])]


def endpoints(servers: Sequence[Server]) -> list[Endpoint]:
    return [endpoint for server in servers for endpoint in server.endpoints()]


def test_every_endpoint_has_an_address_of_its_own(made: tuple[Recording, list[Server]]):
    _, servers = made
    addresses = [endpoint.address for endpoint in endpoints(servers)]
    assert len(set(addresses)) == len(addresses)


def test_every_name_leads_to_one_endpoint(made: tuple[Recording, list[Server]]):
    _, servers = made
    names = [name for endpoint in endpoints(servers) for name in endpoint.names]
    assert len(set(names)) == len(names) >= 3


def test_a_server_lies_in_a_subnet_of_its_tier(made: tuple[Recording, list[Server]]):
    recording, servers = made
    plan = plan_addresses(recording)
    tiers = {subnet.id: subnet.inputs["tags"]["airflow:tier"] for subnet in recording.of_type(SUBNET)}
    found = {
        server.name: tiers[plan.subnet_of(endpoint.address).id]
        for server in servers
        for endpoint in server.endpoints()
        if server.name in ("postgresql", "valkey")
    }
    assert found == {"postgresql": "data", "valkey": "data"}


def test_the_load_balancer_of_the_masters_lies_in_a_private_subnet(recording: Recording, plan: AddressPlan):
    tiers = {subnet.id: subnet.inputs["tags"]["airflow:tier"] for subnet in recording.of_type(SUBNET)}
    assert {tiers[plan.subnet_of(address).id] for address in plan.load_balancers.values()} == {"private"}


@pytest.mark.parametrize(("kind", "group"), [(PostgreSQL, "database"), (Valkey, "broker"), (HAProxy, "internal-web")])
def test_a_server_has_the_security_groups_that_the_program_gave_it(
    recording: Recording, kind: Callable[[Site], Server], group: str
):
    groups = recording.of_type(SECURITY_GROUP)
    [wanted] = [each.id for each in groups if each.name.endswith(f"-{group}")]
    found = {each for endpoint in kind(site(recording)).endpoints() for each in endpoint.security_groups}
    assert found == {wanted}


def test_the_secret_that_rds_manages_has_the_admins_password(recording: Recording):
    server = PostgreSQL(site(recording))
    [value] = server.secrets().values()
    assert server.database.admin_password in json.loads(value).values()


class FakeServer(Server):
    """A server that takes part in a boot."""

    def __init__(self, name: str, events: list[str], *, needs: tuple[str, ...] = ()) -> None:
        self.name, self.needs, self._events = name, needs, events
        self.may_start = threading.Event()
        self.may_start.set()

    def command(self) -> Sequence[str]:
        return ()

    def install(self) -> None:
        self._events.append(f"{self.name} installed")

    def start(self) -> None:
        assert self.may_start.wait(5), "the others did not start at the same time"
        self._events.append(f"{self.name} started")


def test_a_server_starts_after_those_that_it_needs():
    events: list[str] = []
    first, second = FakeServer("first", events), FakeServer("second", events, needs=("first",))
    first.may_start.clear()
    threading.Timer(0.1, first.may_start.set).start()
    boot([first, second])
    assert events.index("first started") < events.index("second started")


def test_servers_that_do_not_need_each_other_start_at_the_same_time():
    events: list[str] = []
    first, second = FakeServer("first", events), FakeServer("second", events)
    first.may_start.clear()
    second.start = lambda: first.may_start.set()  # type: ignore[method-assign]
    boot([first, second])
    assert "first started" in events


def test_a_server_that_does_not_start_fails_the_boot():
    broken = FakeServer("broken", [])

    def fail() -> None:
        raise LabError("no port is free")

    broken.start = fail  # type: ignore[method-assign]
    with pytest.raises(LabError, match="no port is free"):
        boot([broken, FakeServer("second", [], needs=("broken",))])
