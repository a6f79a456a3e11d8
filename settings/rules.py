"""All rules between settings, in the order in which their faults are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from settings import node_environments
from settings.errors import Fault, FaultyValue
from settings.sections import cluster, database, network, nodes, provider, storage, web
from settings.sections.airflow_config import refusals, values

if TYPE_CHECKING:
    from settings.stack import Settings

Rule = Callable[["Settings"], Iterator[Fault]]

RULES: tuple[Rule, ...] = (
    provider.account_is_allowed,
    provider.tags_fit,
    cluster.cluster_name_length,
    cluster.cluster_name_start,
    cluster.pool_name_length,
    network.own_or_existing,
    network.zones_exist,
    network.own_range_holds_the_nodes,
    network.existing_subnets_differ,
    network.existing_public_subnets,
    storage.storage_can_grow,
    storage.protected_data_has_backups,
    storage.metadata_outlives_its_runs,
    database.connections_suffice,
    nodes.masters_have_memory,
    nodes.there_is_a_pool,
    nodes.pools_are_sound,
    nodes.queues_have_one_pool,
    nodes.default_queue_is_served,
    web.domain_and_zone,
    web.public_has_a_domain,
    web.internal_sources_are_internal,
    web.public_sources_are_public,
    web.internal_sources_do_not_overlap,
    web.public_sources_do_not_overlap,
    web.sources_fit_a_security_group,
    refusals.options_exist,
    refusals.options_are_not_managed,
    refusals.options_can_work_here,
    refusals.options_hold_no_secrets,
    values.options_can_be_read,
    values.options_are_among_choices,
    values.time_zone_exists,
    values.percent_signs_are_single,
    values.visibility_timeout_covers_draining,
    values.parallelism_is_above_zero,
    values.pool_options_are_limits,
    node_environments.user_data_fits,
)


def broken_rules(settings: Settings) -> list[Fault]:
    """The faults between values. A rule that reads a value which is itself at fault stays silent from there on."""
    faults: list[Fault] = []
    for rule in RULES:
        try:
            faults.extend(rule(settings))
        except FaultyValue:
            continue
    return faults
