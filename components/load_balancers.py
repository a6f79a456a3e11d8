"""The load balancers, certificate and names of the web interface and the execution API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.component import Component
from components.context import Context
from node.naming import API_SERVER_PORT, METRICS_PATH, METRICS_PORT, private_zone_name, web_url
from settings import WebSettings

# TLS 1.3, and 1.2 with forward secrecy and authenticated encryption only.
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"

# Six failed checks take a minute. An unhealthy master is not only taken out of the load balancer but replaced, with
# everything that runs on it. A crashed api-server is back after 13 to 35 seconds on a busy node: that must not end the
# scheduler beside it.
CHECK_INTERVAL_SECONDS = 10
FAILED_CHECKS_UNTIL_UNHEALTHY = 6

# Below the 120 s for which the api-server keeps an idle connection open ([api] worker_timeout): the side that reuses a
# connection has to be the first to close it, or requests meet a closed socket and end as 502.
IDLE_TIMEOUT_SECONDS = 60

EXECUTION_API_PATHS = ("/execution", "/execution/*")

# The api-server decodes a path before it routes it, but load balancer rules may compare the raw path. So /%65xecution/
# and /e%78ecution/ have to be refused as well. The api-server neither joins slashes nor resolves dots; the other two
# lines are in case something in between ever does. No page of Airflow has such a path: percent signs only come later.
# Regular expressions, because AWS allows no percent sign in plain patterns. They match whole paths, so that they also
# work if AWS only searches for them, and they stop at a `?`, in case AWS includes the query.
DISGUISED_EXECUTION_API_PATHS = (
    "^/+[^/?]*%.*$",  # a percent sign in the first segment
    "^//.*$",
    "^[^?]*/([.]|%2[eE]){1,2}(/.*)?$",  # a segment of one or two dots, encoded or not
)

# Rules that refuse come before the one that forwards. The steps leave room for further rules.
EXECUTION_API_PRIORITY = 10
DISGUISES_PRIORITY = 20
PAGES_PRIORITY = 30

HSTS_ONE_YEAR = "max-age=31536000"


@dataclass(frozen=True, kw_only=True)
class LoadBalancersArgs:
    """The network and settings of the load balancers.

    Attributes:
        public_security_group_id: given when there is public access; needs a domain.
        access_logs_bucket: name of a bucket, known once its policy lets load balancers of this account write: AWS
            makes each new load balancer write a test object, and its creation fails if it cannot.
    """

    context: Context
    settings: WebSettings
    vpc_id: pulumi.Input[str]
    internal_subnet_ids: Sequence[pulumi.Input[str]]
    public_subnet_ids: Sequence[pulumi.Input[str]]
    internal_security_group_id: pulumi.Input[str]
    public_security_group_id: pulumi.Input[str] | None
    access_logs_bucket: pulumi.Input[str]
    with_monitor: bool = False


@dataclass(frozen=True)
class _Domain:
    """The name that people use, and the public hosted zone that holds it."""

    name: str
    zone_id: str


def _domain(settings: WebSettings) -> _Domain | None:
    if settings.domain is None or settings.hosted_zone_id is None:
        return None
    return _Domain(settings.domain, settings.hosted_zone_id)


class LoadBalancers(Component):
    """An internal load balancer for people and nodes, and an optional public one for people only.

    Inside the network, port 8080 serves the execution API, and also the web interface until people are redirected to
    HTTPS. With a domain there is HTTPS. From the internet only HTTPS is open and the execution API is refused; requests
    are forwarded only after every refusing rule exists.
    """

    url: str
    entrance: aws.lb.LoadBalancer
    """The load balancer that people use."""
    plain_listener_arn: pulumi.Output[str]
    """The HTTP listener on port 8080, inside the network."""
    target_group_arns: dict[str, pulumi.Output[str]]
    """The masters' target groups by load balancer: `internal`, and `public` if there is public access."""
    metric_dimensions: dict[str, dict[str, pulumi.Output[str]]]
    """By the same names, the dimensions of CloudWatch's metrics of a load balancer's targets."""
    certificate_arn: pulumi.Output[str] | None
    """The certificate of the domain, if there is one."""
    metrics_target_group_arn: pulumi.Output[str] | None = None
    """The monitor's target group; None when the stack has no monitor."""

    def __init__(self, name: str, args: LoadBalancersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:web:WebEntrypoint", name, None, opts)
        self.url = web_url(args.context.cluster, args.settings.domain)
        internal = self._load_balancer(
            f"{name}-internal",
            args,
            physical_name=f"{args.context.cluster}-web",
            internal=True,
            subnet_ids=args.internal_subnet_ids,
            security_group_id=args.internal_security_group_id,
        )
        targets = self._api_servers(f"{name}-internal-targets", args.vpc_id)
        self.target_group_arns = {"internal": targets.arn}
        self.metric_dimensions = {"internal": _metric_dimensions(internal, targets)}
        self.certificate_arn = None
        self.entrance = internal
        self._private_name(name, args, internal)
        plain = self._http_listener(f"{name}-internal-http", internal, API_SERVER_PORT, _forward(targets))
        self.plain_listener_arn = plain.arn
        domain = _domain(args.settings)
        if domain is not None:
            self._with_domain(name, args, domain, internal, plain, targets)
        if args.with_monitor:
            self.metrics_target_group_arn = self._metrics(f"{name}-metrics", args, internal).arn
        self.register_outputs({"url": self.url, "target_group_arns": self.target_group_arns})

    def _with_domain(
        self,
        name: str,
        args: LoadBalancersArgs,
        domain: _Domain,
        internal: aws.lb.LoadBalancer,
        plain: aws.lb.Listener,
        targets: aws.lb.TargetGroup,
    ) -> None:
        # Before people are redirected: a task would treat the redirect as a failure, and not retry.
        self._rule(
            f"{name}-internal-execution-api",
            plain,
            EXECUTION_API_PRIORITY,
            _paths(EXECUTION_API_PATHS),
            _rule_forward(targets),
        )
        self.certificate_arn = certificate_arn = self._certificate(name, domain)
        self._https_listener(f"{name}-internal-https", internal, certificate_arn, _forward(targets))
        if args.public_security_group_id is not None:
            self.entrance = self._public(name, args, args.public_security_group_id, certificate_arn)

    def _public(
        self,
        name: str,
        args: LoadBalancersArgs,
        security_group_id: pulumi.Input[str],
        certificate_arn: pulumi.Input[str],
    ) -> aws.lb.LoadBalancer:
        balancer = self._load_balancer(
            f"{name}-public",
            args,
            physical_name=f"{args.context.cluster}-public",
            internal=False,
            subnet_ids=args.public_subnet_ids,
            security_group_id=security_group_id,
        )
        targets = self._api_servers(f"{name}-public-targets", args.vpc_id)
        self.target_group_arns["public"] = targets.arn
        self.metric_dimensions["public"] = _metric_dimensions(balancer, targets)
        # The default action refuses: a listener that forwards by default would be open until its rules are created, and
        # would stay open if their creation failed.
        listener = self._https_listener(f"{name}-public-https", balancer, certificate_arn, _CLOSED)
        self._public_rules(f"{name}-public", listener, targets)
        return balancer

    def _public_rules(self, name: str, listener: aws.lb.Listener, targets: aws.lb.TargetGroup) -> None:
        """Refuse the execution API in every spelling, and only then forward all other requests."""
        refusals = [
            self._rule(
                f"{name}-execution-api", listener, EXECUTION_API_PRIORITY, _paths(EXECUTION_API_PATHS), _REFUSED
            ),
            # A separate rule, because a condition has either plain patterns or regular expressions.
            self._rule(
                f"{name}-disguises",
                listener,
                DISGUISES_PRIORITY,
                aws.lb.ListenerRuleConditionPathPatternArgs(regex_values=list(DISGUISED_EXECUTION_API_PATHS)),
                _REFUSED,
            ),
        ]
        # Waits for both: otherwise the execution API would be open until they exist, or permanently if one fails. When
        # the stack is destroyed, this rule is deleted first.
        self._rule(
            f"{name}-pages", listener, PAGES_PRIORITY, _paths(["/*"]), _rule_forward(targets), depends_on=refusals
        )

    def _metrics(self, name: str, args: LoadBalancersArgs, internal: aws.lb.LoadBalancer) -> aws.lb.TargetGroup:
        """The way of samples to the monitor. Nodes can only write them: a worker runs the code of DAG authors, and the
        same port serves queries and the deletion of series."""
        targets = self._target_group(f"{name}-targets", args.vpc_id, METRICS_PORT, "/health", "200")
        listener = self._http_listener(name, internal, METRICS_PORT, _CLOSED)
        self._rule(f"{name}-write", listener, PAGES_PRIORITY, _paths([METRICS_PATH]), _rule_forward(targets))
        return targets

    def _load_balancer(
        self,
        logical_name: str,
        args: LoadBalancersArgs,
        *,
        physical_name: str,
        internal: bool,
        subnet_ids: Sequence[pulumi.Input[str]],
        security_group_id: pulumi.Input[str],
    ) -> aws.lb.LoadBalancer:
        return aws.lb.LoadBalancer(
            logical_name,
            name=physical_name,
            load_balancer_type="application",
            internal=internal,
            subnets=subnet_ids,
            security_groups=[security_group_id],
            drop_invalid_header_fields=True,
            desync_mitigation_mode="defensive",
            idle_timeout=IDLE_TIMEOUT_SECONDS,
            # All tasks depend on the internal one. The public one can be removed by a line of the stack file.
            enable_deletion_protection=args.context.protect and internal,
            access_logs=aws.lb.LoadBalancerAccessLogsArgs(
                bucket=args.access_logs_bucket, prefix=physical_name, enabled=True
            ),
            opts=self.child(),
        )

    def _api_servers(self, logical_name: str, vpc_id: pulumi.Input[str]) -> aws.lb.TargetGroup:
        """The masters as targets of one load balancer: AWS allows one load balancer for each target group."""
        # Airflow 2's web server returns 302, in case a group contains both versions during a migration.
        return self._target_group(logical_name, vpc_id, API_SERVER_PORT, "/", "200,302")

    def _target_group(
        self, logical_name: str, vpc_id: pulumi.Input[str], port: int, health_path: str, healthy: str
    ) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            logical_name,
            vpc_id=vpc_id,
            target_type="instance",
            protocol="HTTP",
            port=port,
            # How long a terminating node may finish its requests.
            deregistration_delay=IDLE_TIMEOUT_SECONDS,
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                protocol="HTTP",
                port="traffic-port",
                path=health_path,
                matcher=healthy,
                interval=CHECK_INTERVAL_SECONDS,
                timeout=5,
                healthy_threshold=2,
                unhealthy_threshold=FAILED_CHECKS_UNTIL_UNHEALTHY,
            ),
            opts=self.child(),
        )

    def _private_name(self, name: str, args: LoadBalancersArgs, internal: aws.lb.LoadBalancer) -> None:
        zone = aws.route53.Zone(
            f"{name}-private-zone",
            name=private_zone_name(args.context.cluster),
            comment=f"How the nodes of {args.context.cluster} reach its api-servers",
            vpcs=[aws.route53.ZoneVpcArgs(vpc_id=args.vpc_id)],
            opts=self.child(),
        )
        aws.route53.Record(
            f"{name}-private-record",
            zone_id=zone.zone_id,
            name=private_zone_name(args.context.cluster),
            type="A",
            aliases=[
                aws.route53.RecordAliasArgs(
                    name=internal.dns_name, zone_id=internal.zone_id, evaluate_target_health=False
                )
            ],
            opts=self.child(),
        )

    def _certificate(self, name: str, domain: _Domain) -> pulumi.Output[str]:
        """The ARN of a certificate that is issued, so that listeners wait for it."""
        certificate = aws.acm.Certificate(
            f"{name}-certificate", domain_name=domain.name, validation_method="DNS", opts=self.child()
        )
        # There is one option because there is one name. In a preview only its fields are unknown.
        proof = certificate.domain_validation_options[0]
        record = aws.route53.Record(
            f"{name}-certificate-record",
            zone_id=domain.zone_id,
            name=proof.resource_record_name,
            type=proof.resource_record_type,
            records=[proof.resource_record_value],
            ttl=300,
            # ACM requires the same record for every certificate of a name, so it may already exist for a second stack
            # or for a certificate that was created by hand.
            allow_overwrite=True,
            # For the same reason the record outlives the stack: ACM looks it up at every renewal, so without it the
            # other certificate would expire.
            opts=self.child(retain_on_delete=True),
        )
        validation = aws.acm.CertificateValidation(
            f"{name}-certificate-validation",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn],
            opts=self.child(),
        )
        return validation.certificate_arn

    def _http_listener(
        self,
        logical_name: str,
        load_balancer: aws.lb.LoadBalancer,
        port: int,
        action: aws.lb.ListenerDefaultActionArgs,
    ) -> aws.lb.Listener:
        return aws.lb.Listener(
            logical_name,
            load_balancer_arn=load_balancer.arn,
            protocol="HTTP",
            port=port,
            default_actions=[action],
            routing_http_response_server_enabled=False,
            opts=self.child(),
        )

    def _https_listener(
        self,
        logical_name: str,
        load_balancer: aws.lb.LoadBalancer,
        certificate_arn: pulumi.Input[str],
        action: aws.lb.ListenerDefaultActionArgs,
    ) -> aws.lb.Listener:
        return aws.lb.Listener(
            logical_name,
            load_balancer_arn=load_balancer.arn,
            protocol="HTTPS",
            port=443,
            ssl_policy=TLS_POLICY,
            certificate_arn=certificate_arn,
            default_actions=[action],
            routing_http_response_server_enabled=False,
            routing_http_response_strict_transport_security_header_value=HSTS_ONE_YEAR,
            opts=self.child(),
        )

    def _rule(
        self,
        logical_name: str,
        listener: aws.lb.Listener,
        priority: int,
        path_pattern: aws.lb.ListenerRuleConditionPathPatternArgs,
        action: aws.lb.ListenerRuleActionArgs,
        *,
        depends_on: Sequence[pulumi.Resource] = (),
    ) -> aws.lb.ListenerRule:
        return aws.lb.ListenerRule(
            logical_name,
            listener_arn=listener.arn,
            priority=priority,
            conditions=[aws.lb.ListenerRuleConditionArgs(path_pattern=path_pattern)],
            actions=[action],
            opts=self.child(depends_on=list(depends_on)),
        )


_REFUSED = aws.lb.ListenerRuleActionArgs(
    type="fixed-response",
    fixed_response=aws.lb.ListenerRuleActionFixedResponseArgs(
        content_type="text/plain", message_body="The execution API is for the cluster's own workers.", status_code="403"
    ),
)
_CLOSED = aws.lb.ListenerDefaultActionArgs(
    type="fixed-response",
    fixed_response=aws.lb.ListenerDefaultActionFixedResponseArgs(
        content_type="text/plain", message_body="Nothing is served here.", status_code="403"
    ),
)


def _paths(patterns: Sequence[str]) -> aws.lb.ListenerRuleConditionPathPatternArgs:
    return aws.lb.ListenerRuleConditionPathPatternArgs(values=list(patterns))


def _forward(targets: aws.lb.TargetGroup) -> aws.lb.ListenerDefaultActionArgs:
    return aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=targets.arn)


def _rule_forward(targets: aws.lb.TargetGroup) -> aws.lb.ListenerRuleActionArgs:
    return aws.lb.ListenerRuleActionArgs(type="forward", target_group_arn=targets.arn)


def _metric_dimensions(balancer: aws.lb.LoadBalancer, targets: aws.lb.TargetGroup) -> dict[str, pulumi.Output[str]]:
    return {"LoadBalancer": balancer.arn_suffix, "TargetGroup": targets.arn_suffix}
