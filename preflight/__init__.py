"""Checks, before `pulumi up`, that an AWS account can give the plan's resources what they need. Changes nothing."""
