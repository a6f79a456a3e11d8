"""The environment file of a node, /etc/airflow/airflow.env, which is rendered from the stack file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from node.airflow_options.node_option import values
from node.airflow_options.rendering import COMMON_OPTIONS, SERVICE_OPTIONS
from node.artifacts import CA_BUNDLE, Artifact, artifacts_for
from node.dag_bundles import DEFAULT_BUNDLE, DagBundle, git_secrets
from node.naming import LAUNCHING_HOOK
from node.roles import DEFINITIONS, NodeGroup, Role
from node.worker_pool_config import WorkerPoolConfig

ENVIRONMENT_FILE = "/etc/airflow/airflow.env"
VENV = "/opt/airflow/venv"
ARTIFACTS = "/opt/airflow/artifacts"

ConfigValue = str | int | float | bool

_NEEDS_ESCAPE = re.compile(r'(["\\$`])')


@dataclass(frozen=True, kw_only=True)
class PackageIndex:
    """The stack's own package index.

    Attributes:
        credentials_secret: name of the secret with the credentials; None if the index needs none.
        pypi: whether packages that the index lacks come from PyPI.
    """

    url: str
    credentials_secret: str | None
    pypi: bool

    def variables(self) -> dict[str, str]:
        """The variables that the nodes' installation reads."""
        secret = {"NODE_PACKAGE_INDEX_SECRET": self.credentials_secret} if self.credentials_secret else {}
        return {"NODE_PACKAGE_INDEX": self.url, "NODE_PYPI": str(self.pypi).lower()} | secret


@dataclass(frozen=True, kw_only=True)
class NodeEnvironment:
    """Everything that differs between nodes, clusters and stacks. All of it is known from the stack file.

    Attributes:
        pool: the node's own worker pool; None for a role that has none.
        pools: every worker pool, for the masters, which scale them; empty for other roles.
        builds_for_pools: whether a master builds the environments of worker pools with requirements of their own.
        task_slots: tasks that all pools together can run at their maximum size; None leaves Airflow's defaults.
        metadata_days: how long a master keeps rows of the metadata database; 0 keeps them for ever.
        metrics_days: how long the monitor keeps metrics.
        web_url: where browsers find the UI.
        secure_cookies: whether browsers use HTTPS only.
        vpc_cidrs: the ranges of the load balancers, whose forwarding headers Airflow trusts.
        alert_topics: the SNS topics to which the monitor publishes, by severity.
        metrics_url: where the node sends its metrics; None if the stack has no monitor.
        system_packages: the Debian packages that the node installs.
        artifacts: what only nodes of this group fetch, also in place of what all nodes of its role would fetch.
        config: the user's Airflow options by section, which override the program's defaults but not LOCKED_OPTIONS.
    """

    group: NodeGroup
    cluster: str
    region: str
    pool: WorkerPoolConfig | None = None
    pools: tuple[WorkerPoolConfig, ...] = ()
    builds_for_pools: bool = False
    task_slots: int | None = None
    metadata_days: int = 0
    metrics_days: int = 0
    web_url: str
    secure_cookies: bool
    vpc_cidrs: tuple[str, ...]
    task_logs_bucket: str
    dags_bucket: str
    dag_bundles: tuple[DagBundle, ...] = (DagBundle(name=DEFAULT_BUNDLE),)
    artifacts_bucket: str
    alert_topics: Mapping[str, str] = field(default_factory=dict)
    metrics_url: str | None = None
    package_index: PackageIndex | None = None
    system_packages: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    config: Mapping[str, Mapping[str, ConfigValue]] = field(default_factory=dict)

    @property
    def role(self) -> Role:
        """The node's role."""
        return self.group.role

    @property
    def worker_pool(self) -> WorkerPoolConfig:
        """The node's own worker pool; a ValueError for a role that has none."""
        if self.pool is None:
            raise ValueError(f"A {self.role} belongs to no worker pool.")
        return self.pool

    def options(self) -> dict[tuple[str, str], str]:
        """Every Airflow option that the file sets, with its value."""
        if not self.role.definition.runs_airflow:
            return {}
        chosen = {
            (section.lower(), option.lower()): config_text(value)
            for section, options in self.config.items()
            for option, value in options.items()
        }
        own = (*COMMON_OPTIONS, *self.role.definition.airflow_options)
        defaults = values((each for each in own if not each.locked), self)
        return defaults | chosen | values((each for each in own if each.locked), self)

    def airflow_options(self) -> frozenset[tuple[str, str]]:
        """The (section, option) pairs that the file sets."""
        return frozenset(self.options())

    def variables(self) -> dict[str, str]:
        """The file's variables by name."""
        airflow = {variable_name(section, option): value for (section, option), value in self.options().items()}
        return self._node_variables() | self._process_variables() | airflow

    def service_variables(self) -> dict[str, str]:
        """Variables of the Airflow options that services have and commands do not, in the drop-ins of the services."""
        return {variable_name(*name): value for name, value in values(SERVICE_OPTIONS, self).items()}

    def render(self) -> str:
        """The file's text, in the syntax that systemd's EnvironmentFile= and a shell both read."""
        lines = [assignment(name, value) for name, value in sorted(self.variables().items())]
        return "# From the stack file.\n" + "".join(lines)

    def _node_variables(self) -> dict[str, str]:
        """Variables for the node's own programs."""
        names = {
            "NODE_ROLE": self.role.value,
            "NODE_CLUSTER": self.cluster,
            "NODE_GROUP": self.group.name(self.cluster),
            "NODE_LAUNCHING_HOOK": LAUNCHING_HOOK,
            "NODE_ARTIFACTS_BUCKET": self.artifacts_bucket,
            "NODE_ARTIFACTS": " ".join(artifact.key for artifact in self._fetched().values()),
        }
        if self.role.definition.runs_airflow:
            names["NODE_SECRETS"] = self._secret_list(self.role.definition.secrets) + self._git_secrets()
        if self.metrics_url is not None:
            names["NODE_METRICS_URL"] = self.metrics_url
        if self.package_index is not None and self.role.definition.runs_airflow:
            names |= self.package_index.variables()
        if self.system_packages:
            # Sorted: another order in the stack file replaces no node.
            names["NODE_SYSTEM_PACKAGES"] = " ".join(sorted(set(self.system_packages)))
        if bootstrap := self.role.definition.bootstrap_secrets:
            names["NODE_BOOTSTRAP_SECRETS"] = self._secret_list(bootstrap)
        return names | self.role.definition.variables(self)

    def _fetched(self) -> dict[str, Artifact]:
        """What the node fetches, by the name of the file on the node."""
        return {artifact.name: artifact for artifact in (*artifacts_for(self.role), *self.artifacts)}

    def _secret_list(self, secrets: Mapping[str, str]) -> str:
        return " ".join(f"{variable}={self.cluster}/{key}" for key, variable in secrets.items())

    def _public_repositories(self) -> dict[str, str]:
        """Connections without credentials, because Airflow would ask the API for one that it does not find here."""
        public = [bundle for bundle in self.dag_bundles if bundle.git and not bundle.git.credentials_secret]
        return {bundle.connection_variable: "git://" for bundle in public}

    def _git_secrets(self) -> str:
        return "".join(f" {variable}={secret}" for variable, secret in sorted(git_secrets(self.dag_bundles).items()))

    def _process_variables(self) -> dict[str, str]:
        """Variables for Airflow, its libraries and the tasks, besides Airflow's options."""
        region = {"AWS_DEFAULT_REGION": self.region, "AWS_REGION": self.region}
        if not self.role.definition.runs_airflow:
            return region
        return {
            **region,
            "AIRFLOW_HOME": "/var/lib/airflow",
            # If this file did not exist, Airflow would write one with the values of its environment, including secrets.
            "AIRFLOW_CONFIG": "/etc/airflow/airflow.cfg",
            **self._public_repositories(),
            "PATH": f"{VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": "/usr/local/lib/airflow/python",
            # TLS to PostgreSQL is set here: `?sslmode=` in a DSN would break Airflow's async engine.
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": f"{ARTIFACTS}/{CA_BUNDLE.name}",
        }


def variable_name(section: str, option: str) -> str:
    """The environment variable of an Airflow option."""
    return f"AIRFLOW__{section.upper().replace('.', '_')}__{option.upper()}"


def config_text(value: ConfigValue) -> str:
    """An option's value as Airflow reads it."""
    return str(value)


def assignment(name: str, value: str) -> str:
    """One line of an EnvironmentFile, correct for any value. Raises ValueError for a NUL character.

    systemd expands nothing in such a file, but Airflow does: it replaces `$NAME` in the values of its own variables.
    On a node, `fetch-secrets` writes secrets in the same form; a test compares the two functions.
    """
    if "\0" in value:
        raise ValueError(f"The value of {name} contains a NUL character, which no environment variable can contain.")
    escaped = _NEEDS_ESCAPE.sub(r"\\\1", value)
    return f'{name}="{escaped}"\n'


LOCKED_OPTIONS: frozenset[tuple[str, str]] = frozenset(
    each.name
    for options in (COMMON_OPTIONS, *(definition.airflow_options for definition in DEFINITIONS.values()))
    for each in options
    if each.locked
)
"""The (section, option) pairs that a stack file's `airflow:config` may not set."""
