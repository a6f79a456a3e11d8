"""The files that the metadata service serves: one for each address, kept up to date."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab.addresses import AddressPlan
from lab.aws.fleet import Fleet
from lab.instance import Instance, Notices, RoleCredentials, metadata

# Credentials are valid for an hour, and clients renew them a quarter of an hour before the end.
REFRESH_BEFORE_END = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What is in an instance's file."""

    notices: Notices
    credentials: RoleCredentials


class MetadataFiles:
    """The files in `directory`; each is replaced as a whole, so that no reader finds half of one."""

    def __init__(self, directory: Path, fleet: Fleet, plan: AddressPlan) -> None:
        self._directory, self._fleet, self._plan = directory, fleet, plan
        self._written: dict[str, Written] = {}

    def write(self, instance: Instance, notices: Notices) -> None:
        """Publish these notices to the instance, and valid credentials; writes only what has changed."""
        written = self._written.get(instance.id)
        fresh = written is not None and written.credentials.expiration - datetime.now(UTC) >= REFRESH_BEFORE_END
        if written is not None and fresh and written.notices == notices:
            return
        credentials = written.credentials if written is not None and fresh else self._fleet.credentials(instance)
        self._written[instance.id] = Written(notices=notices, credentials=credentials)
        file = self._file(instance)
        tree = metadata(instance, credentials, self._plan, notices)
        file.with_suffix(".new").write_text(json.dumps(tree))
        file.with_suffix(".new").rename(file)

    def forget(self, instance: Instance) -> None:
        """Remove the file of an instance that is powered off: its address will be used again."""
        self._written.pop(instance.id, None)
        self._file(instance).unlink(missing_ok=True)

    def _file(self, instance: Instance) -> Path:
        return self._directory / f"{instance.address}.json"
