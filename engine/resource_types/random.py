"""Values like those of the random provider, but the same for a resource in every run.

The ids have the form that the provider gives them: https://github.com/pulumi/pulumi-random, provider/resources.go and
the recordings in provider/testdata. The id of a RandomBytes, RandomString, RandomInteger or RandomUuid is its value,
and no id is ever encrypted (https://github.com/pulumi/pulumi/issues/8946). An entry for one of them needs that id, so
that the tests that search for secrets find it.
"""

from __future__ import annotations

import base64
import hashlib
import string

from engine.recording import Registration
from engine.resource_types.definition import ANY_INPUT, MockOutputs, ResourceType
from engine.resource_types.fake_ids import characters

_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"  # the provider's own default


def _password(registration: Registration) -> MockOutputs:
    salt = characters(f"salt:{registration.urn}", 53, "./" + string.ascii_letters + string.digits)
    return MockOutputs(id="none", outputs={"result": _random_text(registration), "bcryptHash": f"$2a$10${salt}"})


def _random_text(registration: Registration) -> str:
    """`length` characters of the allowed classes, at least as many of each as its `min...` input requires."""
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
        characters(f"{kind}:{registration.urn}", int(inputs.get(f"min{kind.title()}", 0)), alphabet)
        for kind, alphabet in classes.items()
    )
    mixed = least + characters(f"text:{registration.urn}", length - len(least), allowed)
    # The order is random too: otherwise the required characters would always come first.
    order = sorted(range(length), key=lambda at: hashlib.sha256(f"{registration.urn}:{at}".encode()).digest())
    return "".join(mixed[at] for at in order)


def _id(registration: Registration) -> MockOutputs:
    drawn = hashlib.shake_256(f"bytes:{registration.urn}".encode()).digest(int(registration.inputs["byteLength"]))
    prefix = registration.inputs.get("prefix", "")
    url_safe = base64.urlsafe_b64encode(drawn).decode().rstrip("=")
    return MockOutputs(
        id=url_safe,
        outputs={
            "b64Std": prefix + base64.b64encode(drawn).decode(),
            "b64Url": prefix + url_safe,
            "hex": prefix + drawn.hex(),
            "dec": f"{prefix}{int.from_bytes(drawn, 'big')}",
        },
    )


# A value is generated once; a change of any input generates another.
TYPES = {
    # Data that was encrypted or signed with the old value is lost.
    "random:index/randomPassword:RandomPassword": ResourceType(
        mock=_password, replaced_by=ANY_INPUT, stateful=True, highlights=("length",)
    ),
    "random:index/randomId:RandomId": ResourceType(mock=_id, replaced_by=ANY_INPUT, highlights=("byteLength",)),
}
