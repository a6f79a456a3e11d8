"""The random provider's results and ids: realistic, and the same for the same resource every time.

The ids have the form that the provider gives them: https://github.com/pulumi/pulumi-random, provider/resources.go and
the recordings in provider/testdata.
"""

from __future__ import annotations

import base64
import hashlib
import string

from engine import fake_ids
from engine.recording import Registration
from engine.resource_types.mock_outputs import Answer, answers

_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"  # the provider's own default


@answers("random:index/randomPassword:RandomPassword")
def _password(registration: Registration) -> Answer:
    result = _random_text(registration)
    salt = fake_ids.characters(f"salt:{registration.urn}", 53, "./" + string.ascii_letters + string.digits)
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
        fake_ids.characters(f"{kind}:{registration.urn}", int(inputs.get(f"min{kind.title()}", 0)), alphabet)
        for kind, alphabet in classes.items()
    )
    mixed = least + fake_ids.characters(f"text:{registration.urn}", length - len(least), allowed)
    # The order is drawn as well, or the least characters would always lead.
    order = sorted(range(length), key=lambda at: hashlib.sha256(f"{registration.urn}:{at}".encode()).digest())
    return "".join(mixed[at] for at in order)


@answers("random:index/randomString:RandomString")
def _string(registration: Registration) -> Answer:
    result = _random_text(registration)
    return Answer(id=result, outputs={"result": result})


@answers("random:index/randomBytes:RandomBytes")
def _bytes(registration: Registration) -> Answer:
    drawn = _stream(registration.urn, int(registration.inputs["length"]))
    text = base64.b64encode(drawn).decode()
    # The id of a resource is never encrypted, whatever the value: https://github.com/pulumi/pulumi/issues/8946
    return Answer(id=text, outputs={"base64": text, "hex": drawn.hex()})


@answers("random:index/randomId:RandomId")
def _id(registration: Registration) -> Answer:
    drawn = _stream(registration.urn, int(registration.inputs["byteLength"]))
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


@answers("random:index/randomInteger:RandomInteger")
def _integer(registration: Registration) -> Answer:
    least, most = int(registration.inputs["min"]), int(registration.inputs["max"])
    result = least + int.from_bytes(_stream(registration.urn, 16), "big") % (most - least + 1)
    return Answer(id=str(result), outputs={"result": result})


@answers(
    "random:index/randomUuid:RandomUuid", "random:index/randomUuid4:RandomUuid4", "random:index/randomUuid7:RandomUuid7"
)
def _uuid(registration: Registration) -> Answer:
    result = fake_ids.uuid4(registration.urn)
    return Answer(id=result, outputs={"result": result})


@answers("random:index/randomPet:RandomPet")
def _pet(registration: Registration) -> Answer:
    inputs = registration.inputs
    words = [
        fake_ids.characters(f"{number}:{registration.urn}", 6, string.ascii_lowercase)
        for number in range(int(inputs.get("length", 2)))
    ]
    return Answer(id=str(inputs.get("separator", "-")).join([*filter(None, [inputs.get("prefix")]), *words]))


@answers("random:index/randomShuffle:RandomShuffle")
def _shuffle(registration: Registration) -> Answer:
    given = list(registration.inputs["inputs"])
    order = sorted(range(len(given)), key=lambda at: fake_ids.hexadecimal(f"{registration.urn}:{at}", 64))
    count = int(registration.inputs.get("resultCount", len(given)))
    return Answer(id="-", outputs={"results": [given[at] for at in order][:count]})


def _stream(seed: str, length: int) -> bytes:
    return hashlib.shake_256(f"bytes:{seed}".encode()).digest(length)
