"""The stack's cluster on one Linux machine: real nodes that boot from exactly the user data the program renders."""
