"""The program without a cloud: a recording engine that runs it, and the plan that is printed from the record."""
