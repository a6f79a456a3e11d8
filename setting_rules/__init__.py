"""What a stack file has to hold to be accepted: kinds of value, rules between them, and the report of faults."""
