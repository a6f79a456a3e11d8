"""Each kind of value: what it refuses, and the texts that the operator sees."""

from __future__ import annotations

import pytest

from tests.stack_file import faults_of, the_fault

_EXISTING = {
    "vpcId": "vpc-0123456789abcdef0",
    "cidrs": ["10.0.0.0/16"],
    "privateSubnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "dataSubnetIds": ["subnet-0123456789abcdef2", "subnet-0123456789abcdef3"],
}


@pytest.mark.parametrize(
    ("path", "value", "allowed", "remedy"),
    [
        ("aws:region", "eu-west-11", "a region of the commercial partition", "did you mean eu-west-1?"),
        ("aws:region", "eu-moon-7", "a region of the commercial partition", "aws_catalog/regions.py"),
        (
            "aws:region",
            "us-gov-west-1",
            "a region of the commercial partition",
            "us-gov-west-1 is in aws-us-gov",
        ),
        ("aws:region", "cn-north-1", "a region of the commercial partition", "for example ap-east-1"),
        ("airflow:cluster.name", "Airflow", "lower-case letters, digits and single hyphens", "for example airflow"),
        ("airflow:cluster.name", "air_flow", "lower-case letters", "for example air-flow"),
        ("airflow:cluster.name", "1airflow", "starts with a letter", "for example airflow"),
        ("airflow:cluster.name", "air--flow", "single hyphens", "for example air-flow"),
        ("airflow:cluster.name", "airflow-", "ends with a letter or digit", "for example airflow"),
        ("airflow:cluster.accountId", "1111-2222-3333", "12 digits, in quotes", "aws sts get-caller-identity"),
        ("airflow:network.cidr", "10.80.0.0", "a private IPv4 network", "write 10.80.0.0/16"),
        ("airflow:network.cidr", "10.80.1.0/16", "a private IPv4 network", "write 10.80.0.0/16"),
        ("airflow:network.cidr", "fd00::/56", "a private IPv4 network", "IPv4"),
        ("airflow:network.cidr", "8.8.0.0/16", "RFC 1918", "10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"),
        ("airflow:network.cidr", "10.0.0.0/8", "from /16 to /22", "write 10.0.0.0/16"),
        ("airflow:network.cidr", "10.80.4.0/23", "from /16 to /22", "write 10.80.4.0/22"),
        ("airflow:network.cidr", "10.20.0.0/12", "from /16 to /22", "write 10.20.0.0/16"),
        ("airflow:network.zones", ["eu-west-1a", "euw1-az1"], "for example eu-west-1a", "not its id (euw1-az1)"),
        ("airflow:network.natGateways", "none", "'perZone' or 'single'", "write one of these"),
        ("airflow:network.flowLogRetentionDays", 45, "one of 1, 3, 5, 7", "the next accepted value is 60"),
        ("airflow:network.flowLogRetentionDays", 5000, "3653 (days", "at most 3653 days"),
        ("airflow:retention.logGroupsDays", 8, "one of 1, 3, 5, 7, 14", "the next accepted value is 14"),
        ("airflow:retention.taskLogsDays", 0, "a whole number from 1", "raise it to at least 1"),
        ("airflow:network.interfaceEndpoints", ["secretmanager"], "secretsmanager", "did you mean secretsmanager?"),
        (
            "airflow:packageIndex",
            {"url": "http://packages.example.com/simple/"},
            "https:// address",
            "credentialsSecret",
        ),
        (
            "airflow:packageIndex",
            {"url": "https://me:hush@packages.example.com/"},
            "https:// address",
            "credentialsSecret",
        ),
        (
            "airflow:packageIndex",
            {
                "url": "https://packages.example.com/simple/",
                "credentialsSecret": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/packages-AbCdEf",
            },
            "name of a secret",
            "give its name, not its ARN: team/packages",
        ),
        (
            "airflow:packageIndex",
            {"url": "https://packages.example.com/simple/", "credentialsSecret": "package index"},
            "letters, digits and /_+=.@-",
            "aws secretsmanager list-secrets",
        ),
        ("airflow:database.instanceClass", "db.m7g.larg", "runs PostgreSQL 17", "did you mean db.m7g.large?"),
        ("airflow:database.instanceClass", "db.z1d.large", "runs PostgreSQL 17", "aws_catalog/database_classes.py"),
        ("airflow:database.instanceClass", "m7g.large", "runs PostgreSQL 17", "did you mean db.m7g.large?"),
        ("airflow:database.engineVersion", "16.4", "PostgreSQL 17, in quotes", "tested with 17"),
        ("airflow:database.allocatedStorageGib", 10, "from 20 to 65,536 (GiB, gp3)", "raise it to at least 20"),
        ("airflow:database.backupRetentionDays", 40, "from 0 to 35 (days)", "lower it to at most 35"),
        ("airflow:broker.nodeType", "m7g.large", "an ElastiCache node type", "did you mean cache.m7g.large?"),
        ("airflow:broker.nodeType", "cache.t2.micro", "of a current generation", "did you mean cache.t"),
        ("airflow:broker.replicas", 6, "from 0 to 5 (nodes)", "lower it to at most 5"),
        ("airflow:broker.snapshotRetentionDays", 36, "from 0 to 35 (days)", "lower it to at most 35"),
        ("airflow:masters.count", 0, "from 1 to 10 (nodes)", "raise it to at least 1"),
        (
            "airflow:masters.instanceType",
            "m7i-large",
            "an EC2 instance type that runs Linux",
            "did you mean m7i.large?",
        ),
        (
            "airflow:masters.instanceType",
            ["m7i.large"],
            "that runs Linux",
            "write m7i.large, a single string without brackets",
        ),
        ("airflow:masters.instanceType", "mac2.metal", "that runs Linux", "Mac instances do not run Linux"),
        ("airflow:masters.instanceType", "zz9.huge", "that runs Linux", "add it to aws_catalog/instance_types.txt"),
        (
            "airflow:masters.instanceType",
            "g5.large",
            "that runs Linux",
            "did you mean g5.xlarge? g5 has xlarge, 2xlarge, 4",
        ),
        ("airflow:masters.instanceType", "m9z.large", "that runs Linux", "did you mean m9g.large?"),
        ("airflow:masters.instanceType", "M7i.Large", "that runs Linux", "write m7i.large"),
        ("airflow:masters.rootVolumeGib", 8, "from 16 to 16,384 (GiB)", "raise it to at least 16"),
        ("airflow:workerPools.default.concurrency", 0, "from 1 to 1,000 (tasks)", "raise it to at least 1"),
        (
            "airflow:workerPools.default.taskMemoryGib",
            0,
            "a number from 0.1 to 1,536 (GiB)",
            "raise it to at least 0.1",
        ),
        ("airflow:workerPools.default.taskMemoryGib", 2e9, "from 0.1 to 1,536 (GiB)", "lower it to at most 1,536"),
        ("airflow:workerPools.default.taskMemoryGib", "2", "from 0.1 to 1,536 (GiB)", "without quotes"),
        ("airflow:workerPools.default.taskMemoryGib", True, "from 0.1 to 1,536 (GiB)", "without quotes"),
        ("airflow:workerPools.default.taskMemoryGib", float("nan"), "a number from 0.1", "raise it to at least 0.1"),
        ("airflow:workerPools.default.spotPercent", 101, "from 0 to 100 (percent)", "lower it to at most 100"),
        ("airflow:workerPools.default.onDemandBase", -1, "from 0 to 1,000 (workers)", "raise it to at least 0"),
        (
            "airflow:workerPools.default.idleSeconds",
            9,
            "from 10 to 86,400 (seconds; the masters check every 10)",
            "raise it to at least 10",
        ),
        (
            "airflow:workerPools.default.drainLimitHours",
            48,
            "from 1 to 47 (hours; AWS holds a node for at most 48)",
            "lower it to at most 47",
        ),
        (
            "airflow:workerPools.default.drainLimitHours",
            0,
            "from 1 to 47 (hours; AWS holds a node for at most 48)",
            "raise it to at least 1",
        ),
        ("airflow:workerPools.default.bootLeadSeconds", 5, "from 10 to 3,600 (seconds)", "raise it to at least 10"),
        ("airflow:workerPools.default.workersAhead", -1, "from 0 to 1,000 (workers)", "raise it to at least 0"),
        (
            "airflow:workerPools.default.instanceTypes",
            [],
            "at least 1 instance type, at most 40",
            "give at least 1",
        ),
        ("airflow:workerPools.heavy.queues", [], "a list of at least 1 queue", "give at least 1"),
        ("airflow:workerPools.heavy.queues", ["a", "a"], "without duplicates", "keep only one of each: a"),
        ("airflow:workerPools.heavy.queues", ["a,b"], "joins a worker's queues with commas", "write [a, b]"),
        ("airflow:workerPools.heavy.queues", ["-x"], "no hyphen or dot at the start", "for example x"),
        ("airflow:workerPools.heavy.queues", ["big data"], "letters, digits, dots", "for example big-data"),
        ("airflow:workerPools.heavy.queues", ["unacked"], "Celery reserves names", "for example tasks-unacked"),
        ("airflow:workerPools.heavy.queues", ["unacked_index"], "unacked", "for example tasks-unacked_index"),
        ("airflow:workerPools.heavy.queues", ["_kombu.binding.x"], "_kombu", "for example tasks-_kombu.binding.x"),
        ("airflow:workerPools.heavy.queues", ["celeryev"], "celeryev", "for example tasks-celeryev"),
        (
            "airflow:workerPools.heavy.queues",
            ["reply.celery.pidbox"],
            ".pidbox",
            "for example reply.celery.pidbox-tasks",
        ),
        ("airflow:web.allowedCidrs", ["10.0.0.0/255.0.0.0"], "an IPv4 network such as", "write 10.0.0.0/8"),
        ("airflow:web.allowedCidrs", ["office"], "an IPv4 network such as", "a slash and the prefix length"),
        ("airflow:web.hostedZoneId", "/hostedzone/Z123", "a Route 53 hosted zone id", "write Z123"),
        ("airflow:web.domain", "https://airflow.example.com", "without scheme", "airflow.example.com"),
        ("airflow:web.domain", "airflow", "a public host name", "airflow.example.com"),
        ("airflow:web.domain", "*.example.com", "wildcard", "airflow.example.com"),
        ("airflow:web.domain", "prod.internal", "a public host name", ".internal cannot be registered"),
        ("airflow:web.domain", "airflow.corp.local", "a public host name", ".local cannot be registered"),
        ("airflow:web.domain", f"{'a' * 60}.example.com", "at most 64 characters (ACM)", "airflow.example.com"),
        ("airflow:nodeImage", {"amd64": "debian-13"}, "an AMI id", "Debian 13 image in this region"),
        (
            "airflow:config",
            {"core": {"parallelism": [64]}},
            "a string, a number, true or false",
            "as a string, in quotes",
        ),
        ("airflow:config", {"core": {"parallelism": "6\n4"}}, "text on one line", "write it on one line"),
        ("aws:allowedAccountIds", ["1234"], "12 digits, in quotes", "aws sts get-caller-identity"),
        ("aws:defaultTags.tags", {"aws:team": "data"}, "not starting with aws: or rds:", "for example team"),
        ("aws:defaultTags.tags", {"AWS:team": "data"}, "not starting with aws: or rds:", "for example team"),
        ("aws:defaultTags.tags", {"rds:team": "data"}, "not starting with aws: or rds:", "for example team"),
        ("aws:defaultTags.tags", {" ": "data"}, "no space at either end", "rename the tag"),
        ("aws:defaultTags.tags", {"": "data"}, "1 to 127 letters", "rename the tag"),
        ("aws:defaultTags.tags", {"team ": "data"}, "no space at either end", "for example team"),
        ("aws:defaultTags.tags", {"te*am": "data"}, "1 to 127 letters", "for example te-am"),
        ("aws:defaultTags.tags", {"Team": "rds:x"}, "not starting with aws: or rds:", "leave the other characters out"),
        ("aws:defaultTags.tags", {"Team": "data;ops"}, "up to 256 letters", "leave the other characters out"),
        ("aws:defaultTags.tags", {"CostCenter": 1234}, "up to 256 letters", "put it in quotes"),
        ("aws:defaultTags.tags", {"k" * 128: ""}, "1 to 127 letters", "rename the tag"),
    ],
)
def test_the_fault_for_a_value_out_of_bounds_says_what_is_allowed_and_what_to_do(
    path: str, value: object, allowed: str, remedy: str
):
    faults = [fault for fault in faults_of({path: value}) if fault.key.startswith(path)]
    assert len(faults) == 1, f"{path} = {value!r} should be one fault, is {faults}"
    assert allowed in faults[0].allowed
    assert remedy in faults[0].remedy


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hush@packages.example.com/simple/",
        "https://me:pa/hush@packages.example.com/simple/",
        "me:hush@packages.example.com/simple/",
        "https://packages.example.com/simple/?token=hush",
    ],
)
def test_a_password_in_a_url_is_not_shown_in_the_fault(url: str):
    assert "hush" not in str(the_fault({"airflow:packageIndex": {"url": url}}))


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://devpi.example.com/root/pypi/+simple/", "pypi-secret"),
        ("https://pkgs.dev.azure.com/team/_packaging/feed/pypi/simple", "prod/package-index-reader"),
        ("https://team-111122223333.d.codeartifact.eu-west-1.amazonaws.com:443/pypi/team/simple/", "package_index"),
    ],
)
def test_addresses_and_secrets_as_package_indexes_have_them_are_accepted(url: str, secret: str):
    assert faults_of({"airflow:packageIndex": {"url": url, "credentialsSecret": secret}}) == ()


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("vpcId", "vpc-main", "a VPC id: vpc- and 8 or 17 hexadecimal digits"),
        ("privateSubnetIds", ["private-a", "subnet-0123456789abcdef1"], "a subnet id"),
        ("dataSubnetIds", ["subnet-0123456789abcdef2"], "a list of at least 2 subnets"),
        ("cidrs", ["10.0.0.0/8"], "from /16 to /28"),
    ],
)
def test_ids_of_an_existing_network_are_checked_for_their_form(key: str, value: object, allowed: str):
    fault = the_fault({"airflow:network": {"existing": {**_EXISTING, key: value}}})
    assert fault.key.startswith(f"airflow:network.existing.{key}")
    assert allowed in fault.allowed


def test_a_bad_entry_of_a_list_is_named_by_its_index():
    fault = the_fault({"airflow:web.allowedCidrs": ["10.80.0.0/16", "10.90.0.0/33"]})
    assert fault.key == "airflow:web.allowedCidrs[1]"


def test_the_fault_for_a_bad_pool_name_shows_the_whole_name():
    fault = the_fault({"airflow:workerPools.GPU": _pool()})
    assert (fault.key, fault.given, fault.remedy) == ("airflow:workerPools.GPU", '"GPU"', "rename it, for example gpu")


def _pool() -> dict[str, object]:
    return {"queues": ["gpu"], "instanceTypes": ["g5.xlarge"], "concurrency": 1, "minSize": 0, "maxSize": 1}


@pytest.mark.parametrize("days", [1, 3, 14, 3653])
def test_retention_that_cloudwatch_allows_is_accepted(days: int):
    assert faults_of({"airflow:retention": {"logGroupsDays": days}}) == ()


@pytest.mark.parametrize("version", ["17", "17.6", "17.10"])
def test_a_minor_version_pins_the_database(version: str):
    assert faults_of({"airflow:database.engineVersion": version}) == ()
