"""What moto leaves out of EBS: an attachment needs permission for both sides, and a volume has one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

from moto.core.responses import ActionResult
from moto.ec2.exceptions import VolumeInUseError
from moto.ec2.models import ec2_backends, elastic_block_store
from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.ec2.utils import random_volume_id


def attached(account_id: str, region: str, parameters: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """The resources of an AttachVolume request by ARN, with their condition keys. AWS requires the permission for each:
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""
    backend, found = ec2_backends[account_id][region], {}
    for kind, [id_] in (("volume", parameters["VolumeId"]), ("instance", parameters["InstanceId"])):
        tags = {tag["key"]: tag["value"] for tag in backend.describe_tags({"resource-id": [id_]})}
        context = {f"{known}:ResourceTag/{key}": value for key, value in tags.items() for known in ("aws", "ec2")}
        found[f"arn:aws:ec2:{region}:{account_id}:{kind}/{id_}"] = context
    return found


def attach_volume(self: ElasticBlockStore) -> ActionResult:
    """Refuse a volume that is attached already."""
    volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
    if volume.attachment is not None:
        raise VolumeInUseError(volume.id, volume.attachment.instance.id)
    return _ATTACH(self)


def keep_volume_ids(ids: Iterator[str]) -> None:
    """Give the first volumes that are asked for these ids, which are in the program's policies.

    moto makes volumes of its own too, for its images, when its EC2 is first used.
    """

    def create_volume(self: ElasticBlockStore) -> ActionResult:
        getattr(self, "ec2_backend")  # noqa: B009 - it has made its own now
        id_ = next(ids, "")
        with mock.patch.object(elastic_block_store, "random_volume_id", return_value=id_ or random_volume_id()):
            return _CREATE(self)

    ElasticBlockStore.create_volume = create_volume  # type: ignore[method-assign]


_ATTACH = ElasticBlockStore.attach_volume
_CREATE = ElasticBlockStore.create_volume

REPLACED: tuple[tuple[type, str, Callable[..., Any]], ...] = ((ElasticBlockStore, "attach_volume", attach_volume),)
