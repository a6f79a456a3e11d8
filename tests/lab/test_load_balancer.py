"""The program's load balancers as HAProxy's configuration."""

from __future__ import annotations

import re
import shlex
from ipaddress import IPv4Address

from engine.recording import Recording
from lab.addresses import LOAD_BALANCER, AddressPlan, plan_addresses
from lab.servers.haproxy import configuration, load_balancers


def section(text: str, head: str) -> list[str]:
    """The lines of one section."""
    lines = text.splitlines()
    rest = lines[lines.index(head) + 1 :]
    end = next((at for at, line in enumerate(rest) if not line.startswith(" ")), None)
    return [line.strip() for line in rest[:end]]


def listener(text: str, bind: str) -> list[str]:
    """The section of the listener that binds to an address and port."""
    heads = [line for line in text.splitlines() if line.startswith("frontend ")]
    return next(lines for lines in (section(text, head) for head in heads) if lines[0].startswith(f"bind {bind}"))


def address_of(recording: Recording, *, internal: bool) -> IPv4Address:
    balancers = recording.of_type(LOAD_BALANCER)
    [arn] = [balancer.outputs["arn"] for balancer in balancers if balancer.inputs["internal"] is internal]
    return plan_addresses(recording).load_balancers[arn]


def test_the_internal_load_balancer_forwards_8080_to_the_masters(recording: Recording, plan: AddressPlan):
    [address] = plan.load_balancers.values()
    text = configuration(recording, plan)
    assert "default_backend targets0" in listener(text, f"{address}:8080")


def test_targets_are_checked_as_the_program_asks(recording: Recording, plan: AddressPlan):
    lines = section(configuration(recording, plan), "backend targets0")
    [check] = [line for line in lines if line.startswith("http-check send")]
    assert "meth GET uri / " in check
    assert "http-check expect status 200,302" in lines
    [server] = [line for line in lines if line.startswith("default-server")]
    words = server.split()
    seconds = int(words[words.index("inter") + 1].rstrip("s")) * int(words[words.index("fall") + 1])
    assert seconds == 60, "a target that AWS would give up after 60 s must not be given up sooner or later here"


def test_a_target_group_with_only_unhealthy_targets_sends_requests_to_all_of_them(
    recording: Recording, plan: AddressPlan
):
    """As AWS documents it: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks"""
    lines = section(configuration(recording, plan), "backend targets0")
    [checked] = [line.split() for line in lines if line.startswith("server-template place ")]
    [fallback] = [line.split() for line in lines if line.startswith("server-template fallback ")]
    assert "backup" in fallback, "it would get requests while another target is healthy"
    assert "no-check" in fallback, "it would be unhealthy like the others"
    assert "option allbackups" in lines, "HAProxy would send everything to the first one"
    assert fallback[2:4] == checked[2:4]


def test_targets_see_the_load_balancers_address_and_the_clients_in_the_headers(recording: Recording, plan: AddressPlan):
    [address] = plan.load_balancers.values()
    text = configuration(recording, plan)
    assert f"source {address}" in section(text, "backend targets0"), "security groups let this address in"
    lines = listener(text, f"{address}:8080")
    assert "http-request set-header X-Forwarded-For %[src]" in lines
    assert "http-request set-header X-Forwarded-Proto http" in lines
    assert "http-request set-header X-Forwarded-Port 8080" in lines


def test_every_name_of_the_load_balancer_leads_to_it(recording: Recording, plan: AddressPlan):
    [balancer] = load_balancers(recording, plan)
    [outputs] = [each.outputs for each in recording.of_type(LOAD_BALANCER)]
    assert [balancer.address] == list(plan.load_balancers.values())
    assert set(balancer.names) == {outputs["dnsName"], "airflow-prod.internal"}


def test_with_a_domain_plain_http_serves_the_execution_api_and_redirects_the_rest(public: Recording):
    plan = plan_addresses(public)
    lines = listener(configuration(public, plan), f"{address_of(public, internal=True)}:8080")
    [use] = [line for line in lines if line.startswith("use_backend")]
    [redirect] = [line for line in lines if line.startswith("http-request redirect")]
    assert "location https://airflow.example.com%[capture.req.uri] code 302" in redirect
    assert redirect.endswith(f" !{use.partition(' if ')[2]}"), "HAProxy would redirect before it forwards"


def test_the_public_load_balancer_refuses_the_execution_api(public: Recording):
    plan = plan_addresses(public)
    lines = listener(configuration(public, plan), f"{address_of(public, internal=False)}:443")
    refusals = [line for line in lines if line.startswith("http-request return status 403") and " if {" in line]
    patterns = [pattern for refusal in refusals for pattern in expressions(refusal)]
    for path in ("/execution", "/execution/task-instances/1/run", "/%65xecution/x"):
        assert any(re.search(pattern, path) for pattern in patterns), path
    assert not any(re.search(pattern, "/dags") for pattern in patterns)


def test_the_public_load_balancer_refuses_what_no_rule_forwards(public: Recording):
    plan = plan_addresses(public)
    lines = listener(configuration(public, plan), f"{address_of(public, internal=False)}:443")
    [use] = [line for line in lines if line.startswith("use_backend")]
    [default] = [line for line in lines if line.startswith("http-request return status 403") and " if !" in line]
    assert default.partition(" if !")[2] == use.partition(" if ")[2], "HAProxy would refuse before it forwards"
    assert expressions(use) == ["^/.*$"]
    assert not any(line.startswith("default_backend") for line in lines)


def expressions(line: str) -> list[str]:
    """The regular expressions of a line's condition, as HAProxy reads them."""
    words = shlex.split(line)
    return words[words.index("reg") + 1 : -1]


def test_nodes_cannot_reach_the_api_of_moto_itself(recording: Recording, plan: AddressPlan):
    lines = section(configuration(recording, plan), "frontend aws")
    denied = lines.index("http-request deny if { path_beg /moto-api }")
    assert denied < lines.index("default_backend moto")
