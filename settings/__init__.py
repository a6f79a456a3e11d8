"""Every key that a stack file may hold, the rules between them, and the report of what is wrong with a file."""

from __future__ import annotations

from settings.errors import SettingsError
from settings.loader import load_settings
from settings.sections.alerts import AlertSettings, Severity
from settings.sections.broker import BrokerSettings
from settings.sections.database import DatabaseSettings
from settings.sections.masters import MasterSettings
from settings.sections.monitoring import MonitoringSettings
from settings.sections.network import ExistingNetwork, NetworkSettings
from settings.sections.node_image import NodeImageSettings
from settings.sections.package_index import PackageIndexSettings
from settings.sections.retention import RetentionSettings
from settings.sections.web import PublicWeb, WebSettings
from settings.sections.worker_pools import WorkerPoolSettings
from settings.stack import Settings

__all__ = [
    "AlertSettings",
    "BrokerSettings",
    "DatabaseSettings",
    "ExistingNetwork",
    "MasterSettings",
    "MonitoringSettings",
    "NetworkSettings",
    "NodeImageSettings",
    "PackageIndexSettings",
    "PublicWeb",
    "RetentionSettings",
    "Settings",
    "SettingsError",
    "Severity",
    "WebSettings",
    "WorkerPoolSettings",
    "load_settings",
]
