"""`python -m preflight`: can this AWS account give the plan's resources what they need?"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pulumi

from engine.errors import REPORT, InputError
from engine.program import REPOSITORY, run_program
from engine.stack_config import stack_name, stack_settings
from preflight import compute, databases, names, network, permissions, web
from preflight.account import Account, CredentialsError
from preflight.checks import Answer, Check, Finding, Verdict, answered, passed, will_fail
from preflight.needs import Needs
from settings.errors import SettingsError

NOTHING_FAILS, SOMETHING_FAILS, NOT_CHECKED, INTERRUPTED = 0, 1, 2, 130

JSON_VERSION = 1

VERDICTS: Sequence[Verdict] = ("will fail", "cannot tell", "pass")
"""In the order in which they are printed."""

# In the order of consequence: what stops everything first, then what fails late in `pulumi up`, then what is quick to
# correct.
CHECKS = (
    Check("permissions of the caller", permissions.caller_permissions),
    Check("service-linked roles", permissions.service_linked_roles),
    Check("names", names.free_names),
    Check("zones", network.zones),
    Check("existing network", network.existing_network),
    Check("database", databases.database_offers),
    Check("broker", databases.broker_offers),
    Check("hosted zone", web.hosted_zone),
    Check("node images", compute.node_images),
    Check("key for EBS volumes", compute.volume_key),
    Check("instance types", compute.instance_type_offers),
    Check("quotas: vCPUs", compute.vcpu_quotas),
    Check("quotas: network", network.network_quotas),
    Check("quotas: load balancers", web.load_balancer_quotas),
    Check("quotas: database", databases.database_quotas),
    Check("quotas: broker", databases.broker_quotas),
    Check("quotas: buckets, secrets", names.bucket_and_secret_quotas),
    Check("quotas: launch templates", compute.launch_template_quota),
    Check("quotas: IAM", permissions.role_quotas),
    Check("endpoint services", network.endpoint_services),
)

_EPILOG = """\
It reads only, with your own credentials, and changes nothing. docs/preflight.md lists the checks, and the policy that
they need. Standard output contains the result; progress and errors go to standard error.

exit codes:
  0  nothing will fail (some checks may be undecided)
  1  something will fail
  2  nothing was checked: the command line, the stack file or the credentials are at fault, or a bug, with a traceback
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks and print what they found; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="make preflight",
        usage="make preflight [STACK=prod] [FORMAT=text|json]\n       python -m preflight [--stack prod] [--json]",
        description="Check, before `pulumi up`, that the AWS account can give the plan's resources what they need.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--stack", type=stack_name, default="prod", help="the stack whose file is read: Pulumi.<stack>.yaml"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON, for tools")
    given = parser.parse_args(arguments)
    try:
        return _check(given.stack, as_json=given.json)
    except (pulumi.RunError, InputError, SettingsError, CredentialsError) as error:
        print(error, file=sys.stderr)
        return NOT_CHECKED
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception:  # noqa: BLE001 any other error is reported as a bug
        traceback.print_exc()
        print(REPORT, file=sys.stderr)
        return NOT_CHECKED


def _check(stack: str, *, as_json: bool) -> int:
    needs = planned(stack)
    account = Account(needs.region)
    identity = account_answer(needs, account)
    answers = [identity]
    if not _verdicts(answers)["will fail"]:  # another account's answers would be about something else
        answers += checked(needs, account)
    found = _verdicts(answers)
    print(_json(stack, needs, answers) if as_json else _text(stack, needs, answers))
    return SOMETHING_FAILS if found["will fail"] else NOTHING_FAILS


def planned(stack: str, root: Path = REPOSITORY) -> Needs:
    """The plan of a stack. Raises what a run of the program raises."""
    settings = stack_settings(root, stack)
    with contextlib.redirect_stdout(sys.stderr):
        recording = run_program(stack, root=root)
    return Needs(
        recording, cluster=settings.cluster.name, account_id=settings.cluster.account_id, region=settings.region
    )


def account_answer(needs: Needs, account: Account) -> Answer:
    """Whether the credentials are for the account of the stack file. Raises CredentialsError."""
    caller = account.identity()
    if caller["Account"] == needs.account_id:
        finding = passed(f"{caller['Arn']} in {needs.region}")
    else:
        finding = will_fail(
            f"the credentials are for account {caller['Account']} ({caller['Arn']}), but the stack file says "
            f"{needs.account_id}: use another profile (AWS_PROFILE), or correct airflow:cluster.accountId and "
            "aws:allowedAccountIds. Nothing else was checked."
        )
    return Answer("account", [finding])


def checked(needs: Needs, account: Account) -> Iterator[Answer]:
    """The answer of each check that has something to say about this plan, with progress on standard error."""
    for number, check in enumerate(CHECKS, 1):
        print(f"[{number}/{len(CHECKS)}] {check.title} ...", end=" ", file=sys.stderr, flush=True)
        answer = answered(check, needs, account)
        counts = Counter(finding.verdict for finding in answer.findings)
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "nothing planned"
        print(said, file=sys.stderr, flush=True)
        if answer.findings:
            yield answer


def _verdicts(answers: Sequence[Answer]) -> Counter[Verdict]:
    return Counter(finding.verdict for answer in answers for finding in answer.findings)


def _text(stack: str, needs: Needs, answers: Sequence[Answer]) -> str:
    lines = [f"Stack {stack}: account {needs.account_id}, region {needs.region}", ""]
    for verdict in VERDICTS:
        lines += [f"{verdict:<12}{title}: {finding.text}" for title, finding in _found(answers, verdict)]
    return "\n".join([*lines, "", _summary(answers)])


def _found(answers: Sequence[Answer], verdict: Verdict) -> Iterator[tuple[str, Finding]]:
    for answer in answers:
        yield from ((answer.title, finding) for finding in answer.findings if finding.verdict == verdict)


def _summary(answers: Sequence[Answer]) -> str:
    counts = _verdicts(answers)
    verdict = "`pulumi up` will fail" if counts["will fail"] else "Nothing that was checked will fail"
    return f"{counts['pass']} pass, {counts['will fail']} will fail, {counts['cannot tell']} cannot tell. {verdict}."


def _json(stack: str, needs: Needs, answers: Sequence[Answer]) -> str:
    counts = _verdicts(answers)

    document = {
        "version": JSON_VERSION,
        "stack": stack,
        "account": needs.account_id,
        "region": needs.region,
        "summary": {verdict: counts[verdict] for verdict in VERDICTS},
        "findings": [
            {"check": title, "verdict": verdict, "text": finding.text}
            for verdict in VERDICTS
            for title, finding in _found(answers, verdict)
        ],
    }
    return json.dumps(document, indent=2)


if __name__ == "__main__":
    gc.disable()  # nearly everything that a run allocates lives until its end: garbage collection would double its time
    raise SystemExit(main())
