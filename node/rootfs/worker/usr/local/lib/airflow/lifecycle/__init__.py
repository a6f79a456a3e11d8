"""The lifecycle of a worker: what the service observes, how its state machine decides, and what it does."""
