"""All rules between settings, in the order in which their faults are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from setting_rules import (
    account,
    airflow_config,
    connections,
    names,
    network,
    node_environments,
    nodes,
    option_values,
    storage,
    web,
)
from setting_rules.faults import Fault, FaultyValue

if TYPE_CHECKING:
    from settings import Settings

Rule = Callable[["Settings"], Iterator[Fault]]

RULES: tuple[Rule, ...] = (
    account.account_is_allowed,
    account.tags_fit,
    names.cluster_name_length,
    names.cluster_name_start,
    names.pool_name_length,
    network.own_or_existing,
    network.zones_exist,
    network.own_range_holds_the_nodes,
    network.existing_subnets_differ,
    network.existing_public_subnets,
    storage.storage_can_grow,
    storage.protected_data_has_backups,
    storage.metadata_outlives_its_runs,
    connections.connections_suffice,
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
    airflow_config.options_exist,
    airflow_config.options_are_not_managed,
    airflow_config.options_can_work_here,
    airflow_config.options_hold_no_secrets,
    option_values.options_can_be_read,
    option_values.options_are_among_choices,
    option_values.time_zone_exists,
    option_values.percent_signs_are_single,
    option_values.visibility_timeout_covers_draining,
    option_values.parallelism_is_above_zero,
    option_values.pool_options_are_limits,
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
