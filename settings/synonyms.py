"""Keys that other tools have and a stack file does not, with what to use instead."""

from __future__ import annotations

from collections.abc import Mapping

_MADE = "leave it out: the program sets it, and keeps secrets in Secrets Manager"
_SIZE = "leave it out: rootVolumeGib sets the size"
_LOCKED = "leave it out: the nodes install the versions pinned in node/locks; `make lock` updates them"

# By section; in lower case, without separators.
_SYNONYMS: Mapping[str, Mapping[str, str]] = {
    "": {
        "dags": "leave it out: DAGs are published as releases; `pulumi stack output` prints the command",
        "requirements": "leave it out: list packages in airflow-requirements.txt and lock them with `make lock`",
        "secrets": "leave it out: store secrets in Airflow connections, which are encrypted in the database",
        "connections": "leave it out: create connections in Airflow, which stores them encrypted in its database",
        "env": "leave it out: set Airflow's options in airflow:config",
        "workers": "write airflow:workerPools, with a section for each pool",
        "scheduler": "write airflow:masters: each master runs a scheduler",
        "webserver": "write airflow:web",
    },
    "cluster": {
        "region": "move it to aws:region",
        "version": _LOCKED,
        "airflowversion": _LOCKED,
        "environment": "leave it out, or make it a tag in aws:defaultTags.tags",
    },
    "network": {
        "vpcid": "move it below existing, which holds the ids of an existing VPC",
        "privatesubnetids": "move it below existing, which holds the ids of an existing VPC",
        "publicsubnetids": "move it below existing, which holds the ids of an existing VPC",
        "subnets": "leave it out: the program divides cidr into subnets for each of the zones",
        "natgateway": "write natGateways: single, or perZone",
    },
    "database": {
        "engine": "leave it out: it is always PostgreSQL",
        "host": _MADE,
        "name": _MADE,
        "password": _MADE,
        "port": _MADE,
        "storage": "leave it out: allocatedStorageGib sets the size, maxAllocatedStorageGib how far it may grow",
        "user": _MADE,
        "username": _MADE,
    },
    "broker": {
        "engine": "leave it out: it is always ElastiCache",
        "host": _MADE,
        "password": _MADE,
        "url": _MADE,
    },
    "masters": {
        "ami": "move it to airflow:nodeImage",
        "desiredcapacity": "did you mean airflow:masters.count?",
        "disksize": _SIZE,
        "keyname": "leave it out: the nodes have no SSH",
        "maxsize": "leave it out: masters do not scale; count sets their number",
        "minsize": "leave it out: masters do not scale; count sets their number",
        "volumesize": _SIZE,
    },
    "workerPools": {
        "ami": "move it to airflow:nodeImage",
        "desiredcapacity": "leave it out: the masters scale the pool between minSize and maxSize",
        "desiredsize": "leave it out: the masters scale the pool between minSize and maxSize",
        "disksize": _SIZE,
        "keyname": "leave it out: the nodes have no SSH",
        "maxworkers": "did you mean airflow:workerPools.{pool}.maxSize?",
        "minworkers": "did you mean airflow:workerPools.{pool}.minSize?",
        "slots": "did you mean airflow:workerPools.{pool}.concurrency?",
        "spot": "write spotPercent: 100 for spot workers only; leave it out for none",
        "usespot": "write spotPercent: 100 for spot workers only; leave it out for none",
        "volumesize": _SIZE,
        "workerconcurrency": "did you mean airflow:workerPools.{pool}.concurrency?",
    },
    "web": {
        "certificatearn": "leave it out: with domain and hostedZoneId, the program creates one that ACM renews",
        "cidrs": "did you mean airflow:web.allowedCidrs?",
        "port": "leave it out: it is 443 with a domain, and 8080 without",
        "zoneid": "did you mean airflow:web.hostedZoneId?",
    },
}


def meant(path: tuple[str | int, ...]) -> str | None:
    """What to do about a key that does not exist but that other tools have; None for any other key."""
    section = str(path[0]) if len(path) > 1 else ""
    word = str(path[-1]).rpartition(":")[2].lower().replace("_", "").replace("-", "")
    remedy = _SYNONYMS.get(section, {}).get(word)
    return remedy.replace("{pool}", str(path[1])) if remedy and len(path) > 1 else remedy
