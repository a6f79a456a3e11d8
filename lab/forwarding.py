"""Exceptions in this machine's own packet filter, where it drops forwarded packets, as with Docker or ufw."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from lab import host
from lab.namespace import HOST_LINK

COMMENT = host.NAME


def admit() -> None:
    """Accept the lab's traffic in every chain that drops forwarded packets by default."""
    _nft([f"insert rule {chain} {rule}" for chain in dropping_chains(_listed()) for rule in _rules()])


def withdraw() -> None:
    """Remove every rule that `admit` added."""
    _nft([f"delete rule {chain} handle {handle}" for chain, handle in own_rules(_listed())])


def dropping_chains(ruleset: list[Mapping[str, Any]]) -> Iterator[str]:
    """`family table chain` of each chain of forwarded packets whose policy is to drop them."""
    for item in ruleset:
        chain = item.get("chain", {})
        if chain.get("hook") == "forward" and chain.get("policy") == "drop" and chain["family"] in ("ip", "inet"):
            yield f"{chain['family']} {chain['table']} {chain['name']}"


def own_rules(ruleset: list[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    """Chain and handle of each rule with the lab's comment."""
    for item in ruleset:
        rule = item.get("rule", {})
        if rule.get("comment") == COMMENT:
            yield f"{rule['family']} {rule['table']} {rule['chain']}", rule["handle"]


def _rules() -> list[str]:
    return [f'{end} "{HOST_LINK}" accept comment "{COMMENT}"' for end in ("iifname", "oifname")]


def _listed() -> list[Mapping[str, Any]]:
    listed = subprocess.run(
        ["nft", "--json", "list", "ruleset"], capture_output=True, text=True, env=host.ENVIRONMENT, check=False
    )
    return json.loads(listed.stdout)["nftables"] if listed.returncode == 0 and listed.stdout.strip() else []


def _nft(commands: list[str]) -> None:
    if commands:
        subprocess.run(["nft", "-f", "-"], input="\n".join(commands), text=True, env=host.ENVIRONMENT, check=True)
