"""Reads an EnvironmentFile as systemd does (src/basic/env-file.c, parse_env_file_internal)."""

from __future__ import annotations

# Inside double quotes a backslash escapes these only; before any other character it stands for itself.
_ESCAPABLE = '"\\`$'


def parse(text: str) -> dict[str, str]:
    """The variables of the file. Nothing is expanded: systemd does not, either."""
    variables: dict[str, str] = {}
    position = 0
    while position < len(text):
        if text[position] in "\n\r \t":
            position += 1
        elif text[position] in "#;":
            position = _after(text, position, "\n")
        else:
            end = text.index("=", position)
            name = text[position:end].strip()
            variables[name], position = _value(text, end + 1)
    return variables


def _after(text: str, position: int, mark: str) -> int:
    end = text.find(mark, position)
    return len(text) if end < 0 else end + 1


def _value(text: str, position: int) -> tuple[str, int]:
    value, quote = "", ""
    while position < len(text):
        character = text[position]
        position += 1
        if quote == "'":
            value, quote = (value, "") if character == "'" else (value + character, quote)
        elif character == "\\" and position < len(text):
            value += _escaped(text[position], quote)
            position += 1
        elif quote:
            value, quote = (value, "") if character == quote else (value + character, quote)
        elif character == "\n":
            break
        elif character in "\"'" and not value:
            quote = character
        else:
            value += character
    return value, position


def _escaped(character: str, quote: str) -> str:
    if character == "\n":
        return ""
    return character if not quote or character in _ESCAPABLE else f"\\{character}"
