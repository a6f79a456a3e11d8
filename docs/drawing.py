"""Draws diagrams as SVG: boxes with text, and lines between them. Equal drawings give equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

WIDTH = 900
"""Pixels; about the width of a page on GitHub."""

TITLE_SIZE, TEXT_SIZE, LINE_HEIGHT, PADDING = 13.0, 12.0, 17, 12
INK, GREY, LINE_COLOUR, ROUTE_COLOUR = "#1f2328", "#59636e", "#3d444d", "#8c959f"
_FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

Point = tuple[float, float]


class Colour(StrEnum):
    """The kinds of boxes, in the colours that AWS has for its categories."""

    COMPUTE = "#ed7100"
    NETWORK = "#8c4fff"
    DATABASE = "#c925d1"
    STORAGE = "#7aa116"
    SECURITY = "#dd344c"
    OUTSIDE = "#6e7781"


@dataclass(frozen=True)
class Content:
    """What a box says, and the least space that this takes."""

    title: str
    lines: Sequence[str] = ()
    colour: Colour = Colour.OUTSIDE

    @property
    def width(self) -> int:
        longest = max([text_width(self.title, TITLE_SIZE, bold=True), *(text_width(each) for each in self.lines)])
        return round(longest + 2 * PADDING)

    @property
    def height(self) -> int:
        return LINE_HEIGHT * (1 + len(self.lines)) + PADDING


@dataclass(frozen=True)
class Box:
    """A rectangle in the drawing."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2


def text_width(text: str, size: float = TEXT_SIZE, *, bold: bool = False) -> float:
    """The width of a text in pixels, in the widest of the usual fonts (DejaVu Sans); others take up to a sixth less."""
    return size * (1.11 if bold else 1) * sum(map(_share, text))


def _fitted(text: str, width: float, size: float = TEXT_SIZE, *, bold: bool = False) -> str:
    """The text, or as much of its beginning as has room."""
    if text_width(text, size, bold=bold) <= width:
        return text
    while text and text_width(f"{text}...", size, bold=bold) > width:
        text = text[:-1]
    return f"{text}..."


def _share(letter: str) -> float:
    """The width of a letter as a share of the font's size."""
    for letters, share in (("iljI.,:;|'! ", 0.33), ("ftr-()[]/", 0.41), ("cskvxyz", 0.57), ("mwMW@%", 0.97)):
        if letter in letters:
            return share
    return 0.7 if letter.isupper() else 0.64


class Drawing:
    """Collects elements. Areas are at the back, then lines, boxes, and on top the labels of lines."""

    def __init__(self, title: str, description: str) -> None:
        self._title, self._description = title, description
        self._areas: list[str] = []
        self._lines: list[str] = []
        self._boxes: list[str] = []
        self._labels: list[str] = []

    def area(self, box: Box, fill: str, stroke: str) -> None:
        """A coloured surface that boxes lie on."""
        self._areas.append(_rectangle(box, 'rx="8"', f'fill="{fill}" stroke="{stroke}"', kind="area"))

    def box(self, content: Content, box: Box) -> Box:
        """A box with a title and lines of text, and a bar in its colour."""
        self._boxes.append(_rectangle(box, 'rx="4"', 'fill="white" stroke="#d1d9e0"', kind="box"))
        bar = Box(box.x, box.y, 4, box.height)
        self._boxes.append(_rectangle(bar, 'rx="2"', f'fill="{content.colour}"', kind="bar"))
        y, room = box.y + PADDING / 2 + LINE_HEIGHT - 4, box.width - PADDING - 2
        title = _fitted(content.title, room, TITLE_SIZE, bold=True)
        self._boxes.append(_text(box.x + PADDING, y, title, size=TITLE_SIZE, bold=True))
        for number, line in enumerate(content.lines, start=1):
            self._boxes.append(_text(box.x + PADDING, y + number * LINE_HEIGHT, _fitted(line, room), colour=GREY))
        return box

    def chip(self, text: str, middle: Point, colour: Colour) -> Box:
        """A small box with a single word or two around a point."""
        width, height = text_width(text, 11) + 16, 22
        box = Box(middle[0] - width / 2, middle[1] - height / 2, width, height)
        self._boxes.append(_rectangle(box, 'rx="11"', f'fill="white" stroke="{colour}"', kind="chip"))
        self._boxes.append(_text(middle[0], middle[1] + 4, text, size=11, anchor="middle"))
        return box

    def arrow(self, points: Sequence[Point], says: str, *, route: bool = False) -> None:
        """An arrow along these points; dashed if it is a route. `says` is for those who cannot see it."""
        style = f'stroke="{ROUTE_COLOUR}" stroke-dasharray="5 4"' if route else f'stroke="{LINE_COLOUR}"'
        start, *rest = points
        steps = " ".join(f"L{x:g} {y:g}" for x, y in rest)
        self._lines.append(
            f'<path d="M{start[0]:g} {start[1]:g} {steps}" fill="none" {style} stroke-width="1.5" '
            f'stroke-linejoin="round" marker-end="url(#{"route" if route else "arrow"})">'
            f"<title>{escape(says)}</title></path>"
        )

    def label(self, text: str, middle: Point) -> None:
        """A text on a line, such as a port."""
        width = text_width(text, 11) + 8
        box = Box(middle[0] - width / 2, middle[1] - 8, width, 16)
        self._labels.append(_rectangle(box, 'rx="8"', f'fill="white" stroke="{ROUTE_COLOUR}"', kind="label"))
        self._labels.append(_text(middle[0], middle[1] + 4, text, size=11, anchor="middle"))

    def number(self, number: int, middle: Point) -> None:
        """The number of a step, on its line or beside its description."""
        x, y = middle
        self._labels.append(f'<circle class="label" cx="{x:g}" cy="{y:g}" r="11" fill="{INK}"/>')
        self._labels.append(_text(x, y + 4, str(number), size=12, anchor="middle", colour="white", bold=True))

    def text(self, at: Point, text: str, *, size: float = TEXT_SIZE, colour: str = INK, bold: bool = False) -> None:
        """A text on the background."""
        fitted = _fitted(text, WIDTH - at[0] - PADDING, size, bold=bold)
        self._labels.append(_text(*at, fitted, size=size, colour=colour, bold=bold))

    def svg(self, height: float) -> str:
        """The whole drawing. Its background is white, because the page around it may be dark."""
        background = Box(0.5, 0.5, WIDTH - 1, height - 1)
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
                f'height="{height:g}" role="img" aria-labelledby="title desc" font-family="{_FONTS}">',
                f'<title id="title">{escape(self._title)}</title>',
                f'<desc id="desc">{escape(self._description)}</desc>',
                *_markers(),
                _rectangle(background, 'rx="8"', 'fill="white" stroke="#d1d9e0"', kind="background"),
                *self._areas,
                *self._lines,
                *self._boxes,
                *self._labels,
                "</svg>",
                "",
            ]
        )


def _markers() -> Iterable[str]:
    yield "<defs>"
    for name, colour in (("arrow", LINE_COLOUR), ("route", ROUTE_COLOUR)):
        yield (
            f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" markerHeight="9" '
            f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L10 5L0 10Z" fill="{colour}"/></marker>'
        )
    yield "</defs>"


def _rectangle(box: Box, shape: str, style: str, *, kind: str) -> str:
    size = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"'
    return f'<rect class="{kind}" {size} {shape} {style}/>'


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: float = TEXT_SIZE,
    anchor: str = "start",
    colour: str = INK,
    bold: bool = False,
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" fill="{colour}"{weight}>'
        f"{escape(text)}</text>"
    )
