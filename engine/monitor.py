"""A replacement for Pulumi's resource monitor that answers every request with mock outputs and records it.

It extends the monitor of `pulumi.runtime.mocks`, because Pulumi's public mocks API hides what a plan needs: resource
options, dependencies by property, aliases, and which values are secret. Those are read from the requests of the wire
protocol. Pulumi does not check inputs that are given as plain dicts: a misspelt key is registered without an error and
ignored. The monitor compares them with the declarations on the SDK's classes, which only `pulumi._types` can read.
Written against pulumi 3.272.
"""

from __future__ import annotations

import dataclasses
import keyword
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, get_args, get_origin

from pulumi import _types
from pulumi.runtime import mocks, rpc
from pulumi.runtime.proto import resource_pb2

from engine.errors import DuplicateNameError, EngineRefusalError, UnknownArgumentError, UnplannedInvokeError
from engine.recording import (
    STACK_TYPE,
    UNKNOWN,
    Alias,
    Identity,
    Options,
    Recording,
    Registration,
    Resource,
    alias_urns,
    texts,
    type_of,
)
from engine.resource_types import mock_outputs
from engine.stack_config import StackConfig

Outputs = Mapping[str, Mapping[str, Any] | Callable[[Registration], Mapping[str, Any]]]


class _NoMocks(mocks.Mocks):
    """Required by the base class of the monitor, which overrides every method that would call it."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict]:
        raise EngineRefusalError(f"{args.typ} {args.name!r} was not handled by the monitor")

    def call(self, args: mocks.MockCallArgs) -> tuple[dict, list[tuple[str, str]] | None]:
        raise UnplannedInvokeError(args.token)


class Monitor(mocks.MockMonitor):
    """Answers the SDK's requests with mock outputs and records them."""

    def __init__(self, stack: str, config: StackConfig, *, preview: bool, outputs: Outputs) -> None:
        super().__init__(_NoMocks())
        self.recording = Recording(account_id=config.account_id, region=config.region)
        self._stack = stack
        self._config = config
        self._preview = preview
        self._overrides = outputs
        self._position: dict[str, int] = {}

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
        if request.type == STACK_TYPE:
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
        identity: Identity,
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
        """The id, and the outputs that are not inputs; in a preview only those that a provider can plan."""
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

    def _options(self, identity: Identity, request: resource_pb2.RegisterResourceRequest) -> Options:
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
            aliases=alias_urns(
                identity, map(_alias, request.aliases), inherited.aliases if inherited is not None else ()
            ),
            depends_on=tuple(sorted(set(request.dependencies) - by_property)),
        )

    def RegisterResourceOutputs(  # noqa: N802
        self, request: resource_pb2.RegisterResourceOutputsRequest
    ) -> Any:
        outputs, secrets = _plain_properties(request.outputs, self.recording.secret_texts)
        if type_of(request.urn) == STACK_TYPE:
            self.recording.exports.update(outputs)
            self.recording.secret_exports |= secrets
        elif request.urn in self._position:
            at = self._position[request.urn]
            known = self.recording.resources[at]
            self.recording.resources[at] = dataclasses.replace(known, outputs=outputs, secret_outputs=secrets)
        return super().RegisterResourceOutputs(request)

    def _identity(self, parent: str, type_: str, name: str) -> Identity:
        return Identity(stack=self._stack, project=self._config.project, parent=parent, type=type_, name=name)


def _by_property(request: resource_pb2.RegisterResourceRequest) -> dict[str, tuple[str, ...]]:
    found = sorted(request.propertyDependencies.items(), key=itemgetter(0))
    return {key: tuple(sorted(dependency.urns)) for key, dependency in found if dependency.urns}


def _below_stack(parent: str) -> str:
    return "" if not parent or type_of(parent) == STACK_TYPE else parent


def _alias(alias: Any) -> Alias:
    if alias.WhichOneof("alias") == "urn":
        return Alias(urn=alias.urn)
    spec = alias.spec
    parent = "" if spec.noParent else spec.parentUrn or None
    return Alias(name=spec.name, type=spec.type, stack=spec.stack, project=spec.project, parent=parent)


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
    """One value; a value that was wrapped as a secret is also appended to `wrapped`."""
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
    fields = sorted(struct.fields.items(), key=itemgetter(0))  # a protobuf map has no defined order
    return {key: _plain(item, wrapped) for key, item in fields if key != rpc._special_sig_key}


def argument_error(token: str, inputs: Mapping[str, Any]) -> str | None:
    """A sentence about the first input that does not match its declaration; None if all do, or nothing is declared."""
    arguments = _arguments(token)
    return next(_errors(inputs, arguments, ""), None) if arguments else None


@cache
def input_names(token: str) -> frozenset[str]:
    """The names of the inputs that a resource type declares."""
    arguments = _arguments(token)
    return frozenset(_types.input_type_types(arguments)) if arguments else frozenset()


@cache
def output_names(token: str) -> frozenset[str]:
    """The names of the outputs that a resource type declares."""
    resource = _resource_class(token)
    return frozenset(_types.resource_types(resource)) if resource else frozenset()


def _resource_class(token: str) -> Any:
    """The class of a type token: `pulumi_aws.ec2.Vpc` for `aws:ec2/vpc:Vpc`. None if no imported SDK has it."""
    package, module, name = token.split(":", 2)
    service = module.partition("/")[0]
    sdk = sys.modules.get(f"pulumi_{package}")
    if service != "index":
        sdk = getattr(sdk, f"{service}_" if keyword.iskeyword(service) else service, None)
    return getattr(sdk, name, None)


@cache
def _arguments(token: str) -> Any:
    """The class that declares the inputs of a resource type."""
    resource = _resource_class(token)
    if resource is None:
        return None
    declared = vars(sys.modules[resource.__module__])
    # If a nested block has the resource's name, the SDK names the arguments of the resource `<name>InitArgs`.
    return declared.get(f"{resource.__name__}InitArgs") or declared.get(f"{resource.__name__}Args")


def _errors(value: Any, declared: Any, path: str) -> Iterator[str]:
    declared = _types.unwrap_type(declared)
    if value is None or value == UNKNOWN:
        return
    if isinstance(declared, type) and _types.is_input_type(declared):
        if not isinstance(value, dict):
            yield f"`{path}` is {type(value).__name__}; {declared.__name__} is a mapping."
            return
        known = _types.input_type_types(declared)
        for key, item in value.items():
            if key not in known:
                yield f"there is no `{f'{path}.{key}'.lstrip('.')}`. Known: {', '.join(sorted(known))}."
            else:
                yield from _errors(item, known[key], f"{path}.{key}".lstrip("."))
    elif get_origin(declared) is Sequence:
        if not isinstance(value, list):
            yield f"`{path}` is {type(value).__name__}; a list is needed."
            return
        for index, item in enumerate(value):
            yield from _errors(item, get_args(declared)[0], f"{path}[{index}]")
    elif get_origin(declared) is Mapping or declared in (str, int, float, bool):
        needed = "mapping" if get_origin(declared) is Mapping else "single value"
        if isinstance(value, list) or isinstance(value, dict) is not (needed == "mapping"):
            yield f"`{path}` is {type(value).__name__}; a {needed} is needed."
