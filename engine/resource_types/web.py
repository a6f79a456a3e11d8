"""Load balancers, certificates and DNS."""

from __future__ import annotations

import string

from engine.recording import Registration
from engine.resource_types import fake_ids
from engine.resource_types.definition import MockOutputs, ResourceType
from engine.resource_types.fake_ids import arn, name, text

# The hosted zones of application load balancers' own names, by region.
# https://docs.aws.amazon.com/general/latest/gr/elb.html
_LOAD_BALANCER_ZONES = {
    "ap-northeast-1": "Z14GRHDCWA56QT",
    "ap-south-1": "ZP97RAFLXTNZK",
    "ap-southeast-1": "Z1LMS91P8CMLE5",
    "ap-southeast-2": "Z1GM3OXH4ZPM65",
    "ca-central-1": "ZQSVJUPU6J1EY",
    "eu-central-1": "Z215JYRZR1TBD5",
    "eu-north-1": "Z23TAZ6LKFMNIO",
    "eu-west-1": "Z32O12XQLNTSW2",
    "eu-west-2": "ZHURV8PSTC4K8",
    "eu-west-3": "Z3Q77PNBQS71R4",
    "sa-east-1": "Z2P70J7HTTTPLU",
    "us-east-1": "Z35SXDOTRQ7X7K",
    "us-east-2": "Z3AADJGX6KTTL2",
    "us-west-1": "Z368ELLRRE2KJ0",
    "us-west-2": "Z1H1FL5HABSF5",
}


def _load_balancer(registration: Registration) -> MockOutputs:
    called = name(registration, longest=32)
    suffix = f"app/{called}/{fake_ids.hexadecimal(registration.urn, 16)}"
    number = int(fake_ids.hexadecimal(f"dns:{registration.urn}", 8), 16)
    internal = "internal-" if registration.inputs.get("internal") else ""
    balancer = arn(registration, "elasticloadbalancing", f"loadbalancer/{suffix}")
    return MockOutputs(
        id=balancer,
        outputs={
            "arn": balancer,
            "arnSuffix": suffix,
            "dnsName": f"{internal}{called}-{number}.{registration.region}.elb.amazonaws.com",
            "zoneId": _LOAD_BALANCER_ZONES.get(registration.region) or hosted_zone_id(registration.region),
        },
        planned={"name": called},
    )


def _target_group(registration: Registration) -> MockOutputs:
    called = name(registration, longest=32)
    suffix = f"targetgroup/{called}/{fake_ids.hexadecimal(registration.urn, 16)}"
    group = arn(registration, "elasticloadbalancing", suffix)
    return MockOutputs(id=group, outputs={"arn": group, "arnSuffix": suffix}, planned={"name": called})


def _listener(registration: Registration) -> MockOutputs:
    return _below(registration, "loadBalancerArn", "loadbalancer/", "listener/")


def _listener_rule(registration: Registration) -> MockOutputs:
    return _below(registration, "listenerArn", "listener/", "listener-rule/")


def _below(registration: Registration, parent: str, kind: str, own_kind: str) -> MockOutputs:
    """The ARN of a listener or rule is its parent's, with another resource type and one more id."""
    above = text(registration, parent).replace(f":{kind}", f":{own_kind}", 1)
    below = f"{above}/{fake_ids.hexadecimal(registration.urn, 16)}"
    return MockOutputs(id=below, outputs={"arn": below})


def _certificate(registration: Registration) -> MockOutputs:
    domains = [text(registration, "domainName"), *registration.inputs.get("subjectAlternativeNames", [])]
    certificate = arn(registration, "acm", f"certificate/{fake_ids.uuid4(registration.urn + domains[0])}")
    options = [
        {
            "domainName": domain,
            "resourceRecordName": f"_{fake_ids.hexadecimal(domain, 32)}.{domain.removeprefix('*.')}.",
            "resourceRecordType": "CNAME",
            "resourceRecordValue": f"_{fake_ids.hexadecimal(f'value:{domain}', 32)}.acm-validations.aws.",
        }
        for domain in dict.fromkeys(domains)
    ]
    return MockOutputs(
        id=certificate,
        outputs={"arn": certificate, "domainValidationOptions": options, "status": "PENDING_VALIDATION"},
    )


def _certificate_validation(registration: Registration) -> MockOutputs:
    return MockOutputs(id=f"2026-01-01 00:00:00 +0000 UTC {fake_ids.hexadecimal(registration.urn, 8)}")


def _zone(registration: Registration) -> MockOutputs:
    id_ = hosted_zone_id(registration.urn)
    endings = {512: "net", 1024: "org", 1536: "co.uk", 0: "com"}
    servers = [f"ns-{number}.awsdns-{number % 64:02}.{ending}" for number, ending in endings.items()]
    return MockOutputs(
        id=id_,
        outputs={
            "arn": f"arn:aws:route53:::hostedzone/{id_}",
            "zoneId": id_,
            "nameServers": servers,
            "primaryNameServer": servers[0],
        },
    )


def _record(registration: Registration) -> MockOutputs:
    called = text(registration, "name").rstrip(".")
    return MockOutputs(
        id=f"{text(registration, 'zoneId')}_{called}_{text(registration, 'type')}", outputs={"fqdn": called}
    )


def hosted_zone_id(seed: str) -> str:
    """A hosted zone's id: `Z` and 20 upper-case characters."""
    return "Z" + fake_ids.characters(f"zone:{seed}", 20, string.ascii_uppercase + string.digits)


TYPES = {
    "aws:lb/loadBalancer:LoadBalancer": ResourceType(
        mock=_load_balancer,
        name_input="name",
        replaced_by=frozenset({"name", "namePrefix", "customerOwnedIpv4Pool", "internal", "loadBalancerType"}),
        sets=frozenset({"securityGroups", "subnets"}),
        highlights=("internal", "enableDeletionProtection"),
    ),
    "aws:lb/targetGroup:TargetGroup": ResourceType(
        mock=_target_group,
        name_input="name",
        replaced_by=frozenset(
            {"name", "namePrefix", "ipAddressType", "port", "protocol", "protocolVersion", "targetType", "vpcId"}
        ),
        highlights=("port", "protocol", "healthCheck.path", "healthCheck.matcher"),
    ),
    "aws:lb/listener:Listener": ResourceType(
        mock=_listener,
        unique_by=("loadBalancerArn", "port"),
        replaced_by=frozenset({"loadBalancerArn"}),
        highlights=("port", "protocol", "sslPolicy", "defaultActions.type"),
    ),
    "aws:lb/listenerRule:ListenerRule": ResourceType(
        mock=_listener_rule,
        unique_by=("listenerArn", "priority"),
        replaced_by=frozenset({"listenerArn"}),
        sets=frozenset(
            {
                "conditions",
                "conditions.hostHeader.values",
                "conditions.httpHeader.values",
                "conditions.httpRequestMethod.values",
                "conditions.pathPattern.values",
                "conditions.sourceIp.values",
            }
        ),
        highlights=(
            "priority",
            "conditions.pathPattern.values",
            "conditions.pathPattern.regexValues",
            "actions.type",
        ),
    ),
    "aws:acm/certificate:Certificate": ResourceType(
        mock=_certificate,
        replaced_by=frozenset(
            {
                "certificateAuthorityArn",
                "domainName",
                "keyAlgorithm",
                "subjectAlternativeNames",
                "validationMethod",
                "validationOptions",
            }
        ),
        sets=frozenset({"subjectAlternativeNames"}),
        highlights=("domainName", "validationMethod"),
    ),
    "aws:acm/certificateValidation:CertificateValidation": ResourceType(
        mock=_certificate_validation,
        replaced_by=frozenset({"certificateArn", "validationRecordFqdns"}),
        sets=frozenset({"validationRecordFqdns"}),
    ),
    "aws:route53/zone:Zone": ResourceType(
        mock=_zone,
        name_input="name",
        # Public zones may share a name, but a VPC takes only one private zone of a name (ConflictingDomainExists in
        # https://docs.aws.amazon.com/Route53/latest/APIReference/API_CreateHostedZone.html).
        unique_by=("name", "vpcs"),
        replaced_by=frozenset({"name", "delegationSetId"}),
        sets=frozenset({"vpcs"}),
        stateful=True,
        highlights=("name",),
    ),
    "aws:route53/record:Record": ResourceType(
        mock=_record,
        name_input="name",
        unique_by=("zoneId", "name", "type", "setIdentifier"),
        optional=frozenset({"setIdentifier"}),
        replaced_by=frozenset({"name", "zoneId"}),
        sets=frozenset({"records"}),
        highlights=("name", "type"),
    ),
}
