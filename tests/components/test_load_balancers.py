from __future__ import annotations

import re

import pytest

from components.load_balancers import (
    DISGUISED_EXECUTION_API_PATHS,
    EXECUTION_API_PATHS,
    LoadBalancers,
    LoadBalancersArgs,
)
from engine.program import deploy
from engine.recording import Recording, Resource
from settings import PublicWeb, WebSettings
from tests.components.contexts import context
from tests.support.listener_rules import action_for, rules_of

LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
RECORD = "aws:route53/record:Record"
CERTIFICATE = "aws:acm/certificate:Certificate"

INSIDE = WebSettings(allowed_cidrs=("10.0.0.0/8",))
DOMAIN = WebSettings(
    allowed_cidrs=("10.0.0.0/8",), domain="airflow.example.com", hosted_zone_id="Z0123456789ABCDEFGHIJ"
)
PUBLIC = DOMAIN.model_copy(update={"public": PublicWeb()})


def build(settings: WebSettings, *, protect: bool = True) -> LoadBalancers:
    return LoadBalancers(
        "web",
        LoadBalancersArgs(
            context=context(protect=protect),
            settings=settings,
            vpc_id="vpc-1",
            internal_subnet_ids=["subnet-private-a", "subnet-private-b"],
            public_subnet_ids=["subnet-public-a", "subnet-public-b"],
            internal_security_group_id="sg-internal",
            public_security_group_id=None if settings.public is None else "sg-public",
            access_logs_bucket="airflow-prod-access-logs",
        ),
    )


def entrypoint(settings: WebSettings, *, protect: bool = True) -> Recording:
    return deploy(lambda: build(settings, protect=protect))[1]


def balancer(recording: Recording, name: str) -> Resource:
    return recording.named(LOAD_BALANCER, name)


def listeners(recording: Recording, balancer: Resource) -> dict[int, Resource]:
    own = [r for r in recording.of_type(LISTENER) if r.inputs["loadBalancerArn"] == balancer.outputs["arn"]]
    return {listener.inputs["port"]: listener for listener in own}


def rules(recording: Recording, listener: Resource) -> list[Resource]:
    return rules_of(recording.resources, listener)


def public_listener(recording: Recording) -> Resource:
    return recording.named(LISTENER, "web-public-https")


def targets_of(listener: Resource) -> str:
    [action] = listener.inputs["defaultActions"]
    assert action["type"] == "forward"
    return action["targetGroupArn"]


def test_without_a_domain_the_cluster_is_reachable_on_8080_inside_the_network():
    recording = entrypoint(INSIDE)
    internal = recording.only(LOAD_BALANCER)
    assert internal.inputs["internal"] is True
    assert internal.inputs["subnets"] == ["subnet-private-a", "subnet-private-b"]
    assert set(listeners(recording, internal)) == {8080}
    [targets] = recording.of_type(TARGET_GROUP)
    assert targets_of(listeners(recording, internal)[8080]) == targets.outputs["arn"]
    assert targets.inputs["port"] == 8080


def test_a_master_is_healthy_when_it_answers_200_or_302_at_the_root():
    check = entrypoint(INSIDE).only(TARGET_GROUP).inputs["healthCheck"]
    assert (check["path"], check["matcher"]) == ("/", "200,302")


def test_a_restart_of_the_api_server_does_not_replace_the_node():
    check = entrypoint(INSIDE).only(TARGET_GROUP).inputs["healthCheck"]
    seconds_until_unhealthy = check["interval"] * check["unhealthyThreshold"]
    assert seconds_until_unhealthy >= 60, (
        "an unhealthy node is replaced together with its scheduler, and a crashed api-server needs up to 35 s"
    )


def test_the_load_balancer_closes_idle_connections_before_the_api_server_does():
    assert entrypoint(INSIDE).only(LOAD_BALANCER).inputs["idleTimeout"] < 120, (
        "otherwise requests meet closed sockets and end as 502"
    )


@pytest.mark.parametrize("settings", [INSIDE, DOMAIN, PUBLIC], ids=["inside", "domain", "public"])
def test_nodes_find_the_api_servers_under_a_private_name(settings: WebSettings):
    recording = entrypoint(settings)
    zone = recording.only("aws:route53/zone:Zone")
    assert zone.inputs["name"] == "airflow-prod.internal"
    assert zone.inputs["vpcs"] == [{"vpcId": "vpc-1"}], "a zone without a VPC is public"
    record = recording.named(RECORD, "web-private-record")
    assert record.inputs["zoneId"] == zone.outputs["zoneId"]
    assert record.inputs["name"] == "airflow-prod.internal"
    assert record.inputs["aliases"][0]["name"] == balancer(recording, "web-internal").outputs["dnsName"]


def test_with_a_domain_people_use_https_and_workers_keep_their_port():
    recording = entrypoint(DOMAIN)
    ports = listeners(recording, recording.only(LOAD_BALANCER))
    assert set(ports) == {8080, 443}
    assert ports[443].inputs["protocol"] == "HTTPS"
    assert ports[443].inputs["sslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2")
    assert targets_of(ports[8080]) == targets_of(ports[443]), "people are served here until they are redirected"
    [rule] = rules(recording, ports[8080])
    assert rule.inputs["conditions"] == [{"pathPattern": {"values": ["/execution", "/execution/*"]}}]
    assert rule.inputs["actions"][0]["targetGroupArn"] == targets_of(ports[443])


def test_https_waits_until_the_certificate_is_issued():
    recording = entrypoint(DOMAIN)
    certificate = recording.only(CERTIFICATE)
    validation = recording.only("aws:acm/certificateValidation:CertificateValidation")
    proof = recording.named(RECORD, "web-certificate-record")
    assert certificate.inputs["validationMethod"] == "DNS"
    assert proof.inputs["records"] == [certificate.outputs["domainValidationOptions"][0]["resourceRecordValue"]]
    assert proof.inputs["zoneId"] == "Z0123456789ABCDEFGHIJ"
    assert validation.inputs["validationRecordFqdns"] == [proof.outputs["fqdn"]]
    https = recording.named(LISTENER, "web-internal-https")
    assert validation.urn in https.property_dependencies["certificateArn"], "AWS refuses a certificate that is pending"


def test_the_validation_record_for_acm_outlives_the_stack():
    recording = entrypoint(DOMAIN)
    kept = {record.name for record in recording.of_type(RECORD) if record.options.retain_on_delete}
    assert kept == {"web-certificate-record"}, "another stack's certificate of the same name is renewed by this record"


def test_a_preview_registers_the_same_resources_as_an_update():
    def registered(*, preview: bool) -> set[tuple[str, str]]:
        _, recording = deploy(lambda: build(PUBLIC), preview=preview)
        return {(resource.type, resource.name) for resource in recording.resources}

    assert registered(preview=True) == registered(preview=False)


def test_public_access_is_a_second_load_balancer_with_https_only():
    recording = entrypoint(PUBLIC)
    public = balancer(recording, "web-public")
    assert public.inputs["internal"] is False
    assert public.inputs["subnets"] == ["subnet-public-a", "subnet-public-b"]
    assert public.inputs["securityGroups"] == ["sg-public"]
    assert set(listeners(recording, public)) == {443}
    assert balancer(recording, "web-internal").inputs["internal"] is True


@pytest.mark.parametrize(
    ("settings", "name"),
    [(INSIDE, "airflow-prod-web"), (DOMAIN, "airflow-prod-web"), (PUBLIC, "airflow-prod-public")],
    ids=["inside", "domain", "public"],
)
def test_the_domain_points_to_the_public_load_balancer_if_there_is_one(settings: WebSettings, name: str):
    made, recording = deploy(lambda: build(settings))
    [entrance] = [b for b in recording.of_type(LOAD_BALANCER) if b.inputs["name"] == name]
    assert entrance.name == made.entrance._name


def test_public_access_has_its_own_target_group():
    recording = entrypoint(PUBLIC)
    internal, public = balancer(recording, "web-internal"), balancer(recording, "web-public")
    inside = targets_of(listeners(recording, internal)[443])
    [outside] = [
        action["targetGroupArn"]
        for rule in rules(recording, listeners(recording, public)[443])
        for action in rule.inputs["actions"]
        if action["type"] == "forward"
    ]
    assert inside != outside, "AWS allows a target group for one load balancer only"


def test_the_masters_are_in_every_target_group():
    recording = entrypoint(PUBLIC)
    component = recording.only("airflow:web:WebEntrypoint")
    assert sorted(component.outputs["target_group_arns"].values()) == sorted(
        group.outputs["arn"] for group in recording.of_type(TARGET_GROUP)
    )


def test_the_internet_cannot_reach_the_execution_api():
    recording = entrypoint(PUBLIC)
    plain, disguised, _ = rules(recording, public_listener(recording))
    for rule in (plain, disguised):
        [action] = rule.inputs["actions"]
        assert action["fixedResponse"]["statusCode"] == "403"
    assert plain.inputs["conditions"] == [{"pathPattern": {"values": list(EXECUTION_API_PATHS)}}]
    assert disguised.inputs["conditions"] == [{"pathPattern": {"regexValues": list(DISGUISED_EXECUTION_API_PATHS)}}]


def test_the_public_listener_refuses_requests_that_no_rule_forwards():
    [default] = public_listener(entrypoint(PUBLIC)).inputs["defaultActions"]
    assert default["type"] == "fixed-response", "a listener without its rules would be open"
    assert default["fixedResponse"]["statusCode"] == "403"


def test_no_request_is_forwarded_before_every_refusing_rule_exists():
    recording = entrypoint(PUBLIC)
    *refusals, last = rules(recording, public_listener(recording))
    assert [action["type"] for action in last.inputs["actions"]] == ["forward"]
    assert set(last.options.depends_on) == {refusal.urn for refusal in refusals}
    assert {refusal.name for refusal in refusals} == {"web-public-execution-api", "web-public-disguises"}


def test_aws_accepts_the_conditions_of_the_public_rules():
    recording = entrypoint(PUBLIC)
    for rule in rules(recording, public_listener(recording)):
        [condition] = rule.inputs["conditions"]
        [(kind, patterns)] = condition["pathPattern"].items()
        assert len(patterns) <= 3, "AWS allows three values in a condition"
        assert sum(pattern.count("*") for pattern in patterns) <= 5, "AWS allows five wildcards in a rule"
        assert all(len(pattern) <= 128 for pattern in patterns), "AWS allows 128 characters in a value"
        if kind == "values":
            allowed = re.compile(r"""[A-Za-z0-9_.$/~"'@:+&*?-]+""")
            assert all(allowed.fullmatch(pattern) for pattern in patterns), "AWS allows no other characters"
        else:
            assert not any("(?" in pattern for pattern in patterns), "AWS does not support lookaround"


@pytest.mark.parametrize(
    "path",
    [
        "/execution",
        "/execution/",
        "/execution/task-instances/1/run",
        "/%65xecution/health",
        "/e%78ecution/health",
        "/executio%6E/health",
        "/%65%78%65%63%75%74%69%6f%6e/health",
        "/%2Fexecution/health",
        "//execution/health",
        "//%65xecution/health",
        "/./execution/health",
        "/dags/../execution/health",
        "/dags/%2E%2e/execution/health",
        "/dags/.%2e/execution/health",
    ],
)
def test_the_public_rules_refuse_every_spelling_of_the_execution_api(path: str):
    assert refused_in_public(path), "the api-server decodes the path before it routes it"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/dags/etl/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00",
        "/dags/etl.v2/tasks/...",
        "/events",
        "/api/v2/version",
        "/auth/login",
        "/auth/login?next=https%3A%2F%2Fairflow.example.com%2F",
        "/dags?search=/../",
    ],
)
def test_the_public_rules_forward_airflows_pages(path: str):
    assert not refused_in_public(path)


def refused_in_public(path: str) -> bool:
    recording = entrypoint(PUBLIC)
    return action_for(recording.resources, public_listener(recording), path)["type"] != "forward"


@pytest.mark.parametrize("name", ["web-internal", "web-public"])
def test_every_load_balancer_writes_access_logs_and_drops_malformed_headers(name: str):
    inputs = balancer(entrypoint(PUBLIC), name).inputs
    assert inputs["accessLogs"]["enabled"] is True
    assert inputs["dropInvalidHeaderFields"] is True
    assert inputs["desyncMitigationMode"] == "defensive"


def test_the_internal_load_balancer_of_a_protected_stack_has_deletion_protection():
    assert balancer(entrypoint(INSIDE), "web-internal").inputs["enableDeletionProtection"] is True
    assert balancer(entrypoint(INSIDE, protect=False), "web-internal").inputs["enableDeletionProtection"] is False


def test_public_access_can_be_removed_from_a_protected_stack():
    public = balancer(entrypoint(PUBLIC), "web-public")
    assert public.inputs["enableDeletionProtection"] is False, "AWS would refuse to delete it"


@pytest.mark.parametrize(
    ("settings", "url"), [(INSIDE, "http://airflow-prod.internal:8080"), (PUBLIC, "https://airflow.example.com")]
)
def test_the_url_is_the_one_that_browsers_use(settings: WebSettings, url: str):
    web, _ = deploy(lambda: build(settings))
    assert web.url == url
