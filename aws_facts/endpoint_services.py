"""The AWS services with an interface endpoint that a node or a task of a data team is likely to call."""

from __future__ import annotations

# https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-support.html: the part of the endpoint's name after
# com.amazonaws.<region>. S3 is not among them: its gateway endpoint is always there and costs nothing.
SERVICES = (
    *("athena", "autoscaling", "batch", "codeartifact.api", "codeartifact.repositories", "datasync", "ec2"),
    *("ec2messages", "ecr.api", "ecr.dkr", "ecs", "eks", "elasticloadbalancing", "elasticmapreduce", "email-smtp"),
    *("emr-containers", "emr-serverless", "events", "execute-api", "firehose", "glue", "kafka", "kinesis-streams"),
    *("kms", "lakeformation", "lambda", "logs", "monitoring", "rds", "rds-data", "redshift", "redshift-data"),
    *("sagemaker.api", "sagemaker.runtime", "secretsmanager", "sns", "sqs", "ssm", "ssmmessages", "states", "sts"),
    *("transfer", "xray"),
)
