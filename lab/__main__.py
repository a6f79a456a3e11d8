"""`python -m lab COMMAND`: the commands behind `make lab` and the other `lab-` targets."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import boto3
import pulumi
from botocore.config import Config

from engine.stack_config import StackFileError
from lab import cluster, description, host, image, preconditions, releases
from lab.aws import account
from lab.cluster import Cluster
from lab.node import enter
from lab.progress import LabError, say

SECRET_NAME = re.compile(r"(connections|variables)/[A-Za-z0-9/_+=.@!-]+")


def main() -> int:
    """Run one command. The exit code is 0 on success, and 1 after an error that the operator can correct."""
    parser = argparse.ArgumentParser(prog="python -m lab", description="The stack's cluster on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser
    add("up", help="build everything, print URL and login, stay until Ctrl-C").set_defaults(run=up)
    add("nodes", help="the nodes of the running lab").set_defaults(run=nodes)
    shell_parser = add("shell", help="a shell on a node")
    shell_parser.set_defaults(run=shell)
    shell_parser.add_argument("node")
    logs_parser = add("logs", help="the journal of a node")
    logs_parser.set_defaults(run=logs)
    logs_parser.add_argument("node")
    logs_parser.add_argument("unit", nargs="?")
    dag_parser = add("dag", help="publish a DAG file into the lab")
    dag_parser.set_defaults(run=dag)
    dag_parser.add_argument("file", type=Path)
    add("dags-status", help="which release Airflow has parsed, who runs which, and what is on each node").set_defaults(
        run=dags_status
    )
    secret_parser = add("secret", help="store a connection or a variable in the lab's Secrets Manager")
    secret_parser.set_defaults(run=secret)
    secret_parser.add_argument("name", help="connections/<id> or variables/<key>")
    secret_parser.add_argument("file", type=Path, help="holds the value")
    add("image", help="build the images").set_defaults(run=images)
    add("sweep", help="remove what a killed lab left behind").set_defaults(run=sweep)
    arguments = parser.parse_args()
    run: Callable[[argparse.Namespace], None] = arguments.run
    try:
        run(arguments)
    except (LabError, pulumi.RunError, StackFileError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def up(_: argparse.Namespace) -> None:
    """Bring the cluster up and stay."""
    with _ended_by_signals(), Cluster() as lab:
        try:
            lab.wait_ready()
            user, password = lab.admin()
            print(lab.boot_table())
            say(f"the cluster is up, {lab.age:.0f} s after the start")
            print(f"\nAirflow: {lab.url}\nLogin:   {user} / {password}\n")
            print("make lab-dag FILE=my_dag.py    publish a DAG into the cluster; it shows up within seconds")
            print("make lab-nodes                 the nodes; make lab-shell NODE=..., make lab-logs NODE=...")
            print("Ctrl-C                         end the lab; nothing stays behind", flush=True)
            lab.wait(lambda: False, "Ctrl-C", timeout=float("inf"))
        except KeyboardInterrupt:
            say("ending the lab")


@contextlib.contextmanager
def _ended_by_signals() -> Generator[None]:
    """Let SIGTERM end the lab as Ctrl-C does, by KeyboardInterrupt, and let neither disturb its end."""

    def interrupt(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    yield


def nodes(_: argparse.Namespace) -> None:
    """List the nodes."""
    for node in description.read().nodes:
        print(f"{node.name:12} {node.instance_id:20} {node.address:15} {node.zone:12} {node.state}")


def shell(arguments: argparse.Namespace) -> None:
    """Replace this process by a root shell on the node."""
    node = description.find_node(description.read(), arguments.node)
    command = [*enter(node.leader, terminal=True), "/bin/bash", "-l"]
    _become(command, {**host.ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")})


def logs(arguments: argparse.Namespace) -> None:
    """Replace this process by journalctl on the node."""
    node = description.find_node(description.read(), arguments.node)
    unit = [f"--unit={arguments.unit}"] if arguments.unit else []
    command = [*enter(node.leader), "journalctl", "--no-pager", "--boot", *unit]
    _become(command, host.ENVIRONMENT)


def _become(command: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by the command, which gets the terminal and its signals."""
    os.execvpe(command[0], command, environment)  # noqa: S606 - a list, and no shell is wanted


def dag(arguments: argparse.Namespace) -> None:
    """Publish a release with the file, and with all others of the current one."""
    file: Path = arguments.file
    if not file.is_file():
        raise LabError(f"FILE={file} is not a file. Name one: make lab-dag FILE=path/to/my_dag.py")
    lab = description.read()
    version = releases.change(_client(lab, "s3"), lab.dags_bucket, {file.name: file.read_bytes()})
    print(f"{file.name} is in release {version[:12]}. It shows up at {lab.url}/dags within seconds.")


def dags_status(_: argparse.Namespace) -> None:
    """What `make dags-status` prints, and the releases on each node."""
    lab = description.read()
    password = _client(lab, "secretsmanager").get_secret_value(SecretId=lab.admin_secret)["SecretString"]
    login = {"AIRFLOW_USERNAME": lab.admin, "AIRFLOW_PASSWORD": password}
    for line in releases.read_status(_client(lab, "s3"), lab.dags_bucket, lab.url, login):
        print(line)
    for node in lab.nodes:
        print(f"{node.name:12} {releases.on_disk(Path(f'/proc/{node.leader}/root'))}")


def secret(arguments: argparse.Namespace) -> None:
    """Store a connection or a variable, or give it another value."""
    if not SECRET_NAME.fullmatch(arguments.name):
        raise LabError(
            f"NAME={arguments.name} is no name of a connection or a variable. Write connections/<id> or "
            "variables/<key>, with letters, digits and /_+=.@!-"
        )
    if not arguments.file.is_file():
        raise LabError(f"FILE={arguments.file} is not a file. Name one that holds the value.")
    lab = description.read()
    account.store_secret(_client(lab, "secretsmanager"), f"{lab.cluster}/{arguments.name}", arguments.file.read_text())
    print(f"{lab.cluster}/{arguments.name} is stored. Masters that have looked it up already do so again in 5 minutes.")


def _client(lab: description.Description, service: str) -> Any:
    """A client of the lab's AWS, with the operator's key."""
    return boto3.client(
        service,
        endpoint_url=f"https://{lab.aws_address}",
        region_name=lab.region,
        aws_access_key_id=lab.access_key_id,
        aws_secret_access_key=lab.secret_access_key,
        verify=lab.ca_file,
        config=Config(s3={"addressing_style": "path"}),
    )


def images(_: argparse.Namespace) -> None:
    """Build the images that are not in the cache."""
    preconditions.check()
    host.install_programs()
    with contextlib.closing(cluster.take_lock()):  # a running lab needs the images that a new one would replace
        for kind in (image.NODE, image.SERVERS):
            say(f"{kind.name} image: {image.build(kind)}")


def sweep(_: argparse.Namespace) -> None:
    """Remove what a killed lab left behind."""
    preconditions.check_root()
    with contextlib.closing(cluster.take_lock()):
        cluster.sweep()
    say("nothing of a lab is left")


if __name__ == "__main__":
    sys.exit(main())
