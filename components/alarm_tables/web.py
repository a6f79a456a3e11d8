"""The alarms on the load balancers and the certificate of the web interface."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.alarm import Alarm, Watch

# A worker's request to the execution API is given up after 5 seconds ([workers] execution_api_timeout) and repeated.
_SLOW_RESPONSE_SECONDS = 5
# A few are normal while a master is replaced.
_ERRORS_IN_FIVE_MINUTES = 10
# ACM renews a certificate at least 45 days before it expires:
# https://docs.aws.amazon.com/acm/latest/userguide/managed-renewal.html
_CERTIFICATE_DAYS = 30


def load_balancer_alarms(purpose: str, dimensions: Mapping[str, pulumi.Input[str]]) -> list[Alarm]:
    """Alarms on a load balancer in front of the masters. Workers use the internal one, people either.

    `dimensions` are those of its targets' metrics. Metrics of the load balancer itself have the first of them only.
    """
    balancer = {"LoadBalancer": dimensions["LoadBalancer"]}
    of = Watch("AWS/ApplicationELB", balancer, f"{purpose}-web", "web.md")
    targets = Watch("AWS/ApplicationELB", dimensions, f"{purpose}-web", "web.md")
    users = "People and workers" if purpose == "internal" else "People"
    tasks = " Tasks cannot report, and fail after some minutes." if purpose == "internal" else ""
    return [
        targets.alarm(
            "no-healthy-master",
            "critical",
            f"No master has served for ten minutes: the UI is down.{tasks}",
            targets.metric("HealthyHostCount", "Maximum"),
            below=1,
            seconds=60,
            periods=10,
            # Without any target there is no such metric.
            missing="breaching",
            runbook="no-healthy-master",
        ),
        targets.alarm(
            "unhealthy-master",
            "warning",
            "A master has been unhealthy for half an hour, although unhealthy masters are replaced after a minute: the"
            " replacements fail too.",
            targets.metric("UnHealthyHostCount", "Minimum"),
            above=0,
            periods=6,
            runbook="unhealthy-master",
        ),
        of.alarm(
            "load-balancer-errors",
            "critical",
            f"{users} get errors from the load balancer, which reaches no master or gets no answer in time.{tasks}",
            of.metric("HTTPCode_ELB_5XX_Count", "Sum"),
            above=_ERRORS_IN_FIVE_MINUTES,
            periods=2,
            runbook="errors",
        ),
        targets.alarm(
            "api-server-errors",
            "warning",
            f"{users} get errors from the api-servers.",
            targets.metric("HTTPCode_Target_5XX_Count", "Sum"),
            above=_ERRORS_IN_FIVE_MINUTES,
            periods=3,
            runbook="errors",
        ),
        targets.alarm(
            "slow-responses",
            "warning",
            f"One of twenty requests has waited for the api-servers for more than {_SLOW_RESPONSE_SECONDS} seconds:"
            f" the UI is slow{', and requests of tasks are given up and repeated' if tasks else ''}.",
            targets.metric("TargetResponseTime", "p95"),
            above=_SLOW_RESPONSE_SECONDS,
            periods=3,
            runbook="slow-responses",
        ),
        of.alarm(
            "rejected-connections",
            "warning",
            f"The load balancer has reached its maximum of connections: some {users.lower()} are turned away.",
            of.metric("RejectedConnectionCount", "Sum"),
            above=0,
            periods=1,
            runbook="rejected-connections",
        ),
    ]


def certificate_alarms(certificate_arn: pulumi.Input[str]) -> list[Alarm]:
    """Alarms on the certificate of the web interface."""
    of = Watch("AWS/CertificateManager", {"CertificateArn": certificate_arn}, "certificate", "web.md")
    return [
        of.alarm(
            "expires",
            "critical",
            f"ACM has not renewed the certificate, which expires in less than {_CERTIFICATE_DAYS} days. After that,"
            " browsers refuse the UI.",
            of.metric("DaysToExpiry", "Minimum"),
            below=_CERTIFICATE_DAYS,
            seconds=24 * 60 * 60,
            periods=1,
            # An expired certificate has no such metric.
            missing="ignore",
            runbook="certificate",
        )
    ]
