"""The stack's cluster on this machine, for a person and for tests: `with Cluster() as cluster: ...`."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

import psycopg

from lab import (
    boot_times,
    cgroups,
    description,
    environments,
    forwarding,
    host,
    hosts_file,
    image,
    load_balancer,
    namespace,
    preconditions,
    releases,
    security_groups,
)
from lab.aws import account
from lab.aws.account import AccessKey
from lab.aws.fleet import Fleet, Group
from lab.aws.lifecycle import GONE, IN_SERVICE
from lab.boot_times import Boot
from lab.budget import divide
from lab.certificates import CertificateAuthority
from lab.description import Description
from lab.groups import Groups, Surroundings
from lab.infrastructure import Infrastructure
from lab.node import Node
from lab.progress import LabError, say, step
from lab.stack import record
from lab.terminations import Termination
from lab.volumes import Volumes
from node.dag_bundles import DEFAULT_BUNDLE

Found = TypeVar("Found")
LOCK = "lock"
LONGEST_WAIT = 900  # seconds; a cluster that works needs far less, also on a busy machine


class Cluster:
    """The cluster of one stack.

    Entering it builds everything and powers the first nodes on; leaving it leaves nothing behind.
    """

    def __init__(
        self,
        stack: str = "prod",
        changes: Mapping[str, Any] | None = None,
        *,
        memory_mib: int | None = None,
        from_lock: bool = False,
    ) -> None:
        """`changes` replaces keys of the stack file.

        `memory_mib` is the memory that the lab may use, by default all that is available. The pools' MaxSize is lowered
        to what fits into it at the same time.

        With `from_lock`, the first nodes install Airflow as in a new account, even if an earlier lab has kept its
        environment.
        """
        self._stack, self._changes = stack, changes or {}
        self._memory_mib, self._from_lock = memory_mib, from_lock
        self._started = time.monotonic()

    def __enter__(self) -> Cluster:
        preconditions.check_root()
        self._lock = take_lock()
        try:
            self._look_around()
        except BaseException:
            self._lock.close()  # nothing has been started
            raise
        try:
            self._up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _look_around(self) -> None:
        """Run the program, divide the machine's memory, and raise UnfitError if the machine lacks something."""
        with step(f"running the program of Pulumi.{self._stack}.yaml"):
            self._authority = CertificateAuthority()
            self.recording = record(self._stack, self._changes, rds_authority=self._authority.certificate)
        self.budget = divide(self.recording, self._memory_mib or cgroups.available_mib())
        preconditions.check(self.budget.shortage)
        host.install_programs()
        preconditions.check()  # again, with the programs that have just been installed

    def __exit__(self, *_: object) -> None:
        if (groups := getattr(self, "groups", None)) is not None:
            environments.keep(self.boto3("s3"), self.recording.exports["buckets"]["artifacts"])
            groups.close()
        if (infrastructure := getattr(self, "infrastructure", None)) is not None:
            infrastructure.namespace.close()
        try:
            sweep()
        finally:
            for held in getattr(self, "_images", ()):
                os.close(held)
            self._lock.close()

    def _up(self) -> None:
        sweep()
        say(self.budget.summary())
        self._images = [image.hold(image.NODE), image.hold(image.SERVERS)]
        cgroups.limit_nodes(self.budget.nodes)
        with step("starting the network, PostgreSQL, Valkey, the load balancer and AWS"):
            self.infrastructure = Infrastructure(self.recording, self._authority, self.budget.maximums)
        if not self._from_lock:
            environments.restore(self.boto3("s3"), self.recording.exports["buckets"]["artifacts"])
        self.url: str = self.recording.exports["url"]
        balancer = self.infrastructure.plan.load_balancers
        hosts_file.add(urlsplit(self.url).hostname or "", next(iter(balancer.values())))
        self.broker = self.infrastructure.valkey
        self.database = self.infrastructure.postgresql
        self._describe([], {})
        self.groups = Groups(self._surroundings(), on_change=self._describe)
        self.groups.start()

    @property
    def age(self) -> float:
        """Seconds since the start of the lab, images and installations included."""
        return time.monotonic() - self._started

    def nodes(self, *, role: str | None = None, pool: str | None = None) -> list[Node]:
        """The nodes that are there now, oldest first; those of a role (`master`, `worker`) or of a pool."""
        wanted = {"airflow:role": role, "airflow:pool": pool}
        return [
            node
            for node in self.groups.nodes()
            if all(value is None or node.instance.tags.get(tag) == value for tag, value in wanted.items())
        ]

    def boto3(self, service: str, key: AccessKey | None = None) -> Any:
        """A client of the lab's AWS: the operator's, or that of another key."""
        return self.infrastructure.client(service, key)

    def wait(
        self, until: Callable[[], Found], what: str, *, timeout: float = LONGEST_WAIT, interval: float = 1.0
    ) -> Found:
        """Wait until the result is true, and return it; TimeoutError names `what` was waited for `timeout` seconds.

        A shorter time than the default is for what the cluster promises to do in it.
        """
        end = time.monotonic() + timeout
        while not (found := until()):
            if self.groups.failure is not None:
                raise LabError(f"The lab no longer does EC2's part: {self.groups.failure!r}")
            if time.monotonic() > end:
                raise TimeoutError(f"waited {timeout:.0f} s for {what}")
            time.sleep(interval)
        return found

    def wait_ready(self, *pools: str) -> list[Boot]:
        """Wait until every group, or the masters and each pool given, has its size and all its nodes do their work.

        Returns the boots of the nodes that are there. TimeoutError names the nodes that are not ready in time.
        """
        try:
            self.wait(lambda: self._all_ready(pools), f"every node of {pools or 'the cluster'}")
        except TimeoutError as late:
            unready = ", ".join(self._unready(self._groups(pools))) or "none, but nodes are missing"
            raise TimeoutError(f"{late}; not ready: {unready}") from None
        names = {node.name for node in self.nodes()}
        return [boot for boot in self.groups.boots() if boot.node in names]

    def boot_table(self) -> str:
        """What each node's boot took, step by step."""
        return boot_times.table(boot_times.slowest_first(self.groups.boots()))

    @property
    def name(self) -> str:
        """The cluster's name, with which those of its secrets begin."""
        return self.recording.exports["secrets"]["admin-password"].partition("/")[0]

    def put_secret(self, name: str, value: str) -> None:
        """Store a secret of DAGs: `connections/<id>` or `variables/<key>`."""
        account.store_secret(self.boto3("secretsmanager"), f"{self.name}/{name}", value)

    def reads_of_secret(self, name: str) -> int:
        """How often anybody has asked AWS for the value of a secret of DAGs."""
        return (host.LOGS / "moto.log").read_text().count(f"GetSecretValue {self.name}/{name}\n")

    def admin(self) -> tuple[str, str]:
        """Name and password of the first admin."""
        name = self.recording.exports["secrets"]["admin-password"]
        secret = self.boto3("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
        return self.recording.exports["adminUser"], secret

    def psql(self, query: str, *, database: str = "airflow") -> list[tuple[Any, ...]]:
        """The rows of a query, as the database's admin; empty for a statement that returns no rows."""
        place = self.infrastructure.postgresql.database
        with psycopg.connect(
            host=place.name,
            hostaddr=str(place.address),
            port=place.port,
            user=place.admin,
            password=place.admin_password,
            dbname=database,
            sslmode="verify-full",
            sslrootcert=str(self.infrastructure.ca_file),
            autocommit=True,
        ) as connection:
            done = connection.execute(query.encode())
            return done.fetchall() if done.description else []

    def lifecycle_state(self, node: Node) -> str:
        """`Pending:Wait`, `InService`, `Terminating:Wait`, `Terminating:Retained` or `gone`, at this moment.

        A node that is gone is listed in `terminations`.
        """
        state = self._fleet.lifecycle_state(node.instance.id)
        if state == GONE:
            self.wait(lambda: node not in self.nodes(), f"{node.name} to depart", interval=0.1)
        return state

    @property
    def terminations(self) -> list[Termination]:
        """The nodes that went, in that order, and how."""
        return self.groups.terminations()

    def interrupt(self, node: Node, seconds: float = 120) -> None:
        """Let EC2 reclaim a node: it gets its notice at once, and loses its power after `seconds`. Returns at once."""
        self.groups.interrupt(node, seconds)

    def kill(self, node: Node) -> None:
        """Cut a node's power: the machine is lost from one moment to the next."""
        self.groups.kill(node)

    def recommend_rebalance(self, node: Node) -> None:
        """Let EC2 find a node at risk; a group that rebalances its capacity replaces it."""
        self.groups.recommend_rebalance(node)

    def refresh(self, pool: str) -> None:
        """Change a pool's launch template as `pulumi up` does, which replaces its workers one by one: a new worker is
        in service before an old one is terminated. Returns at once."""
        group = self._group_of(pool)
        account.change_template(self.boto3, group, {}, account.refresh_preferences(self.recording, group))

    def launched_from(self, node: Node) -> str:
        """The version of the launch template from which Auto Scaling says that a node was launched."""
        found = self.boto3("autoscaling").describe_auto_scaling_instances(InstanceIds=[node.instance.id])
        return found["AutoScalingInstances"][0]["LaunchTemplate"]["Version"]

    def set_launched_from(self, node: Node, version: str) -> None:
        """Have Auto Scaling say so of another version: a refresh without its boots."""
        tag = {"Key": "aws:ec2launchtemplate:version", "Value": version}
        self.boto3("ec2").create_tags(Resources=[node.instance.id], Tags=[tag])

    @contextlib.contextmanager
    def no_capacity(self, pool: str, message: str) -> Generator[None]:
        """Let launches of a pool fail, with this message in the group's activities."""
        self._fleet.refuse_launches(self._group_of(pool), message)
        try:
            yield
        finally:
            self._fleet.refuse_launches(self._group_of(pool), None)

    def put_dag(self, name: str, content: str) -> str:
        """Publish a release with this file, and with all others of the current one. Its version."""
        return self.publish_dags({name: content})

    def publish_dags(
        self, files: Mapping[str, str], deleted: Iterable[str] = (), *, bundle: str = DEFAULT_BUNDLE
    ) -> str:
        """Publish a release with these files, without the deleted ones, and with all others of the current one."""
        contents = {name: content.encode() for name, content in files.items()}
        return releases.change(self.boto3("s3"), self.dags_bucket, contents, deleted, bundle=bundle)

    def roll_dags_back(self, version: str) -> None:
        """Make an older release of the DAGs the current one again."""
        releases.make_current(self.boto3("s3"), self.dags_bucket, version)

    @property
    def dags_bucket(self) -> str:
        """The bucket with the releases of DAGs."""
        return self.recording.exports["buckets"]["dags"]

    def _groups(self, pools: Sequence[str]) -> list[Group]:
        """The masters and the groups of these pools; all groups without any."""
        others = set(self.recording.exports["autoscalingGroups"]["workerPools"]) - set(pools) if pools else ()
        left_out = {self._group_of(pool) for pool in others}
        return [group for group in self._fleet.groups().values() if group.name not in left_out]

    def _all_ready(self, pools: Sequence[str]) -> bool:
        """Every group has its size in service, nothing is on its way, and every node in service does its work.

        Nodes that are being terminated are not counted.
        """
        groups = self._groups(pools)
        states = {id_: state for group in groups for id_, state in group.states.items()}
        present = [node for node in self.nodes() if states.get(node.instance.id) == IN_SERVICE]
        settled = not any(state.startswith("Pending") for state in states.values())
        wanted = sum(group.desired for group in groups)
        in_service = sum(state == IN_SERVICE for state in states.values())
        return settled and in_service == wanted == len(present) and not self._unready(groups)

    def _unready(self, groups: Sequence[Group]) -> list[str]:
        """Nodes that do not do their work yet, or that their group still waits for."""
        ready = {boot.node for boot in self.groups.boots()}
        states = {id_: state for group in groups for id_, state in group.states.items()}
        names = {group.name for group in groups}
        return [
            f"{node.name} ({states.get(node.instance.id, GONE)})"
            for node in self.nodes()
            if node.instance.group in names
            and not states.get(node.instance.id, GONE).startswith("Terminating")
            and node.name not in ready
        ]

    def _surroundings(self) -> Surroundings:
        parts = self.infrastructure
        return Surroundings(
            namespace=parts.namespace,
            storage=parts.storage,
            plan=parts.plan,
            fleet=self._fleet,
            packet_filter=parts.packet_filter,
            target_groups=parts.haproxy.target_groups,
            metadata=parts.metadata_service.directory,
            volumes=Volumes(parts.namespace, self.recording, parts.client("ec2")),
            behind=load_balancer.target_groups(self.recording),
            security_groups=security_groups.groups_of_nodes(self.recording),
            memory={group: share.limit for group, share in self.budget.shares.items()},
        )

    @cached_property
    def _fleet(self) -> Fleet:
        parts = self.infrastructure
        return Fleet(parts.client, region=parts.region, account_id=parts.account_id)

    def _group_of(self, pool: str) -> str:
        return self.recording.exports["autoscalingGroups"]["workerPools"][pool]

    def _describe(self, nodes: Sequence[Node], states: Mapping[str, str]) -> None:
        parts = self.infrastructure
        description.write(
            Description(
                cluster=self.name,
                url=self.url,
                aws_address=str(parts.plan.aws),
                ca_file=str(parts.ca_file),
                region=parts.region,
                access_key_id=parts.operator.id,
                secret_access_key=parts.operator.secret,
                dags_bucket=self.dags_bucket,
                admin=self.recording.exports["adminUser"],
                admin_secret=self.recording.exports["secrets"]["admin-password"],
                nodes=description.describe_nodes(nodes, states),
            )
        )


def take_lock() -> IO[str]:
    """Make sure that this is the only lab of its number; LabError otherwise.

    The kernel frees the lock however this process ends.
    """
    host.make_private(host.STATE)
    lock = Path(host.STATE, LOCK).open("a+")  # noqa: SIM115 - it is held as long as the lab is up
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise LabError(
            f"The lab {host.NAME} is up already, or being cleaned up. For another one beside it, set AIRFLOW_LAB to "
            "a free number from 1 to 9 and use a stack with another network.cidr and cluster.name."
        ) from None
    return lock


def sweep() -> None:
    """Remove what an earlier lab left: packet filter table, cgroups, disks, the cluster's name in /etc/hosts."""
    try:
        namespace.sweep()
    finally:
        forwarding.withdraw()
        hosts_file.remove()
        for entry in host.STATE.iterdir():
            if entry.name != LOCK:  # removed, it would not be the lock that another lab waits for
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
