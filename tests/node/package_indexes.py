"""Package indexes on this machine that serve tiny wheels."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping

from tests.node.fake_server import Answer, Request

TAG = "py3-none-any"
USERNAME, PASSWORD = "reader", "p%41@:/#?w& d"
AUTHORIZATION = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()


def serving_packages(
    versions: Mapping[str, str | tuple[str, ...]], *, private: bool = False, requires: Mapping[str, str] | None = None
) -> Callable[[Request], Answer]:
    """The responses of an index (PEP 503) that has these packages; a private one requires credentials.

    `requires`: the requirement of a package.
    """
    wheels = {
        f"{name}-{version}-{TAG}.whl": wheel(name, version, requirement=(requires or {}).get(name))
        for name, given in versions.items()
        for version in ((given,) if isinstance(given, str) else given)
    }

    def answer(request: Request) -> Answer:
        if private and request.headers.get("Authorization") != AUTHORIZATION:
            return Answer(401, headers={"WWW-Authenticate": 'Basic realm="packages"'})
        *_, place, file = ("/" + request.path.strip("/")).split("/")
        if place == "files" and file in wheels:
            return Answer(200, wheels[file])
        links = [
            f'<a href="/files/{wheel}#sha256={hashlib.sha256(content).hexdigest()}">{wheel}</a>'
            for wheel, content in wheels.items()
            if wheel.startswith(f"{file}-")
        ]
        return Answer(200, "".join(links).encode(), {"Content-Type": "text/html"}) if links else Answer(404)

    return answer


def wheel(name: str, version: str, *, requirement: str | None = None, files: Mapping[str, str] | None = None) -> bytes:
    """A package with an empty module and further files."""
    modules = {f"{name}.py": "", **(files or {})}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        information = f"{name}-{version}.dist-info"
        for path, text in modules.items():
            archive.writestr(path, text)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += f"Requires-Dist: {requirement}\n" if requirement else ""
        archive.writestr(f"{information}/METADATA", metadata)
        archive.writestr(f"{information}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {TAG}\n")
        archive.writestr(f"{information}/RECORD", "".join(f"{path},,\n" for path in modules))
    return content.getvalue()
