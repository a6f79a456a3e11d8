"""Rules that hold for every resource of every stack, whichever component registers it."""

from __future__ import annotations

import json
import re

import pytest

from node.naming import LAUNCHING_HOOK, TERMINATING_HOOK
from node.user_data import decode
from tests.stack_queries import (
    ATTACHMENT,
    BROKER,
    BUCKET,
    DATABASE,
    EGRESS,
    GROUP,
    HOOK,
    INGRESS,
    LISTENER,
    LOAD_BALANCER,
    SECRET_VERSION,
    SECURITY_GROUP,
    TEMPLATE,
    each,
    everything_before,
    of_bucket,
    readable_state,
    secret_values,
    statements,
)
from tests.stack_variants import VARIANTS, recorded, settings_of

every_stack = pytest.mark.parametrize("variant", VARIANTS)

# The types of resources by the rules below that apply to them. A type that is in none of the sets fails a test, so that
# somebody decides which rules apply to it.
STORES_DATA = {DATABASE, BROKER, BUCKET, TEMPLATE, "aws:cloudwatch/logGroup:LogGroup", "aws:ebs/volume:Volume"}
HOLDS_SECRETS = {
    "aws:secretsmanager/secret:Secret",
    SECRET_VERSION,
    "random:index/randomPassword:RandomPassword",
}
GRANTS_PERMISSIONS = {
    "aws:iam/role:Role",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:iam/instanceProfile:InstanceProfile",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:kms/key:Key",
}
CONTROLS_ACCESS = {
    INGRESS,
    EGRESS,
    SECURITY_GROUP,
    LOAD_BALANCER,
    LISTENER,
    "aws:lb/listenerRule:ListenerRule",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:ec2/subnet:Subnet",
}
RUNS_CODE = {GROUP, HOOK}
# Parts of the above, and parts of the network that have no data of their own.
PLUMBING = {
    ATTACHMENT,
    "aws:kms/alias:Alias",
    "aws:sns/topic:Topic",
    "aws:sns/topicSubscription:TopicSubscription",
    "aws:acm/certificate:Certificate",
    "aws:acm/certificateValidation:CertificateValidation",
    "aws:cloudwatch/dashboard:Dashboard",
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "aws:ec2/eip:Eip",
    "aws:ec2/flowLog:FlowLog",
    "aws:ec2/internetGateway:InternetGateway",
    "aws:ec2/natGateway:NatGateway",
    "aws:ec2/route:Route",
    "aws:ec2/routeTable:RouteTable",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:ec2/vpc:Vpc",
    "aws:elasticache/parameterGroup:ParameterGroup",
    "aws:elasticache/subnetGroup:SubnetGroup",
    "aws:lb/targetGroup:TargetGroup",
    "aws:rds/eventSubscription:EventSubscription",
    "aws:rds/parameterGroup:ParameterGroup",
    "aws:rds/subnetGroup:SubnetGroup",
    "aws:route53/record:Record",
    "aws:route53/zone:Zone",
    "random:index/randomId:RandomId",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketObjectv2:BucketObjectv2",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
}

# The longest names that AWS allows, by type and the input with the physical name.
LONGEST_NAMES = {
    (LOAD_BALANCER, "name"): 32,
    (BUCKET, "bucket"): 63,
    (DATABASE, "identifier"): 63,
    (BROKER, "replicationGroupId"): 40,
    ("aws:iam/role:Role", "name"): 64,
    ("aws:iam/instanceProfile:InstanceProfile", "name"): 128,
    (GROUP, "name"): 255,
    ("aws:cloudwatch/dashboard:Dashboard", "dashboardName"): 255,
    ("aws:cloudwatch/metricAlarm:MetricAlarm", "name"): 255,
}


@every_stack
def test_every_type_of_resource_is_classified(variant: str):
    known = STORES_DATA | HOLDS_SECRETS | GRANTS_PERMISSIONS | CONTROLS_ACCESS | RUNS_CODE | PLUMBING
    custom = {resource.type for resource in recorded(variant).resources if resource.options.custom}
    assert custom <= known, "decide which rules of this file apply to these types"


@every_stack
def test_stored_data_is_encrypted(variant: str):
    recording = recorded(variant)
    assert recording.only(DATABASE).inputs["storageEncrypted"] is True
    assert recording.only(BROKER).inputs["atRestEncryptionEnabled"] is True
    for template in each(recording, TEMPLATE):
        volumes = [mapping["ebs"] for mapping in template.inputs["blockDeviceMappings"]]
        assert [volume["encrypted"] for volume in volumes] == ["true"], template.name
    for bucket in each(recording, BUCKET):
        encryption = of_bucket(recording, bucket, "ServerSideEncryptionConfiguration")
        [rule] = encryption.inputs["rules"]
        assert rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] in ("AES256", "aws:kms"), bucket.name


@every_stack
def test_data_is_encrypted_in_transit(variant: str):
    recording = recorded(variant)
    parameters = recording.only("aws:rds/parameterGroup:ParameterGroup")
    forced = {p["name"]: p["value"] for p in parameters.inputs["parameters"]}["rds.force_ssl"]
    assert forced == "1"
    assert recording.only(DATABASE).inputs["parameterGroupName"] == parameters.outputs["name"]
    broker = recording.only(BROKER).inputs
    assert broker["transitEncryptionEnabled"] is True
    assert broker["transitEncryptionMode"] == "required", "`preferred` also allows unencrypted connections"
    for bucket in each(recording, BUCKET):
        refused = [s for s in statements(of_bucket(recording, bucket, "Policy")) if s["Effect"] == "Deny"]
        assert any(s["Condition"].get("Bool") == {"aws:SecureTransport": "false"} for s in refused), bucket.name


@every_stack
def test_only_https_is_open_to_the_internet(variant: str):
    recording = recorded(variant)
    public = {b.outputs["arn"] for b in recording.of_type(LOAD_BALANCER) if b.inputs["internal"] is not True}
    assert bool(public) is (settings_of(variant).web.public is not None)
    for listener in each(recording, LISTENER):
        if listener.inputs["loadBalancerArn"] in public:
            assert listener.inputs["protocol"] == "HTTPS", listener.name
        if listener.inputs["protocol"] == "HTTPS":
            assert "TLS13" in listener.inputs["sslPolicy"], listener.name


@every_stack
def test_nothing_but_a_public_load_balancer_has_a_public_address(variant: str):
    recording = recorded(variant)
    assert recording.only(DATABASE).inputs["publiclyAccessible"] is False
    for template in each(recording, TEMPLATE):
        for interface in template.inputs["networkInterfaces"]:
            assert interface["associatePublicIpAddress"] == "false", template.name
    for subnet in recording.of_type("aws:ec2/subnet:Subnet"):
        assert subnet.inputs["mapPublicIpOnLaunch"] is False, subnet.name
    for bucket in each(recording, BUCKET):
        block = of_bucket(recording, bucket, "PublicAccessBlock").inputs
        switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        assert all(block[switch] is True for switch in switches), bucket.name


@every_stack
def test_only_load_balancers_accept_connections_by_address(variant: str):
    recording, settings = recorded(variant), settings_of(variant)
    allowed = {(cidr, port) for cidr in settings.web.allowed_cidrs for port in (8080, 443)}
    if settings.web.public is not None:
        allowed |= {(cidr, 443) for cidr in settings.web.public.allowed_cidrs}
    of_load_balancers = {g for b in recording.of_type(LOAD_BALANCER) for g in b.inputs["securityGroups"]}
    for rule in each(recording, INGRESS):
        inputs = rule.inputs
        assert inputs["ipProtocol"] == "tcp", rule.name
        assert inputs["fromPort"] == inputs["toPort"], f"{rule.name}: one port, not a range"
        if "referencedSecurityGroupId" not in inputs:
            assert (inputs["cidrIpv4"], inputs["fromPort"]) in allowed, (
                f"{rule.name} allows addresses that the stack file does not list"
            )
            assert inputs["securityGroupId"] in of_load_balancers, f"{rule.name} lets people past the load balancers"
    for group in each(recording, SECURITY_GROUP):
        assert not {"ingress", "egress"} & group.inputs.keys(), f"{group.name}: its rules are resources of their own"


@every_stack
def test_every_connection_that_the_cluster_needs_is_allowed(variant: str):
    recording = recorded(variant)
    groups = {
        t.name.split("-")[0]: t.inputs["networkInterfaces"][0]["securityGroups"][0] for t in recording.of_type(TEMPLATE)
    }
    masters, workers = groups["masters"], groups["pool"]
    database, broker = recording.only(DATABASE).inputs, recording.only(BROKER).inputs
    [data], [messages] = database["vpcSecurityGroupIds"], broker["securityGroupIds"]
    internal = recording.named(LOAD_BALANCER, "web-internal").inputs["securityGroups"][0]
    needed = {(node, data, database["port"]) for node in (masters, workers)}
    needed |= {(node, messages, broker["port"]) for node in (masters, workers)}
    needed |= {(b.inputs["securityGroups"][0], masters, 8080) for b in recording.of_type(LOAD_BALANCER)}
    needed |= {(workers, internal, 8080), (masters, workers, 8793), (masters, masters, 8794)}
    rules = [rule.inputs for rule in recording.of_type(INGRESS)]
    let_in = {(rule.get("referencedSecurityGroupId"), rule["securityGroupId"], rule["fromPort"]) for rule in rules}
    assert needed <= let_in
    assert len({masters, workers, data, messages, internal}) == 5, "each part has a group of its own"


@every_stack
def test_data_services_open_no_connections(variant: str):
    recording = recorded(variant)
    database, broker = recording.only(DATABASE).inputs, recording.only(BROKER).inputs
    silent = {*database["vpcSecurityGroupIds"], *broker["securityGroupIds"]}
    assert not [rule.name for rule in recording.of_type(EGRESS) if rule.inputs["securityGroupId"] in silent]


@every_stack
def test_the_default_security_group_allows_nothing(variant: str):
    groups = recorded(variant).of_type("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert len(groups) == (0 if settings_of(variant).network.existing else 1)
    assert not [group.name for group in groups if {"ingress", "egress"} & group.inputs.keys()]


@every_stack
def test_instance_credentials_require_a_session_token_and_stay_on_the_node(variant: str):
    for template in each(recorded(variant), TEMPLATE):
        metadata = template.inputs["metadataOptions"]
        assert (metadata["httpTokens"], metadata["httpPutResponseHopLimit"]) == ("required", 1), template.name


@every_stack
def test_groups_name_a_version_of_their_launch_template(variant: str):
    for group in each(recorded(variant), GROUP):
        mixed = group.inputs.get("mixedInstancesPolicy", {}).get("launchTemplate", {})
        template = group.inputs.get("launchTemplate") or mixed["launchTemplateSpecification"]
        assert re.fullmatch(r"\d+", template["version"]), f"{group.name}: Pulumi would never see a change"


@every_stack
def test_every_group_waits_for_the_reports_of_its_nodes(variant: str):
    recording = recorded(variant)
    hooks = {(hook.inputs["autoscalingGroupName"], hook.inputs["name"]) for hook in recording.of_type(HOOK)}
    groups = {group.outputs["name"] for group in recording.of_type(GROUP)}
    assert {(group, LAUNCHING_HOOK) for group in groups} <= hooks, (
        "a node would be in service before its services are ready"
    )
    drained = {(group, TERMINATING_HOOK) for group in groups if "-pool-" in group}
    assert drained <= hooks, "a worker would be terminated with its tasks"
    assert all(hook.inputs["defaultResult"] == "ABANDON" for hook in recording.of_type(HOOK))


@every_stack
def test_every_resource_and_everything_that_groups_launch_is_tagged(variant: str):
    recording, tags = recorded(variant), dict(settings_of(variant).tags)
    assert tags, "aws:defaultTags: costs cannot be assigned without tags"
    for resource in recording.resources:
        if "tagsAll" in resource.outputs and resource.type != "aws:s3/bucketObjectv2:BucketObjectv2":
            assert tags.items() <= resource.outputs["tagsAll"].items(), resource.name
    for template in each(recording, TEMPLATE):
        specified = {spec["resourceType"]: spec["tags"] for spec in template.inputs["tagSpecifications"]}
        assert {"instance", "volume"} <= specified.keys(), template.name
        assert all(tags.items() <= own.items() for own in specified.values()), template.name
    for group in each(recording, GROUP):
        own = {tag["key"]: tag["value"] for tag in group.inputs["tags"]}
        assert tags.items() <= own.items(), f"{group.name}: default tags do not reach Auto Scaling groups"


@every_stack
def test_resources_that_cannot_be_recreated_are_protected_by_the_setting(variant: str):
    recording, protect = recorded(variant), settings_of(variant).cluster.protect_data
    expected = {
        "database-instance",
        "broker-replication-group",
        "buckets-task-logs",
        "buckets-dags",
        "secrets-fernet-key",
        "secrets-fernet-key-value",
        "deletion-protection",
    }
    assert {r.name for r in recording.resources if r.options.protect} == (expected if protect else set())
    database = recording.only(DATABASE).inputs
    assert database["deletionProtection"] is protect
    assert database["skipFinalSnapshot"] is not settings_of(variant).database.final_snapshot
    assert recording.named(LOAD_BALANCER, "web-internal").inputs["enableDeletionProtection"] is protect
    assert all(b.inputs["forceDestroy"] is not protect for b in recording.of_type(BUCKET))


@every_stack
def test_logs_are_kept_for_a_limited_time(variant: str):
    recording = recorded(variant)
    for group in each(recording, "aws:cloudwatch/logGroup:LogGroup"):
        assert group.inputs["retentionInDays"] > 0, f"{group.name}: 0 keeps, and bills, for ever"
    exported = recording.only(DATABASE).inputs["enabledCloudwatchLogsExports"]
    names = {group.inputs["name"] for group in recording.of_type("aws:cloudwatch/logGroup:LogGroup")}
    identifier = recording.only(DATABASE).inputs["identifier"]
    assert {f"/aws/rds/instance/{identifier}/{export}" for export in exported} <= names, (
        "otherwise RDS creates log groups without a retention"
    )
    for balancer in each(recording, LOAD_BALANCER):
        assert balancer.inputs["accessLogs"]["enabled"] is True, balancer.name


@every_stack
def test_no_secret_is_in_user_data_or_readable_in_the_state(variant: str):
    recording = recorded(variant)
    secrets = secret_values(recording)
    assert len(secrets) >= 8, "the search below needs secrets to look for"
    for template in each(recording, TEMPLATE):
        for path, content in decode(template.inputs["userData"]).items():
            assert not [s for s in secrets if s in content], f"{template.name} contains a secret in {path}"
    for resource in recording.resources:
        for where, text in readable_state(resource).items():
            assert not [s for s in secrets if s in text], f"{resource.name} shows a secret in its {where}"
    assert not [s for s in secrets if s in json.dumps(recording.exports)], "pulumi stack output shows a secret"


@every_stack
def test_no_secrets_name_ends_like_the_suffix_that_secrets_manager_adds(variant: str):
    # "Do not end your secret name with a hyphen followed by six characters":
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
    for secret in each(recorded(variant), "aws:secretsmanager/secret:Secret"):
        assert not re.search("-.{6}$", secret.inputs["name"]), f"{secret.inputs['name']}: a partial ARN finds another"


@every_stack
def test_every_value_of_a_secret_is_secret_in_the_state(variant: str):
    recording = recorded(variant)
    for version in each(recording, SECRET_VERSION):
        assert "secretString" in version.secret_inputs, version.name
    assert "authToken" in recording.only(BROKER).secret_inputs
    assert not {"password", "masterPassword"} & recording.only(DATABASE).inputs.keys()


@every_stack
def test_a_preview_shows_every_resource_and_all_user_data(variant: str):
    previewed, recording = recorded(variant, preview=True), recorded(variant)
    assert {(r.type, r.name) for r in previewed.resources} == {(r.type, r.name) for r in recording.resources}
    for template in each(recording, TEMPLATE):
        assert previewed.named(TEMPLATE, template.name).inputs["userData"] == template.inputs["userData"]


@every_stack
def test_user_data_depends_on_no_other_resource(variant: str):
    recording = recorded(variant)
    for template in each(recording, TEMPLATE):
        assert "userData" not in template.property_dependencies, template.name


@every_stack
def test_only_the_tags_of_a_launch_template_wait_for_the_database(variant: str):
    recording = recorded(variant)
    by_urn = {resource.urn: resource for resource in recording.resources}
    for template in each(recording, TEMPLATE):
        for key, urns in template.property_dependencies.items():
            reached = {each.type for urn in urns for each in (by_urn[urn], *everything_before(recording, by_urn[urn]))}
            waits_for = reached & {DATABASE, BROKER, SECRET_VERSION, LOAD_BALANCER}
            expected = {DATABASE, BROKER, SECRET_VERSION} if key == "tagSpecifications" else set()
            assert waits_for == expected, f"{template.name}: {key}"


@pytest.mark.parametrize(("type_", "key"), LONGEST_NAMES)
def test_physical_names_are_no_longer_than_aws_allows(type_: str, key: str):
    resources = [resource for variant in VARIANTS for resource in recorded(variant).of_type(type_)]
    names = {resource.inputs[key] for resource in resources if key in resource.inputs}
    assert names, f"no stack variant has a {type_} with {key}: the limit would be checked on nothing"
    assert not [name for name in names if len(name) > LONGEST_NAMES[type_, key]]


def test_nodes_get_an_image_of_their_architecture():
    for variant, architecture in (("prod", "amd64"), ("arm64", "arm64")):
        images = {template.inputs["imageId"] for template in recorded(variant).of_type(TEMPLATE)}
        assert images == {f"resolve:ssm:/aws/service/debian/release/13/latest/{architecture}"}


def test_an_existing_network_gets_no_subnets_or_routes():
    recording = recorded("existing-vpc")
    made = {resource.type.split("/")[0] + ":" + resource.type.split(":")[-1] for resource in recording.resources}
    assert not made & {"aws:ec2:Vpc", "aws:ec2:Subnet", "aws:ec2:Route", "aws:ec2:NatGateway", "aws:ec2:RouteTable"}
    zone = recording.only("aws:route53/zone:Zone")
    assert zone.inputs["vpcs"] == [{"vpcId": "vpc-0a1b2c3d4e5f60718"}]
