"""Identifiers in AWS's formats, each derived from a resource's URN: equal programs get equal ids."""

from __future__ import annotations

import base64
import hashlib
import string
import uuid

_LETTERS = string.ascii_letters + string.digits


def hexadecimal(seed: str, length: int) -> str:
    """Lower-case hexadecimal digits; at most 64."""
    return hashlib.sha256(seed.encode()).hexdigest()[:length]


def characters(seed: str, length: int, alphabet: str = _LETTERS) -> str:
    """Characters of `alphabet`, evenly drawn from the seed."""
    picked = []
    counter = 0
    # Bytes above the last full multiple of the alphabet would favour its first characters.
    limit = 256 - 256 % len(alphabet)
    while len(picked) < length:
        block = hashlib.sha256(f"{seed}\0{counter}".encode()).digest()
        picked += [alphabet[byte % len(alphabet)] for byte in block if byte < limit]
        counter += 1
    return "".join(picked[:length])


def ec2(prefix: str, seed: str) -> str:
    """An EC2 id: `vpc-0a1b...`, a prefix and 17 hexadecimal digits, the first of which is 0 in practice."""
    return f"{prefix}-0{hexadecimal(f'{prefix}:{seed}', 16)}"


def iam(prefix: str, seed: str) -> str:
    """A unique id of IAM: four letters for the kind, then 17 upper-case characters."""
    return prefix + characters(f"{prefix}:{seed}", 17, string.ascii_uppercase + "234567")


def uuid4(seed: str) -> str:
    """A UUID of version 4's form."""
    return str(uuid.UUID(bytes=hashlib.sha256(f"uuid:{seed}".encode()).digest()[:16], version=4))


def base64_digest(seed: str) -> str:
    """A SHA-256 digest in base64."""
    return base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()
