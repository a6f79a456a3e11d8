"""The random provider's results: realistic, and the same for the same resource every time."""

from __future__ import annotations

import base64
import hashlib
import string

from offline import identifiers
from offline.answers.answer import Answer, answers
from offline.recording import Registration

_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"  # the provider's own default


@answers("random:index/randomPassword:RandomPassword")
def _password(registration: Registration) -> Answer:
    result = _random_text(registration)
    salt = identifiers.characters(f"salt:{registration.urn}", 53, "./" + string.ascii_letters + string.digits)
    return Answer(id="none", outputs={"result": result, "bcryptHash": f"$2a$10${salt}"})


def _random_text(registration: Registration) -> str:
    """`length` characters of the allowed classes, at least as many of each as `min...` asks for."""
    inputs = registration.inputs
    special = inputs.get("overrideSpecial") or _SPECIAL
    classes = {
        "lower": string.ascii_lowercase,
        "upper": string.ascii_uppercase,
        "numeric": string.digits,
        "special": special,
    }
    allowed = "".join(alphabet for kind, alphabet in classes.items() if inputs.get(kind, True))
    length = int(inputs["length"])
    least = "".join(
        identifiers.characters(f"{kind}:{registration.urn}", int(inputs.get(f"min{kind.title()}", 0)), alphabet)
        for kind, alphabet in classes.items()
    )
    mixed = least + identifiers.characters(f"text:{registration.urn}", length - len(least), allowed)
    # The order is drawn as well, or the least characters would always lead.
    order = sorted(range(length), key=lambda at: hashlib.sha256(f"{registration.urn}:{at}".encode()).digest())
    return "".join(mixed[at] for at in order)


@answers("random:index/randomBytes:RandomBytes", "random:index/randomId:RandomId")
def _bytes(registration: Registration) -> Answer:
    length = int(registration.inputs.get("length") or registration.inputs.get("byteLength") or 0)
    drawn = _stream(registration.urn, length)
    if registration.type.endswith("RandomBytes"):
        return Answer(id="none", outputs={"base64": base64.b64encode(drawn).decode(), "hex": drawn.hex()})
    prefix = registration.inputs.get("prefix", "")
    url_safe = base64.urlsafe_b64encode(drawn).decode().rstrip("=")
    return Answer(
        id=url_safe,
        outputs={
            "b64Std": prefix + base64.b64encode(drawn).decode(),
            "b64Url": prefix + url_safe,
            "hex": prefix + drawn.hex(),
            "dec": f"{prefix}{int.from_bytes(drawn, 'big')}",
        },
    )


def _stream(seed: str, length: int) -> bytes:
    return hashlib.shake_256(f"bytes:{seed}".encode()).digest(length)
