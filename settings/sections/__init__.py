"""The sections of a stack file, one module each: its keys, the kinds of value that only it has, and its rules."""
