"""What the metadata service announces about the end of this instance."""

from __future__ import annotations

import json
import time
import urllib.error
from dataclasses import dataclass
from datetime import datetime

from airflow_node import metadata_service

# The longest lifetime of a token: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
TOKEN_SECONDS = 21600
RENEW_TOKEN_SECONDS = TOKEN_SECONDS / 2
TIMEOUT_SECONDS = 1.0
TARGET_STATE = "autoscaling/target-lifecycle-state"
SPOT_NOTICE = "spot/instance-action"
REBALANCE = "events/recommendations/rebalance"
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
LONGEST_NOTICE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Notices:
    """Attributes:
    terminating: whether Auto Scaling is ending this instance.
    spot_end: when EC2 takes this spot instance back, in seconds of the monotonic clock; None without a notice.
    rebalance: whether EC2 recommends to rebalance, because the risk of an interruption has risen.
    """

    terminating: bool = False
    spot_end: float | None = None
    rebalance: bool = False


class TerminationNotices:
    """Reads the notices, with a token that serves many requests and with a short time-out: the metadata service is on
    the instance's own host."""

    def __init__(self) -> None:
        self._token = ""
        self._renew_at = float("-inf")
        self._notice = ""
        self._spot_end: float | None = None

    def read(self) -> Notices:
        """The notices of now. OSError if the metadata service does not answer."""
        return Notices(
            # "Terminated" as soon as the termination has begun, whether or not a hook waits.
            terminating=self._get(TARGET_STATE) == "Terminated",
            spot_end=self._read_notice(self._get(SPOT_NOTICE)),
            rebalance=self._get(REBALANCE) is not None,
        )

    def _read_notice(self, notice: str | None) -> float | None:
        """The end, computed once for each notice: setting the clock afterwards does not move it."""
        if notice is None or notice == self._notice:
            return self._spot_end
        try:
            end = datetime.fromisoformat(json.loads(notice)["time"]).timestamp()
        except (ValueError, KeyError, TypeError):
            # A notice that cannot be read is still a notice: act as if no time were left.
            end = time.time()
        self._notice = notice
        # A clock that is slow would show more time than EC2 ever gives.
        self._spot_end = time.monotonic() + min(end - time.time(), LONGEST_NOTICE_SECONDS)
        return self._spot_end

    def _get(self, path: str) -> str | None:
        """The value; None if there is none."""
        if time.monotonic() >= self._renew_at:
            self._renew_token()
        try:
            headers = {"X-aws-ec2-metadata-token": self._token}
            return metadata_service.ask(f"meta-data/{path}", headers=headers, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return None
            if error.code == 401:
                self._renew_at = float("-inf")
            raise

    def _renew_token(self) -> None:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
        self._token = metadata_service.ask("api/token", method="PUT", headers=headers, timeout=TIMEOUT_SECONDS)
        self._renew_at = time.monotonic() + RENEW_TOKEN_SECONDS
