"""The clusters that the stack-wide tests check: the stack files, and variants with other settings."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from functools import cache
from typing import Any

from engine.program import deploy
from engine.recording import Recording
from settings import Settings
from tests.stack_file import REMOVED, ROOT, changed, content, load

DOMAIN = {"airflow:web.domain": "airflow.example.com", "airflow:web.hostedZoneId": "Z0123456789ABCDEFGHIJ"}

GIT = {
    "repository": "ssh://git@git.example.com/legal/dags.git",
    "trackingRef": "main",
    "credentialsSecret": "legal/git",
    "knownHosts": ["git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1zqwN6gEo1cZ2vCzSKdvqhMrzTFmQkE4s8mBu3s0xT"],
}
ALERTS = {
    "subscribers": {
        "on-call": {"endpoint": "on-call@example.com", "minimumSeverity": "critical"},
        "team": {"endpoint": "https://alerts.example.com/sns"},
    }
}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    **{path.name.split(".")[1]: content(path.name.split(".")[1]) for path in sorted(ROOT.glob("Pulumi.*.yaml"))},
    "domain": changed(DOMAIN),
    "public": changed({**DOMAIN, "airflow:web.public": {}}),
    "existing-vpc": changed(
        {
            "airflow:network.cidr": REMOVED,
            "airflow:network.zones": REMOVED,
            "airflow:network.natGateways": REMOVED,
            "airflow:network.existing": {
                "vpcId": "vpc-0a1b2c3d4e5f60718",
                "cidrs": ["10.80.0.0/16", "100.64.0.0/16"],
                "privateSubnetIds": ["subnet-0a1b2c3d4e5f60718", "subnet-0a1b2c3d4e5f60719"],
                "dataSubnetIds": ["subnet-0a1b2c3d4e5f6071a", "subnet-0a1b2c3d4e5f6071b"],
            },
        }
    ),
    "arm64": changed(
        {
            "airflow:masters.instanceType": "m7g.large",
            "airflow:workerPools.default.instanceTypes": ["m7g.xlarge", "m6g.xlarge"],
            "airflow:workerPools.heavy.instanceTypes": ["r7g.xlarge", "r6g.xlarge"],
        }
    ),
    "spot": changed(
        {
            "airflow:workerPools.default.concurrency": REMOVED,
            "airflow:workerPools.default.taskMemoryGib": 1.5,
            "airflow:workerPools.default.onDemandBase": 2,
            "airflow:workerPools.default.spotPercent": 75,
            "airflow:workerPools.heavy.drainLimitHours": 47,
            "airflow:workerPools.heavy.workersAhead": 0,
            "airflow:nodeImage.amd64": "ami-0123456789abcdef0",
        }
    ),
    "endpoints": changed({"airflow:network.interfaceEndpoints": ["secretsmanager", "autoscaling"]}),
    "package-index": changed(
        {
            "airflow:packageIndex": {
                "url": "https://packages.example.com/simple/",
                "credentialsSecret": "airflow/package-index",
                "pypi": False,
            }
        }
    ),
    "bundles": changed({"airflow:dagBundles": {"finance": {}, "finance-reports": {}, "legal": {"git": GIT}}}),
    "alerts": changed({**DOMAIN, "airflow:web.public": {}, "airflow:alerts": ALERTS}),
    # Burstable database and broker, no replica, one NAT gateway.
    "alerts-small": changed({"airflow:alerts": {}}, stack="dev"),
    "monitoring": changed(
        {"airflow:monitoring": {"instanceType": "t4g.small", "zone": "eu-west-1b"}, "airflow:alerts": {}}
    ),
    # The longest name that the settings accept.
    "long-name": changed({**DOMAIN, "airflow:web.public": {}, "airflow:cluster.name": "airflow-prod-of-long-name"}),
}


@cache
def recorded(variant: str, *, preview: bool = False) -> Recording:
    """The resources that the program registers for the variant. Tests share them and must not change them."""
    return program(VARIANTS[variant], preview=preview)


def program(config: Mapping[str, Any], *, preview: bool = False) -> Recording:
    """The resources that the program registers for a stack file's content."""
    path = str(ROOT / "__main__.py")
    _, recording = deploy(lambda: runpy.run_path(path), config=config, preview=preview)
    return recording


@cache
def settings_of(variant: str) -> Settings:
    """The variant's settings, for rules that depend on them."""
    return load(dict(VARIANTS[variant]))
