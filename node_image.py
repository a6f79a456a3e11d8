"""`make node-image`: pin the newest Debian 13 image of a stack's region in its stack file.

The program itself queries nothing. This command updates the pinned image, and the update is reviewed like any other
change.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from aws_catalog.debian_images import IMAGE_OWNER, latest_image_parameter
from aws_catalog.instance_types import Architecture
from engine.stack_config import StackFileError, stack_name, stack_settings
from settings import Settings
from settings.errors import SettingsError

ROOT = Path(__file__).parent
KEY = "airflow:nodeImage"
_SHORT_KEY = "nodeImage"  # Pulumi adds the project's name as namespace
NEEDED_PERMISSIONS = "ssm:GetParameters and ec2:DescribeImages"

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


class NodeImageError(Exception):
    """The image could not be pinned. The message says why, and what to do."""


@dataclass(frozen=True)
class Image:
    """An AMI; name, creation time and the owner's account are None if AWS no longer has it."""

    id: str
    name: str | None = None
    created: datetime | None = None
    owner: str | None = None

    def __str__(self) -> str:
        if self.name is None or self.created is None:
            return f"{self.id} (no longer in this region)"
        days = (datetime.now(UTC) - self.created).days
        return f"{self.id} ({self.name}, {days} days old)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="make node-image",
        usage="make node-image [STACK=prod]",
        description="Pin the newest Debian 13 image of the stack's region in Pulumi.<stack>.yaml.",
        epilog=f"Needs AWS credentials that may {NEEDED_PERMISSIONS}. Changes nothing in AWS.",
    )
    parser.add_argument(
        "--stack", type=stack_name, default="prod", help="the stack whose file is changed: Pulumi.<stack>.yaml"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    try:
        pin_newest(given.root, given.stack)
    except (NodeImageError, StackFileError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def pin_newest(root: Path, stack: str) -> None:
    """Write the newest image of each architecture that the stack uses into its stack file, and print what to do next.

    An image that is not Debian's is kept: it was built for something that Debian's lacks, such as a GPU driver.
    Raises NodeImageError, StackFileError or SettingsError; the file is then unchanged.
    """
    settings = stack_settings(root, stack)
    users = _users(settings)
    pinned = {architecture: settings.node_image.pinned(architecture) for architecture in users}
    newest = newest_images(settings.region, sorted(users))
    known = describe_images(settings.region, [*newest.values(), *filter(None, pinned.values())])
    print(f"Stack {stack}, region {settings.region}:")
    for architecture, image_id in newest.items():
        old = pinned[architecture]
        print(f"  {architecture} now:    {known[old] if old else 'not pinned: each new node starts from the newest'}")
        print(f"  {architecture} newest: {known[image_id]}")
    kept = {
        architecture: image_id
        for architecture, image_id in pinned.items()
        if image_id and known[image_id].owner not in (None, IMAGE_OWNER)
    }
    notes = "\n".join(_kept(architecture, known[image_id]) for architecture, image_id in kept.items())
    if kept.keys() == users.keys():
        raise NodeImageError(notes)
    if notes:
        print(notes)
    changed = {
        architecture: image_id
        for architecture, image_id in newest.items()
        if architecture not in kept and image_id != pinned[architecture]
    }
    path = root / f"Pulumi.{stack}.yaml"
    if not changed:
        print(f"{path.name} already pins the newest.")
        return
    path.write_bytes(with_images(path.read_bytes().decode(), changed).encode())
    replaced = [user for architecture in changed for user in users[architecture]]
    print(f"{path.name} now pins the newest. The next `pulumi up` replaces these nodes: {', '.join(replaced)}.")
    print("They are replaced one after the other, and workers finish their tasks first.")
    print(f"Next: make plan STACK={stack} BASE=HEAD, then commit {path.name} and run pulumi up --stack {stack}")


def newest_images(region: str, architectures: Sequence[Architecture]) -> dict[Architecture, str]:
    """The id of Debian's newest image by architecture."""
    names = {latest_image_parameter(architecture): architecture for architecture in architectures}
    with _explained(region):
        answer = boto3.client("ssm", region_name=region).get_parameters(Names=list(names))
    if missing := answer["InvalidParameters"]:
        raise NodeImageError(
            f"Debian publishes no image as {' or '.join(missing)} in {region}. "
            f"Copy an image from another region and pin the copy's id in {KEY}, or use another region."
        )
    return {names[parameter["Name"]]: parameter["Value"] for parameter in answer["Parameters"]}


def describe_images(region: str, ids: Sequence[str]) -> dict[str, Image]:
    """The images by id."""
    # A filter, because EC2 refuses a request with ImageIds if one of the images was withdrawn.
    wanted = {"Name": "image-id", "Values": list(ids)}
    with _explained(region):
        answer = boto3.client("ec2", region_name=region).describe_images(Filters=[wanted], IncludeDeprecated=True)
    found = {
        image["ImageId"]: Image(
            image["ImageId"],
            image.get("Name", ""),
            datetime.fromisoformat(image["CreationDate"]),
            image["OwnerId"],
        )
        for image in answer["Images"]
    }
    return {id_: found.get(id_, Image(id_)) for id_ in ids}


def _kept(architecture: Architecture, image: Image) -> str:
    """Why an image is not replaced, and what to do."""
    return (
        f"{KEY}.{architecture} is left as it is: {image} belongs to account {image.owner}, not to Debian. "
        f"To pin Debian's newest image instead, remove {KEY}.{architecture} from the stack file first."
    )


def with_images(text: str, images: Mapping[Architecture, str]) -> str:
    """The text of the stack file with these image ids by architecture; everything else stays the same, byte for byte.

    Raises NodeImageError if the file's YAML is too unusual for that.
    """
    changed = text
    for architecture, image_id in images.items():
        changed = _with_image(changed, architecture, image_id)
    wanted = yaml.safe_load(text)
    config = wanted["config"]
    key = _SHORT_KEY if _SHORT_KEY in config else KEY
    config[key] = {**config.get(key, {}), **images}
    if yaml.safe_load(changed) != wanted:
        written = "".join(f"\n    {architecture}: {image_id}" for architecture, image_id in images.items())
        raise NodeImageError(
            f"This stack file cannot be changed automatically. Add under config by hand:\n  {KEY}:{written}"
        )
    return changed


def _with_image(text: str, architecture: Architecture, image_id: str) -> str:
    config = _value(yaml.compose(text, Loader=yaml.SafeLoader), "config")
    section = _value(config, KEY) or _value(config, _SHORT_KEY)
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = " " * config.start_mark.column
    line = f"{architecture}: {image_id}"
    if section is None:
        place = _end_of_line(text, _last(config).end_mark.index)
        return f"{text[:place]}{newline}{indent}{KEY}:{newline}{indent}  {line}{text[place:]}"
    if old := _value(section, architecture):
        return text[: old.start_mark.index] + image_id + text[old.end_mark.index :]
    if not section.value:  # `{}`
        return f"{text[: section.start_mark.index].rstrip()}{newline}{indent}  {line}{text[section.end_mark.index :]}"
    if section.flow_style:
        place = section.value[-1][1].end_mark.index
        return f"{text[:place]}, {line}{text[place:]}"
    place = _end_of_line(text, _last(section).end_mark.index)
    return f"{text[:place]}{newline}{' ' * section.start_mark.column}{line}{text[place:]}"


def _value(mapping: yaml.Node | None, key: str) -> Any:
    """The node of a key's value; None if the mapping has no such key."""
    pairs = mapping.value if isinstance(mapping, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _last(node: yaml.Node) -> yaml.Node:
    """The last node within a block. A block's own end mark is where the next block starts."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return node


def _end_of_line(text: str, index: int) -> int:
    """The end of the line that contains this index, so that an insertion comes after the line's comment."""
    end = text.find("\n", index)
    return len(text.rstrip("\r\n")) if end < 0 else end - (text[end - 1] == "\r")


def _users(settings: Settings) -> dict[Architecture, list[str]]:
    """The groups of nodes that use each architecture."""
    users: dict[Architecture, list[str]] = {settings.masters.architecture: ["masters"]}
    for pool, pool_settings in settings.worker_pools.items():
        users.setdefault(pool_settings.architecture, []).append(f"pool {pool}")
    return users


@contextmanager
def _explained(region: str) -> Generator[None]:
    """Turn an error of AWS into one sentence that says what to do."""
    try:
        yield
    except ClientError as error:
        said = f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
        if error.response["Error"]["Code"] in _DENIED:
            raise NodeImageError(
                f"The AWS credentials must allow {NEEDED_PERMISSIONS} in {region}. AWS returned {said}"
            ) from None
        raise NodeImageError(
            f"AWS refused the request in {region} ({said}). Check that the credentials are current and that the region "
            "is enabled for the account."
        ) from None
    except BotoCoreError as error:
        raise NodeImageError(
            f"The request to AWS failed: {error}. Provide credentials as for `pulumi up`, for example with "
            f"`aws sso login` or AWS_PROFILE; they need {NEEDED_PERMISSIONS} in {region}."
        ) from None


if __name__ == "__main__":
    raise SystemExit(main())
