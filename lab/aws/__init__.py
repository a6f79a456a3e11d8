"""AWS's place in the lab: moto with the program's resources in it and the program's IAM policies enforced."""
