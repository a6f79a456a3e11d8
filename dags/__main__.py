"""`python -m dags COMMAND`: the commands behind the `dags-` targets of make."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
from airflow_node.dag_release import ReleaseError, unpack
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dags.archive import Archive, packed_folder
from dags.bucket import ReleaseBucket, unreachable
from dags.check import check
from dags.comparison import compare, summary, unified_diff
from dags.environment import lock_hash
from dags.faults import DagsError, FaultsError
from dags.folder import LEFT_OUT
from dags.progress import say
from dags.publication import publish, rollback
from dags.stack import Stack, read_stack
from dags.status import CREDENTIALS, airflow_api, status
from engine.stack_config import StackFileError, stack_name
from node.dag_bundles import DEFAULT_BUNDLE
from node.lock import PYPI, LockError
from package_lock import stack_index
from settings.errors import SettingsError

ROOT = Path(__file__).parent.parent
CHECKED = (
    "The nodes' packages are installed into the user's cache once for each lock. The DAGs are then imported without a "
    "network, where the machine permits that. Faults are: import errors, cycles, DAG ids that are there twice, queues "
    "that no worker pool of the stack serves, and what Airflow 3 has removed."
)
Command = Callable[[argparse.Namespace], None]
RELEASE = "`current`, `previous`, or at least six characters of a version"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it went well, 1 with a message if something has to be corrected."""
    given = _parser().parse_args(arguments)
    run: Command = given.run
    try:
        run(given)
    except (DagsError, LockError, StackFileError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dags",
        description="Publish DAG folders as releases: immutable, named by their content, and current all at once.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--stack", type=stack_name, default="prod", help="the stack whose dags bucket is used (prod)")
    where.add_argument("--bucket", help="a bucket instead of the stack's; the region is then that of the AWS settings")
    where.add_argument(
        "--bundle", help="the DAG bundle; may be left out if the stack has only one. With --bucket: dags if left out"
    )
    where.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)

    def add(
        name: str, run: Callable[[argparse.Namespace], None], about: str, *, more: str = ""
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=f"{about}.", epilog=more, parents=[where])
        command.set_defaults(run=run)
        return command

    checking = add(
        "check", _check, "Import the DAGs of a folder as the nodes would, and list what is wrong", more=CHECKED
    )
    publishing = add("publish", _publish, "Make a folder the current release of the bundle", more=LEFT_OUT)
    for command in (checking, publishing):
        command.add_argument("folder", type=Path, metavar="FOLDER", help="the folder with the DAGs")
    publishing.add_argument("--check", action="store_true", help="check first, and refuse a folder with faults")
    publishing.add_argument("--force", action="store_true", help="check, and publish in spite of faults")
    add("list", _list, "List what has been current, newest first, and the other releases in the bucket")
    add("show", _show, "Show a release: who made it from what, and its files").add_argument(
        "release", metavar="RELEASE", nargs="?", default="current", help=f"{RELEASE} (current)"
    )
    diff = add("diff", _diff, "Show what differs from release A to release B, as a unified diff")
    diff.add_argument("before", metavar="A", help=RELEASE)
    diff.add_argument("after", metavar="B", nargs="?", default="current", help=f"{RELEASE} (current)")
    add("status", _status, "Show which release Airflow has parsed, and who runs which", more=CREDENTIALS).add_argument(
        "--url", help="where Airflow is, if it is not where the stack file says"
    )
    add("rollback", _rollback, "Make an older release the current one again").add_argument(
        "release", metavar="RELEASE", nargs="?", default="previous", help=f"{RELEASE} (previous)"
    )
    return parser


def _check(given: argparse.Namespace) -> None:
    with packed_folder(given.folder) as archive:
        if faults := _faults(given, archive):
            raise FaultsError(given.folder, faults)
        say("no faults")


def _publish(given: argparse.Namespace) -> None:
    bucket = _bucket(given)
    # Read before the check, which takes its time: what others publish meanwhile is not replaced unseen.
    base = bucket.read_pointer()
    with packed_folder(given.folder) as archive:
        checked = given.check or given.force
        faults = _faults(given, archive) if checked else ()
        if faults and not given.force:
            raise FaultsError(given.folder, faults)
        if faults:
            say(f"{FaultsError(given.folder, faults)}\nIt is published nevertheless (--force).")
        lock = lock_hash() if checked and not faults else None
        publish(bucket, archive, by=_caller(given), base=base, lock=lock)


def _faults(given: argparse.Namespace, archive: Archive) -> Sequence[str]:
    stack = None if given.bucket else read_stack(given.root, given.stack)
    report = check(archive, stack, stack_index(given.root, given.stack) if stack else PYPI)
    for line in report.lines():
        say(line)
    return report.faults


def _list(given: argparse.Namespace) -> None:
    bucket = _bucket(given)
    pointer = bucket.read_pointer().pointer
    publications = (pointer.current, *pointer.history) if pointer else ()
    for number, each in enumerate(publications):
        mark = "" if number else "  current"
        print(f"{each.sequence:5}  {each.published}  {each.version[:12]}  {each.by}{mark}")
    known = {publication.version for publication in publications}
    for release in sorted(bucket.releases(), key=lambda release: release.uploaded, reverse=True):
        if release.version not in known:
            uploaded = release.uploaded.strftime("%Y-%m-%dT%H:%M:%SZ")
            print(f"    -  {uploaded}  {release.version[:12]}  uploaded, but not current lately")
            known.add(release.version)
    if not known:
        print(f"{bucket.url} has no releases yet.", file=sys.stderr)


def _show(given: argparse.Namespace) -> None:
    bucket = _bucket(given)
    manifest = bucket.described(bucket.resolve(given.release))
    commit = f"{manifest.commit}{' with uncommitted changes' if manifest.dirty else ''}" if manifest.commit else "none"
    print(f"release  {manifest.version}")
    print(f"created  {manifest.created} by {manifest.by}")
    print(f"commit   {commit}")
    print(f"checked  {f'with the lock {manifest.lock}' if manifest.lock else 'no'}")
    print(f"files    {len(manifest.files)}, {manifest.size:,} bytes unpacked")
    for file in manifest.files:
        print(f"  {file.sha256[:12]}  {file.size:>12,}  {file.path}{'*' if file.executable else ''}")


def _diff(given: argparse.Namespace) -> None:
    bucket = _bucket(given)
    before, after = (bucket.described(bucket.resolve(name)) for name in (given.before, given.after))
    with tempfile.TemporaryDirectory(prefix="dags-") as scratch:
        old, new = Path(scratch, "old"), Path(scratch, "new")
        for manifest, target in ((before, old), (after, new)):
            try:
                unpack(bucket.open_archive(manifest.version), target, manifest.version)
            except ReleaseError as error:
                raise DagsError(f"{bucket.url}: {error}.") from None
        for line in unified_diff(compare(before, after), old, new):
            print(line)
    print(summary(before, after), file=sys.stderr)


def _rollback(given: argparse.Namespace) -> None:
    rollback(_bucket(given), given.release, by=_caller(given))


def _status(given: argparse.Namespace) -> None:
    if given.bucket and not given.url:
        raise DagsError("With --bucket, give --url as well: which Airflow is meant is in no stack file then.")
    airflow = airflow_api(given.url or read_stack(given.root, given.stack).web_url, os.environ)
    for line in status(_bucket(given), airflow):
        print(line)


def _bucket(given: argparse.Namespace) -> ReleaseBucket:
    # Standard retries: a conditional write that was repeated is recognized, see write_pointer.
    retries = Config(retries={"mode": "standard", "max_attempts": 5})
    if given.bucket:
        name, bundle = given.bucket, given.bundle or DEFAULT_BUNDLE
    else:
        stack = read_stack(given.root, given.stack)
        name, bundle = stack.dags_bucket, _bundle(given, stack)
    return ReleaseBucket(_client(given, "s3", config=retries), name, bundle)


def _bundle(given: argparse.Namespace, stack: Stack) -> str:
    """The bundle that is meant; never a guess, because a publication replaces all that is in it."""
    if given.bundle in stack.git_bundles:
        raise DagsError(
            f"The bundle {given.bundle} has no releases: its DAGs come from {stack.git_bundles[given.bundle]}. Push to "
            "that repository, or revert a commit there."
        )
    if not stack.bundles:
        raise DagsError(
            f"All DAG bundles of the stack {given.stack} are Git repositories: there is nothing to publish."
        )
    there = ", ".join(stack.bundles)
    if given.bundle is None and len(stack.bundles) > 1:
        raise DagsError(f"The stack {given.stack} has several DAG bundles: name one with --bundle: {there}.")
    bundle = given.bundle or stack.bundles[0]
    if bundle not in stack.bundles:
        raise DagsError(
            f"The stack {given.stack} has no DAG bundle {bundle!r}, so no node would read it. Name one of these, or "
            f"add it to airflow:dagBundles and run `pulumi up` first: {there}."
        )
    return bundle


def _client(given: argparse.Namespace, service: str, **options: Any) -> Any:
    region = None if given.bucket else read_stack(given.root, given.stack).region
    try:
        return boto3.client(service, region_name=region, **options)
    except BotoCoreError as error:
        raise DagsError(unreachable(error)) from None


def _caller(given: argparse.Namespace) -> str:
    """The ARN of the caller, which everybody may ask for."""
    try:
        return _client(given, "sts").get_caller_identity()["Arn"]
    except ClientError as error:
        raise DagsError(f"AWS does not accept the credentials: {error}. Renew them, then repeat.") from None
    except BotoCoreError as error:
        raise DagsError(unreachable(error)) from None


if __name__ == "__main__":
    sys.exit(main())
