"""The settings that the rest of the program uses, and how they are read from Pulumi's configuration."""

from __future__ import annotations

import json

import pulumi
import pytest
from pydantic import ValidationError

from aws_catalog.provider_options import PROVIDER_OPTIONS
from node.roles import MASTERS
from settings import NodeImageSettings, PublicWeb
from settings.errors import SettingsError
from tests.stack_file import REMOVED, changed, content, faults_of, load, the_fault


def test_the_operator_sees_no_traceback():
    assert issubclass(SettingsError, pulumi.RunError), "Pulumi prints a RunError's message alone"


def test_all_faults_are_reported_at_once_in_the_order_of_the_stack_file():
    faults = faults_of(
        {
            "airflow:workerPools.default.minSize": 9,
            "airflow:database.backupRetentionDays": 40,
            "airflow:cluster.nmae": "airflow-prod",
            "aws:region": "eu-west-9",
            "airflow:web.public": {},
        }
    )
    assert [fault.key for fault in faults] == [
        "aws:region",
        "airflow:cluster.nmae",
        "airflow:database.backupRetentionDays",
        "airflow:workerPools.default.minSize",
        "airflow:web.public",
    ], "with one fault at a time, an operator would need one preview for each"


def test_a_faulty_value_does_not_hide_the_rules_between_others():
    faults = faults_of(
        {
            "airflow:workerPools.default.rootVolumeGib": "large",
            "airflow:workerPools.heavy.concurrency": 0,
            "airflow:workerPools.default.minSize": 9,
            "airflow:workerPools.heavy.queues": ["heavy", "default"],
        }
    )
    assert {fault.key for fault in faults} == {
        "airflow:workerPools.default.rootVolumeGib",
        "airflow:workerPools.heavy.concurrency",
        "airflow:workerPools.default.minSize",
        "airflow:workerPools.heavy.queues",
    }


def test_a_rule_reports_nothing_about_a_value_that_is_faulty_itself():
    fault = the_fault({"airflow:workerPools.default.minSize": "nine"})
    assert fault.key == "airflow:workerPools.default.minSize"
    assert fault.given == '"nine"'


def test_the_report_names_the_stack_file_and_counts_the_faults():
    with pytest.raises(SettingsError) as refusal:
        load(changed({"airflow:masters.count": 0, "airflow:broker.replicas": 6}))
    report = str(refusal.value)
    assert report.startswith("Pulumi.stack.yaml has 2 faults; nothing was created or changed.")
    assert (
        "1. airflow:broker.replicas\n"
        "   given:   6\n"
        "   allowed: a whole number from 0 to 5 (nodes)\n"
        "   to do:   lower it to at most 5\n"
    ) in report
    assert report.endswith("docs/settings.md describes every key.")


def test_every_required_section_that_is_missing_is_reported():
    with pytest.raises(SettingsError) as refusal:
        load({"airflow:config": {}})
    assert [fault.key for fault in refusal.value.faults] == [
        "aws:region",
        "airflow:cluster",
        "airflow:network",
        "airflow:database",
        "airflow:broker",
        "airflow:masters",
        "airflow:workerPools",
        "airflow:web",
    ]


def test_an_empty_stack_file_is_one_fault():
    with pytest.raises(SettingsError) as refusal:
        load({})
    assert [fault.key for fault in refusal.value.faults] == ["config:"]


def test_the_fault_for_a_missing_key_says_what_is_allowed():
    fault = the_fault({"airflow:database.instanceClass": REMOVED})
    assert (fault.key, fault.given) == ("airflow:database.instanceClass", "nothing")
    assert "db.m7g.large" in fault.allowed


def test_the_remedy_for_a_misspelt_key_is_the_nearest_one():
    faults = faults_of({"airflow:database.instance_class": "db.m7g.large", "airflow:database.instanceClass": REMOVED})
    unknown = next(fault for fault in faults if fault.key == "airflow:database.instance_class")
    assert unknown.remedy == "did you mean airflow:database.instanceClass?", "keys are camelCase in the stack file"


def test_the_remedy_for_a_misspelt_section_is_the_nearest_one():
    fault = the_fault({"airflow:workerPool": {}})
    assert fault.key == "airflow:workerPool"
    assert fault.remedy == "did you mean airflow:workerPools?"


def test_a_misspelt_namespace_is_reported():
    fault = the_fault({"airlfow:retention": {"taskLogsDays": 1}})
    assert fault.key == "airlfow:retention"
    assert fault.remedy == "did you mean airflow:retention?"


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("aws:allowedAccountId", "aws:allowedAccountIds"),
        ("aws:allowed_account_ids", "aws:allowedAccountIds"),
        ("aws:defaultTag", "aws:defaultTags"),
        ("aws:Region", "aws:region"),
    ],
)
def test_the_remedy_for_a_misspelt_key_of_the_provider_is_the_one_the_program_reads(misspelt: str, meant: str):
    fault = the_fault({misspelt: ["111122223333"]})
    assert fault.key == misspelt
    assert fault.remedy == f"did you mean {meant}?", "the provider ignores unknown keys"


@pytest.mark.parametrize("option", sorted(set(PROVIDER_OPTIONS) - {"region", "allowedAccountIds", "defaultTags"}))
def test_other_options_of_the_provider_are_accepted(option: str):
    assert faults_of({f"aws:{option}": "x"}) == ()


def test_the_remedy_for_a_key_of_the_provider_in_our_namespace_is_to_move_it():
    fault = the_fault({"airflow:region": "eu-west-1"})
    assert fault.remedy == "write aws:region"


def test_the_value_of_an_unknown_key_is_not_shown():
    with pytest.raises(SettingsError) as refusal:
        load(changed({"airflow:database.password": "hunter2"}))
    assert "hunter2" not in str(refusal.value), "a password in the wrong place must not appear in a CI log"


def test_keys_of_other_providers_are_accepted():
    assert faults_of({"aws:profile": "prod", "pulumi:disable-default-providers": ["kubernetes"]}) == ()


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        ("airflow:cluster.protectData", "yes", "true or false"),
        ("airflow:cluster.protectData", 1, "true or false"),
        ("airflow:cluster.accountId", 111122223333, "12 digits, in quotes"),
        ("airflow:database.engineVersion", 17, "in quotes"),
        ("airflow:masters.count", 1.5, "a whole number from 1 to 10 (nodes)"),
        ("airflow:masters.count", True, "a whole number from 1 to 10 (nodes)"),
        ("airflow:network.zones", "eu-west-1a", "a list"),
        ("airflow:workerPools.default", ["default"], "a section with keys"),
        ("airflow:workerPools", [], "a map of names to values"),
        ("airflow:retention", "short", "a section with keys"),
        ("airflow:config", "fast", "a map of names to values"),
        ("airflow:web.allowedCidrs", {}, "a list of at least 1 network, without duplicates"),
    ],
)
def test_the_fault_for_a_value_of_the_wrong_type_names_the_right_type(path: str, value: object, allowed: str):
    fault = the_fault({path: value})
    assert fault.key == path
    assert allowed in fault.allowed


def test_a_key_without_a_value_does_not_mean_its_default():
    fault = the_fault({"airflow:masters.count": None})
    assert fault.given == "nothing"
    assert fault.remedy == "give it a value, or leave the key out to use the default"


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("airflow:cluster.name", "give it a value; the program has no default for it"),
        ("airflow:cluster", "give it a value; the program has no default for it"),
        ("airflow:workerPools.heavy", "give it a value, or remove it"),
        ("airflow:config.core", "give it a value, or remove it"),
        ("airflow:config.core.parallelism", "give it a value, or remove it"),
        ("aws:defaultTags.tags.Team", "give it a value, or remove it"),
        ("airflow:web.public", "indent its keys below it, write {} for its defaults, or leave the key out"),
        ("airflow:network.existing", "indent its keys below it, or leave the key out"),
        ("airflow:packageIndex", "indent its keys below it, or leave the key out"),
        ("airflow:web.domain", "give it a value, or leave the key out to use the default"),
        ("airflow:nodeImage.amd64", "give it a value, or leave the key out to use the default"),
        ("airflow:workerPools.default.workersAhead", "give it a value, or leave the key out to use the default"),
    ],
)
def test_a_key_without_a_value_is_offered_a_default_only_where_there_is_one(path: str, remedy: str):
    fault = the_fault({path: None})
    assert (fault.key, fault.given, fault.remedy) == (path, "nothing", remedy)


@pytest.mark.parametrize(("value", "words"), [("fast", "a string, not shown"), ([], "a list"), (1, "a number")])
def test_an_options_value_is_described_only_by_its_type(value: object, words: str):
    assert the_fault({"airflow:config.core": value}).given == words


def test_an_encrypted_value_is_refused_without_being_shown():
    with pytest.raises(SettingsError) as refusal:
        load(changed({"airflow:config": {"core": {"fernet_key": "c2VjcmV0"}}}), secret_keys=["airflow:config"])
    assert [fault.key for fault in refusal.value.faults] == ["airflow:config"]
    assert "c2VjcmV0" not in str(refusal.value)
    assert "pulumi config rm --path 'airflow:config....'" in refusal.value.faults[0].remedy, "and not the whole section"


def test_the_configuration_is_read_from_the_environment_of_pulumis_engine(monkeypatch: pytest.MonkeyPatch):
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in content().items()}
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(texts))
    assert load({}) == load(content())
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps(["airflow:masters"]))
    with pytest.raises(SettingsError) as refusal:
        load({})
    assert [(fault.key, fault.given) for fault in refusal.value.faults] == [("airflow:masters", "an encrypted value")]


def test_default_tags_reach_the_settings():
    assert load(content()).tags == {"Project": "airflow", "Environment": "prod"}, "nodes are tagged from the settings"


def test_default_tags_without_their_inner_key_are_refused():
    fault = the_fault({"aws:defaultTags": {"Project": "airflow"}})
    assert fault.key == "aws:defaultTags.Project"
    assert "tags" in fault.allowed, "the provider would silently tag nothing"


def test_settings_are_immutable():
    settings = load(content())
    with pytest.raises(ValidationError):
        settings.cluster.name = "other"  # ty: ignore[invalid-assignment] - what the test is about


def test_the_settings_have_all_ranges_of_a_new_or_an_existing_vpc():
    own = load(content())
    existing = {
        "vpcId": "vpc-0123456789abcdef0",
        "cidrs": ["10.0.0.0/16", "100.64.0.0/20"],
        "privateSubnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
        "dataSubnetIds": ["subnet-0123456789abcdef2", "subnet-0123456789abcdef3"],
    }
    assert own.network.vpc_cidrs == ("10.80.0.0/16",)
    there = load(changed({"airflow:network": {"existing": existing}}))
    assert there.network.vpc_cidrs == ("10.0.0.0/16", "100.64.0.0/20")
    assert there.node_environment(MASTERS).variables()["FORWARDED_ALLOW_IPS"] == "10.0.0.0/16,100.64.0.0/20"


def test_architectures_follow_from_the_instance_types():
    settings = load(changed({"airflow:workerPools.heavy.instanceTypes": ["r7g.xlarge", "r8g.xlarge"]}))
    assert settings.masters.architecture == "amd64"
    assert settings.worker_pools["heavy"].architecture == "arm64"


def test_a_node_image_is_debians_newest_unless_pinned():
    images = NodeImageSettings(arm64="ami-0123456789abcdef0")
    assert images.image_id("amd64") == "resolve:ssm:/aws/service/debian/release/13/latest/amd64"
    assert images.image_id("arm64") == "ami-0123456789abcdef0"


def test_an_empty_section_uses_its_defaults():
    changes = {"airflow:web.public": {}, "airflow:web.domain": "airflow.example.com", "airflow:web.hostedZoneId": "Z1A"}
    assert load(changed(changes)).web.public == PublicWeb(allowed_cidrs=("0.0.0.0/0",))


@pytest.mark.parametrize(
    "value", ["https://me:hunter2@packages.example.com/", ["https://me:hunter2@packages.example.com/"]]
)
def test_no_part_of_a_fault_shows_a_url_with_credentials(value: object):
    for path in ("airflow:packageIndex.url", "airflow:web.domain", "airflow:workerPools.heavy.queues"):
        for fault in faults_of({path: value}):
            assert "hunter2" not in str(fault)
