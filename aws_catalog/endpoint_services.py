"""The AWS services with an interface endpoint that a node or a task of a data team is likely to call."""

from __future__ import annotations

from collections.abc import Mapping

# https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-support.html: the part of the endpoint's name after
# com.amazonaws.<region>. S3 is left out: the program always creates its gateway endpoint, which costs nothing.
SERVICES = (
    *("athena", "autoscaling", "batch", "codeartifact.api", "codeartifact.repositories", "datasync", "ec2"),
    *("ec2messages", "ecr.api", "ecr.dkr", "ecs", "eks", "elasticloadbalancing", "elasticmapreduce", "email-smtp"),
    *("emr-containers", "emr-serverless", "events", "execute-api", "firehose", "glue", "kafka", "kinesis-streams"),
    *("kms", "lakeformation", "lambda", "logs", "monitoring", "rds", "rds-data", "redshift", "redshift-data"),
    *("sagemaker.api", "sagemaker.runtime", "secretsmanager", "sns", "sqs", "ssm", "ssmmessages", "states", "sts"),
    *("transfer", "xray"),
)

# The regions of services that only some regions have: https://docs.aws.amazon.com/general/latest/gr/codeartifact.html.
# Most other services are in every region. AWS adds regions, so a missing region causes a warning, not an error.
_OF_CODEARTIFACT = (
    *("ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "eu-central-1", "eu-north-1", "eu-south-1"),
    *("eu-west-1", "eu-west-2", "eu-west-3", "us-east-1", "us-east-2", "us-west-2"),
)
REGIONS: Mapping[str, tuple[str, ...]] = {
    "codeartifact.api": _OF_CODEARTIFACT,
    "codeartifact.repositories": _OF_CODEARTIFACT,
}
