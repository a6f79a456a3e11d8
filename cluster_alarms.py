"""Which alarms a cluster has: those on each of its parts that AWS measures."""

from __future__ import annotations

from components.alarm import Alarm
from components.alarm_tables.broker import broker_alarms
from components.alarm_tables.database import database_alarms
from components.alarm_tables.network import nat_alarms
from components.alarm_tables.node_groups import group_alarms
from components.alarm_tables.web import certificate_alarms, load_balancer_alarms
from components.celery_broker import CeleryBroker
from components.context import Context
from components.load_balancers import LoadBalancers
from components.metadata_database import MetadataDatabase
from components.network import Network
from settings import Settings


def cluster_alarms(
    context: Context,
    settings: Settings,
    *,
    network: Network,
    database: MetadataDatabase,
    broker: CeleryBroker,
    web: LoadBalancers,
) -> list[Alarm]:
    """All except the alarm on a worker pool's retained workers, which also a stack without alerts has."""
    return [
        *database_alarms(settings.database, database.identifier),
        *broker_alarms(settings.broker, broker.node_ids),
        *(alarm for each in web.metric_dimensions.items() for alarm in load_balancer_alarms(*each)),
        *(certificate_alarms(web.certificate_arn) if web.certificate_arn is not None else []),
        *(alarm for group in settings.node_groups for alarm in group_alarms(group, context.cluster)),
        *(alarm for each in network.nat_gateway_ids.items() for alarm in nat_alarms(*each)),
    ]
