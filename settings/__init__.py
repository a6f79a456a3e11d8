"""Every key that a stack file may hold: its section, its values, its rules, and the report of what is wrong with it."""

from __future__ import annotations

from settings.errors import Fault, FaultyValue, SettingsError
from settings.sections.worker_pools import WorkerPoolSettings
from settings.stack import (
    BrokerSettings,
    ClusterSettings,
    DatabaseSettings,
    ExistingNetwork,
    MasterSettings,
    NetworkSettings,
    NodeImageSettings,
    PackageIndexSettings,
    PublicWeb,
    RetentionSettings,
    Settings,
    WebSettings,
    load_settings,
)

__all__ = [
    "BrokerSettings",
    "ClusterSettings",
    "DatabaseSettings",
    "ExistingNetwork",
    "Fault",
    "FaultyValue",
    "MasterSettings",
    "NetworkSettings",
    "NodeImageSettings",
    "PackageIndexSettings",
    "PublicWeb",
    "RetentionSettings",
    "Settings",
    "SettingsError",
    "WebSettings",
    "WorkerPoolSettings",
    "load_settings",
]
