"""What the metadata service tells each instance, kept up to date: one file for each address."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab.addresses import AddressPlan
from lab.aws.fleet import Fleet
from lab.instance import Instance, Notices, RoleCredentials, metadata

# Credentials last an hour, and clients ask for new ones a quarter of an hour before the end.
REFRESH_BEFORE_END = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What an instance has been told last."""

    notices: Notices
    credentials: RoleCredentials


class MetadataFiles:
    """The files in `directory`, written at once so that nobody reads half of one."""

    def __init__(self, directory: Path, fleet: Fleet, plan: AddressPlan) -> None:
        self._directory, self._fleet, self._plan = directory, fleet, plan
        self._told: dict[str, Told] = {}

    def tell(self, instance: Instance, notices: Notices) -> None:
        """Let the instance see these notices, and credentials that last; nothing is written when nothing is new."""
        told = self._told.get(instance.id)
        fresh = told is not None and told.credentials.expiration - datetime.now(UTC) >= REFRESH_BEFORE_END
        if told is not None and fresh and told.notices == notices:
            return
        credentials = told.credentials if told is not None and fresh else self._fleet.credentials(instance)
        self._told[instance.id] = Told(notices=notices, credentials=credentials)
        file = self._file(instance)
        tree = metadata(instance, credentials, self._plan, notices)
        file.with_suffix(".new").write_text(json.dumps(tree))
        file.with_suffix(".new").rename(file)

    def forget(self, instance: Instance) -> None:
        """The instance is off; its address is somebody else's soon."""
        self._told.pop(instance.id, None)
        self._file(instance).unlink(missing_ok=True)

    def _file(self, instance: Instance) -> Path:
        return self._directory / f"{instance.address}.json"
