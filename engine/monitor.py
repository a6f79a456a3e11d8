"""The recording engine: a replacement for Pulumi's resource monitor, and the run of a program against it.

It extends the monitor of `pulumi.runtime.mocks`, because Pulumi's public mocks API hides what a plan needs: resource
options, dependencies by property, aliases, and which values are secret. Those are read from the request of the wire
protocol. Written against pulumi 3.272; nothing else in the repository uses `pulumi.runtime`, except `engine.sdk_types`
its types.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from pulumi.runtime import config as runtime_config
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.proto import engine_pb2, resource_pb2
from pulumi.runtime.stack import run_in_stack

from engine import urns
from engine.errors import DuplicateNameError, EngineRefusalError, UnknownArgumentError, UnplannedInvokeError
from engine.recording import UNKNOWN, Options, Recording, Registration, Resource, in_order, texts
from engine.resource_types import mock_outputs
from engine.sdk_types import argument_error, output_names
from engine.stack_config import StackConfig

_MOST_STEPS = 10_000
"""Of the event loop; a program takes one per link of its longest chain of outputs."""

Outputs = Mapping[str, Mapping[str, Any] | Callable[[Registration], Mapping[str, Any]]]
Result = TypeVar("Result")


def run(
    program: Callable[[], Result], *, stack: str, config: StackConfig, preview: bool, outputs: Outputs | None
) -> tuple[Result, Recording]:
    monitor = _Monitor(stack, config, preview=preview, outputs=outputs or {})
    built: list[Result] = []

    async def run() -> None:
        built.append(program())
        await _settled()

    async def main() -> None:
        runtime_config.set_all_config(dict(config.values), list(config.secret_keys))
        settings.ROOT.set(None)
        settings.configure(
            settings.Settings(
                project=config.project,
                stack=stack,
                monitor=monitor,
                engine=_Log(monitor.recording),
                dry_run=preview,
                organization="organization",
                root_directory=str(Path.cwd()),
            )
        )
        await run_in_stack(run)

    # A new loop, and a copy of the context: Pulumi keeps its settings and config in context variables.
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        loop.set_default_executor(_InlineExecutor())
        # Without this, asyncio reports every future that an error leaves behind, besides the error itself.
        loop.set_exception_handler(lambda _loop, _context: None)
        runner.run(main(), context=contextvars.copy_context())
    monitor.recording.resources = in_order(monitor.recording.resources)
    return built[0], monitor.recording


async def _settled() -> None:
    """Give the event loop to the outstanding registrations and outputs until none is left.

    Pulumi waits for them too, but checks each of thousands after every step, which takes a third of a run's time.
    """
    for _ in range(_MOST_STEPS):
        if not settings.SETTINGS.outputs:
            return
        await asyncio.sleep(0)


class _InlineExecutor(ThreadPoolExecutor):
    """Runs each call at once in the caller's thread: registrations arrive one at a time, always in one order."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 a pool hands every error on through the future as well
            future.set_exception(error)
        return future


class _Log:
    """Receives what the program logs; keeps warnings and errors."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def Log(self, request: engine_pb2.LogRequest) -> None:  # noqa: N802 gRPC's name
        if request.severity in (engine_pb2.WARNING, engine_pb2.ERROR):
            severity = "error" if request.severity == engine_pb2.ERROR else "warning"
            self._recording.messages.append(f"{severity}: {request.message}")


class _NoMocks(mocks.Mocks):
    """Required by the base class of the monitor, which overrides every method that would call it."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict]:
        raise EngineRefusalError(f"{args.typ} {args.name!r} was not handled by the monitor")

    def call(self, args: mocks.MockCallArgs) -> tuple[dict, list[tuple[str, str]] | None]:
        raise UnplannedInvokeError(args.token)


class _Monitor(mocks.MockMonitor):
    """Answers the SDK's requests with mock outputs and records them."""

    def __init__(self, stack: str, config: StackConfig, *, preview: bool, outputs: Outputs) -> None:
        super().__init__(_NoMocks())
        self.recording = Recording(account_id=config.account_id, region=config.region)
        self._stack = stack
        self._config = config
        self._preview = preview
        self._overrides = outputs
        self._position: dict[str, int] = {}
        self._retained: set[str] = set()

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        return self._identity(parent, type_, name).urn

    def Invoke(self, request: resource_pb2.ResourceInvokeRequest) -> resource_pb2.ResourceInvokeResponse:  # noqa: N802
        raise UnplannedInvokeError(
            f"{request.tok} was called. The program must not look anything up: put the value into the stack file."
        )

    Call = Invoke

    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> resource_pb2.ReadResourceResponse:  # noqa: N802
        raise UnplannedInvokeError(
            f"{request.type} {request.name!r} is read from the cloud (id {request.id}). "
            "The program must not look anything up: put the value into the stack file."
        )

    def RegisterResource(  # noqa: N802
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        identity = self._identity(request.parent, request.type, request.name)
        if request.type == urns.STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=identity.urn)
        if identity.urn in self._position:
            raise DuplicateNameError(
                f"{request.type} {request.name!r} is registered twice; both would be {identity.urn} in the state."
            )
        inputs, secrets = _plain_properties(request.object, self.recording.secret_texts)
        problem = argument_error(request.type, inputs) if request.custom else None
        if problem:
            raise UnknownArgumentError(f"{request.type} {request.name!r}: {problem}")
        return self._register(identity, request, inputs, secrets)

    def _register(
        self,
        identity: urns.Identity,
        request: resource_pb2.RegisterResourceRequest,
        inputs: dict[str, Any],
        secrets: frozenset[str],
    ) -> resource_pb2.RegisterResourceResponse:
        registration = Registration(
            type=request.type,
            name=request.name,
            urn=identity.urn,
            parent=_below_stack(request.parent),
            inputs=inputs,
            account_id=self._config.account_id,
            region=self._config.region,
        )
        id_, given = self._mock_outputs(registration) if request.custom else ("", {})
        secret_outputs = frozenset(key for key in request.additionalSecretOutputs if key in given)
        self.recording.secret_texts.update(texts([given[key] for key in secret_outputs]))
        if "tags" in secrets and "tagsAll" in given:
            secret_outputs |= {"tagsAll"}
        self._position[identity.urn] = len(self.recording.resources)
        self.recording.resources.append(
            Resource(
                type=request.type,
                name=request.name,
                urn=identity.urn,
                parent=registration.parent,
                id=id_,
                inputs=inputs,
                secret_inputs=secrets,
                outputs={**inputs, **given} if request.custom else {},
                secret_outputs=secret_outputs | secrets if request.custom else frozenset(),
                options=self._options(identity, request),
                dependencies=tuple(sorted(request.dependencies)),
                property_dependencies=_by_property(request),
            )
        )
        state = type(request.object)()
        state.CopyFrom(request.object)
        state.update({key: rpc.wrap_rpc_secret(v) if key in secret_outputs else v for key, v in given.items()})
        return resource_pb2.RegisterResourceResponse(urn=identity.urn, id=id_, object=state)

    def _mock_outputs(self, registration: Registration) -> tuple[str, dict[str, Any]]:
        """The id and the outputs beyond the inputs; a preview knows only what a provider can plan."""
        mock = mock_outputs(registration)
        declared = output_names(registration.type)
        given: dict[str, Any] = dict(mock.planned)
        if "region" in declared:
            given.setdefault("region", registration.inputs.get("region", registration.region))
        if "tagsAll" in declared:
            given["tagsAll"] = {**self._config.default_tags, **registration.inputs.get("tags", {})}
        if self._preview:
            return "", {key: value for key, value in given.items() if UNKNOWN not in str(value)}
        override = self._overrides.get(registration.type, {})
        given |= {**mock.outputs, **(override if isinstance(override, Mapping) else override(registration))}
        return str(given.pop("id", mock.id)), given

    def _options(self, identity: urns.Identity, request: resource_pb2.RegisterResourceRequest) -> Options:
        parent = self._position.get(request.parent)
        inherited = self.recording.resources[parent].options if parent is not None else None
        # The SDK passes `protect` on to children, but leaves the inheritance of this option to the engine.
        retain = (
            request.retainOnDelete
            if request.HasField("retainOnDelete")
            else bool(inherited and inherited.retain_on_delete)
        )
        by_property = {urn for dependency in request.propertyDependencies.values() for urn in dependency.urns}
        return Options(
            custom=request.custom,
            protect=request.protect,
            retain_on_delete=retain,
            delete_before_replace=request.deleteBeforeReplace,
            ignore_changes=tuple(request.ignoreChanges),
            replace_on_changes=tuple(request.replaceOnChanges),
            delete_timeout=request.customTimeouts.delete,
            aliases=urns.alias_urns(
                identity, map(_alias, request.aliases), inherited.aliases if inherited is not None else ()
            ),
            depends_on=tuple(sorted(set(request.dependencies) - by_property)),
        )

    def RegisterResourceOutputs(  # noqa: N802
        self, request: resource_pb2.RegisterResourceOutputsRequest
    ) -> Any:
        outputs, secrets = _plain_properties(request.outputs, self.recording.secret_texts)
        if urns.type_of(request.urn) == urns.STACK_TYPE:
            self.recording.exports.update(outputs)
            self.recording.secret_exports |= secrets
        elif request.urn in self._position:
            at = self._position[request.urn]
            known = self.recording.resources[at]
            self.recording.resources[at] = dataclasses.replace(known, outputs=outputs, secret_outputs=secrets)
        return super().RegisterResourceOutputs(request)

    def _identity(self, parent: str, type_: str, name: str) -> urns.Identity:
        return urns.Identity(stack=self._stack, project=self._config.project, parent=parent, type=type_, name=name)


def _by_property(request: resource_pb2.RegisterResourceRequest) -> dict[str, tuple[str, ...]]:
    found = sorted(request.propertyDependencies.items(), key=itemgetter(0))
    return {key: tuple(sorted(dependency.urns)) for key, dependency in found if dependency.urns}


def _below_stack(parent: str) -> str:
    return "" if not parent or urns.type_of(parent) == urns.STACK_TYPE else parent


def _alias(alias: Any) -> urns.Alias:
    if alias.WhichOneof("alias") == "urn":
        return urns.Alias(urn=alias.urn)
    spec = alias.spec
    parent = "" if spec.noParent else spec.parentUrn or None
    return urns.Alias(name=spec.name, type=spec.type, stack=spec.stack, project=spec.project, parent=parent)


def _plain_properties(properties: Any, secret_texts: set[str]) -> tuple[dict[str, Any], frozenset[str]]:
    """Properties as plain Python values, and the names of those that hold a secret; adds the secret texts."""
    secret_keys: set[str] = set()
    plain = {}
    for key, value in sorted(properties.fields.items(), key=itemgetter(0)):
        wrapped: list[Any] = []
        plain[key] = _plain(value, wrapped)
        if wrapped:
            secret_keys.add(key)
            secret_texts.update(texts(wrapped))
    return plain, frozenset(secret_keys)


def _plain(value: Any, wrapped: list[Any]) -> Any:
    """One value; what was wrapped as a secret is appended to `wrapped`."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain_struct(value.struct_value, wrapped)
    if kind == "list_value":
        return [_plain(item, wrapped) for item in value.list_value.values]
    if kind == "string_value":
        return UNKNOWN if value.string_value == rpc.UNKNOWN else value.string_value
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    return value.bool_value if kind == "bool_value" else None


def _plain_struct(struct: Any, wrapped: list[Any]) -> Any:
    """A mapping; an asset becomes `{"text" | "path" | "uri": ...}`, an archive `{"assets" | "path" | "uri": ...}`."""
    signature = struct.fields[rpc._special_sig_key].string_value if rpc._special_sig_key in struct.fields else ""
    if signature == rpc._special_secret_sig:
        wrapped.append(_plain(struct.fields["value"], wrapped))
        return wrapped[-1]
    if signature == rpc._special_resource_sig:
        return struct.fields["urn"].string_value
    fields = sorted(struct.fields.items(), key=itemgetter(0))  # a protobuf map has no order of its own
    return {key: _plain(item, wrapped) for key, item in fields if key != rpc._special_sig_key}
