"""The domain that people use, created after everything that answers under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.component import Component

# After every rule that the load balancers have for port 8080, with room for more rules in between.
REDIRECT_PRIORITY = 1000


@dataclass(frozen=True, kw_only=True)
class WebDomainArgs:
    """The domain, and the load balancer and listener that it uses.

    Attributes:
        load_balancer: the one that serves the domain on 443.
        plain_listener_arn: the HTTP listener that redirects people to the domain.
        after: the resources that answer under the domain; created before the record and deleted after it.
        load_balancers: the component whose child the record is in older states of a stack.
    """

    domain: str
    hosted_zone_id: str
    load_balancer: aws.lb.LoadBalancer
    plain_listener_arn: pulumi.Input[str]
    after: Sequence[pulumi.Resource]
    load_balancers: pulumi.Resource


class WebDomain(Component):
    """A DNS record for the web interface, and a redirect from port 8080 to the domain.

    Both are created last: until the certificate is issued, the web interface answers where it did before. When the
    domain is removed, the redirect is deleted first.
    """

    def __init__(self, name: str, args: WebDomainArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("airflow:web:WebDomain", name, None, opts)
        record = self._record(name, args)
        self._redirect(name, args, record)
        self.register_outputs({"domain": args.domain})

    def _record(self, name: str, args: WebDomainArgs) -> aws.route53.Record:
        target = args.load_balancer
        return aws.route53.Record(
            f"{name}-record",
            zone_id=args.hosted_zone_id,
            name=args.domain,
            type="A",
            aliases=[
                aws.route53.RecordAliasArgs(name=target.dns_name, zone_id=target.zone_id, evaluate_target_health=False)
            ],
            opts=self.child(
                depends_on=list(args.after),
                # Otherwise Pulumi would create the new record before it deletes the old one, and Route 53 would refuse.
                aliases=[pulumi.Alias(name="web-record", parent=args.load_balancers)],
            ),
        )

    def _redirect(self, name: str, args: WebDomainArgs, record: aws.route53.Record) -> None:
        """Redirect to the domain, whatever name the browser used: the certificate is valid for the domain only.

        A rule, not the listener's default action: Pulumi updates a listener before its rules, so a default action would
        redirect before a rule exempts the execution API.
        """
        aws.lb.ListenerRule(
            f"{name}-redirect",
            listener_arn=args.plain_listener_arn,
            priority=REDIRECT_PRIORITY,
            conditions=[
                aws.lb.ListenerRuleConditionArgs(
                    path_pattern=aws.lb.ListenerRuleConditionPathPatternArgs(values=["/*"])
                )
            ],
            actions=[
                aws.lb.ListenerRuleActionArgs(
                    type="redirect",
                    redirect=aws.lb.ListenerRuleActionRedirectArgs(
                        protocol="HTTPS", host=args.domain, port="443", status_code="HTTP_302"
                    ),
                )
            ],
            opts=self.child(depends_on=[record]),
        )
