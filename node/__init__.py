"""The content of a node: files that are copied, one rendered environment file, and the user data that contains them.

Imports neither Pulumi nor other parts of the program, so that it can be tested alone.
"""
