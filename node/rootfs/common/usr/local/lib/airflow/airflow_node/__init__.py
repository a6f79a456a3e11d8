"""What the programs of a node share."""
