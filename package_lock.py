"""`make lock`: lock Airflow and airflow-requirements.txt for the nodes, with the package index of a stack."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aws_catalog import instance_types
from engine.stack_config import StackFileError, read_stack_config, stack_name
from node.environment import PackageIndex
from node.lock import PLATFORMS, PYPI, LockError, PoolRequirements, UvIndex, make_lock
from node.lock_inputs import POOL_LOCK_SUFFIX
from node.rootfs import PROGRAMS, ROOTFS
from settings import PackageIndexSettings, repository_file

# The nodes' own module, so that the lock uses the same indexes in the same order.
sys.path.append(str(ROOTFS / "common" / PROGRAMS.lstrip("/")))
from airflow_node import package_index

ROOT = Path(__file__).parent
KEY = "packageIndex"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="make lock", usage="make lock [STACK=prod] [UPGRADE=1]", description=__doc__)
    parser.add_argument("--stack", type=stack_name, default="prod", help="the stack whose airflow:packageIndex is used")
    parser.add_argument("--upgrade", action="store_true", help="use the newest versions instead of keeping pins")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    try:
        index, pools = stack_index(given.root, given.stack), pool_requirements(given.root)
        make_lock(upgrade=given.upgrade, index=index, pools=pools)
    except (LockError, StackFileError) as error:
        print(error, file=sys.stderr)
        return 1
    own = "".join(f", {pool.path}{POOL_LOCK_SUFFIX}" for pool in pools)
    print(f"Done. Review the changes in node/locks{own} and node/airflow_options/registry.json, then commit them.")
    return 0


def stack_index(root: Path, stack: str) -> UvIndex:
    """The package index of the stack, with its credentials.

    Checks nothing else in the stack file, which may already set options of the new Airflow that is about to be locked.
    """
    config = read_stack_config(root, stack)
    section = config.values.get(f"{config.project}:{KEY}")
    if section is None:
        return PYPI
    try:
        index = PackageIndexSettings.model_validate_json(section, by_alias=True, by_name=False).for_nodes()
    except ValidationError:
        raise LockError(f"airflow:{KEY} of {stack} is not valid; `make plan STACK={stack}` shows the faults.") from None
    return UvIndex(
        index, package_index.variables(index.url, pypi=index.pypi, credentials=_credentials(index, config.region))
    )


def pool_requirements(root: Path) -> list[PoolRequirements]:
    """The requirements of the worker pools of all stack files, with the platforms of the pools that have them.

    As above, checks nothing else: a key that cannot be read is a fault of the plan.
    """
    platforms: dict[str, set[str]] = {}
    for file in sorted(root.glob("Pulumi.*.yaml")):
        config = read_stack_config(root, file.name.split(".")[1])
        pools = json.loads(config.values.get(f"{config.project}:workerPools", "{}"))
        for pool in pools.values() if isinstance(pools, dict) else ():
            path = pool.get("requirements") if isinstance(pool, dict) else None
            if isinstance(path, str) and not repository_file.requirements_remedy(path):
                platforms.setdefault(path, set()).update(map(_platform, pool.get("instanceTypes") or ()))
    return [PoolRequirements(path, tuple(sorted(found))) for path, found in sorted(platforms.items())]


def _platform(instance_type: str) -> str:
    return dict(zip(("amd64", "arm64"), PLATFORMS, strict=True))[instance_types.architecture(instance_type)]


def _credentials(index: PackageIndex, region: str) -> Any:
    secret = index.credentials_secret
    if secret is None:
        return None
    # Imported here: only stacks with credentials for their index need the SDK and AWS credentials.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = boto3.client("secretsmanager", region_name=region).get_secret_value(SecretId=secret)
        return package_index.Credentials.from_secret(answer.get("SecretString", ""))
    except (BotoCoreError, ClientError) as error:
        raise LockError(
            f"The secret {secret} of the package index cannot be read in {region}: {error} "
            "Use AWS credentials of the stack's account that may call secretsmanager:GetSecretValue on it."
        ) from error
    except ValueError as error:
        raise LockError(f"The secret {secret} cannot be used: {error}.") from None


if __name__ == "__main__":
    sys.exit(main())
