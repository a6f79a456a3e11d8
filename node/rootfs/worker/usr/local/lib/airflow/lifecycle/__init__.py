"""A worker's life: what the lifecycle service sees, how it decides, and what it does."""
