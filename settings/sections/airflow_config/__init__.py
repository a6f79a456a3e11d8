"""`airflow:config`: Airflow options by section, with their rules."""

from __future__ import annotations

from settings.sections.airflow_config import existence, refusals, secrets, secrets_backend, values

RULES = (
    existence.options_exist,
    refusals.options_are_not_locked,
    refusals.options_can_work_here,
    secrets.options_hold_no_secrets,
    secrets_backend.backend_has_these_arguments,
    secrets_backend.tasks_backend_has_arguments_of_its_own,
    values.options_can_be_read,
    values.options_are_among_choices,
    values.time_zone_exists,
    values.percent_signs_are_single,
    values.visibility_timeout_covers_draining,
    values.parallelism_is_above_zero,
    values.pool_options_are_limits,
    values.large_xcoms_have_a_place,
    values.default_queue_is_served,
)
WARNINGS = (values.every_slot_can_be_used, refusals.options_are_read, existence.names_are_not_near_misses)
