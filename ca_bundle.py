"""`make ca-bundle`: renew the certificate authorities of RDS, with which the nodes verify the metadata database.

The nodes fetch them from the artifacts bucket and compare their hash with that of the committed file. So a boot depends
on no other source, and only a reviewed commit changes which authorities a cluster trusts.
"""

from __future__ import annotations

import argparse
import http.client
import ssl
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from aws_catalog.regions import ZONE_LETTERS
from node.artifacts import CA_BUNDLE

URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
"""All authorities of all regions: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html"""
SIZE_LIMIT_BYTES = 2_000_000
"""The real one has 165,408 bytes."""
NAMES = ("RSA2048 G1", "RSA4096 G1", "ECC384 G1")
"""The authorities that RDS has in each region; the program uses the first kind (`rds-ca-rsa2048-g1`)."""
SHORT = timedelta(days=365)

Authorities = Mapping[str, x509.Certificate]


class CaBundleError(Exception):
    """The bundle was not renewed. The message says why, and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="make ca-bundle", usage="make ca-bundle", description=__doc__)
    parser.parse_args(arguments)
    try:
        print("\n".join(renew(URL, CA_BUNDLE, ssl.create_default_context(), datetime.now(UTC))))
    except CaBundleError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def renew(url: str, file: Path, context: ssl.SSLContext, now: datetime) -> list[str]:
    """Replace the file with the one at `url`; returns what has changed and what to do next.

    Raises CaBundleError, and leaves the file as it is, if the new one cannot be fetched or is not valid.
    """
    content = download(url, context)
    new, old = authorities(content), authorities(file.read_bytes())
    if faults := list_faults(new, now):
        raise CaBundleError(
            "\n".join(
                [f"{file.name} is unchanged, because nodes could not use {url}:", *(f"  {fault}" for fault in faults)]
            )
        )
    short = [f"  expires on {_end(one)}: {name}" for name, one in new.items() if one.not_valid_after_utc - now < SHORT]
    if content == file.read_bytes():
        return [f"{file.name} is up to date: {len(new)} authorities.", *short]
    file.write_bytes(content)
    return [
        f"{file.name} has {len(new)} authorities now:",
        *list_changes(old, new),
        *short,
        "The next `pulumi up` replaces all nodes, one after the other; workers finish their tasks first.",
        f"Next: make plan BASE=HEAD, then commit {file.name} and run pulumi up",
    ]


def download(url: str, context: ssl.SSLContext) -> bytes:
    """The content at `url`, over TLS only."""
    try:
        with urllib.request.urlopen(url, timeout=30, context=context) as response:  # noqa: S310 - see below
            if not response.url.startswith("https://"):
                raise CaBundleError(
                    f"{url} redirects to {response.url}, which is not HTTPS. Check this machine's proxy."
                )
            content = response.read(SIZE_LIMIT_BYTES)
            if response.length:
                raise CaBundleError(f"The response of {url} ended {response.length:,} bytes early. Try again.")
            return content
    except (OSError, http.client.HTTPException) as error:
        raise CaBundleError(
            f"{url} cannot be fetched: {error}. Check this machine's connection to the internet."
        ) from error


def authorities(content: bytes) -> Authorities:
    """The certificates of a PEM file by their names."""
    try:
        found = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise CaBundleError(f"The file is not a bundle of PEM certificates: {error}.") from None
    return {str(one.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value): one for one in found}


def list_faults(found: Authorities, now: datetime) -> list[str]:
    """Why nodes could not use these authorities."""
    wanted = [f"Amazon RDS {region} Root CA {kind}" for region in ZONE_LETTERS for kind in NAMES]
    missing = [f"{name} is missing" for name in wanted if name not in found]
    expired = [
        f"{name} expired on {_end(found[name])}"
        for name in wanted
        if name in found and found[name].not_valid_after_utc <= now
    ]
    return [
        *missing,
        *expired,
        *(f"{name} is not a certificate authority" for name, one in found.items() if not _is_authority(one)),
    ]


def list_changes(old: Authorities, new: Authorities) -> list[str]:
    """One line for each authority that is new, is gone, or has another certificate."""
    changed = [name for name in old.keys() & new.keys() if old[name] != new[name]]
    return [
        *(f"  new:     {name}, {_fingerprint(new[name])}" for name in sorted(new.keys() - old.keys())),
        *(f"  changed: {name}, {_fingerprint(new[name])}" for name in sorted(changed)),
        *(f"  gone:    {name}" for name in sorted(old.keys() - new.keys())),
    ]


def _is_authority(one: x509.Certificate) -> bool:
    try:
        return one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _end(one: x509.Certificate) -> str:
    return f"{one.not_valid_after_utc:%Y-%m-%d}"


def _fingerprint(one: x509.Certificate) -> str:
    return f"SHA-256 {one.fingerprint(SHA256()).hex()}"


if __name__ == "__main__":
    raise SystemExit(main())
