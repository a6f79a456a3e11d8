"""What lands on a node: files copied as they are, one rendered environment file, and the user data that carries them.

Knows nothing of Pulumi and of the rest of the program, so that it can be tested alone.
"""
