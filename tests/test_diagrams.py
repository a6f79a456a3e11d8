"""docs/network.svg and docs/task.svg show the prod stack as it is, and can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from docs import network_diagram, task_diagram
from docs.drawing import text_width
from engine.recording import Recording
from tests.stack_file import ROOT, changed
from tests.stack_queries import INGRESS, each
from tests.stack_variants import program, recorded

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = {"network": network_diagram.diagram, "task": task_diagram.diagram}
VARIANTS = ("prod", "dev", "long-name", "endpoints", "monitoring", "existing-vpc", "many-long-queues")


@dataclass(frozen=True)
class Area:
    """A rectangle of the picture, or the one around a text."""

    left: float
    top: float
    right: float
    bottom: float
    text: str = ""

    def meets(self, other: Area) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def contains(self, other: Area) -> bool:
        across = self.left <= other.left and other.right <= self.right
        return across and self.top <= other.top and other.bottom <= self.bottom


@pytest.fixture(scope="module", params=[(name, variant) for name in DRAWN for variant in VARIANTS], ids="-".join)
def picture(request: pytest.FixtureRequest) -> ElementTree.Element:
    return drawn(*request.param)


def drawn(name: str, variant: str) -> ElementTree.Element:
    return ElementTree.fromstring(DRAWN[name](recording_of(variant)))  # noqa: S314 what was drawn here


@cache
def recording_of(variant: str) -> Recording:
    if variant == "many-long-queues":
        return program(changed({"airflow:workerPools.heavy.queues": [letter * 100 for letter in "abcdefgh"]}))
    return recorded(variant)


def texts(picture: ElementTree.Element) -> list[Area]:
    """The areas of all texts."""
    found = []
    for text in picture.iter(f"{SVG}text"):
        content, size = text.text or "", float(text.attrib["font-size"])
        width = text_width(content, size, bold="font-weight" in text.attrib)
        left = float(text.attrib["x"]) - (width / 2 if text.attrib["text-anchor"] == "middle" else 0)
        baseline = float(text.attrib["y"])
        found.append(Area(left, baseline - 0.75 * size, left + width, baseline + 0.25 * size, content))
    return found


def rectangles(picture: ElementTree.Element, *kinds: str) -> list[Area]:
    return [
        Area(x, y, x + width, y + height)
        for each in picture.iter(f"{SVG}rect")
        if each.attrib["class"] in kinds
        for x, y, width, height in [[float(each.attrib[key]) for key in ("x", "y", "width", "height")]]
    ]


def arrows(picture: ElementTree.Element) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """What each arrow says, and its points."""
    for path in picture.findall(f"{SVG}path"):
        numbers = [float(number) for number in re.findall(r"[\d.]+", path.attrib["d"])]
        yield path.findtext(f"{SVG}title") or "", list(zip(numbers[::2], numbers[1::2], strict=True))


def says(name: str, variant: str) -> set[str]:
    """Every text of a picture, and what its arrows say."""
    picture = drawn(name, variant)
    return {text.text for text in texts(picture)} | {said for said, _ in arrows(picture)}


@pytest.mark.parametrize("name", DRAWN)
def test_the_pictures_are_up_to_date(name: str):
    assert DRAWN[name](recorded("prod")) == (ROOT / f"docs/{name}.svg").read_text(), "run `make docs`"


@pytest.mark.parametrize("name", DRAWN)
def test_an_element_is_a_line(name: str):
    lines = (ROOT / f"docs/{name}.svg").read_text().splitlines()
    assert max(len(re.findall(r"<(?:rect|text|circle|path)\b", line)) for line in lines) == 1


def test_no_text_overlaps_another(picture: ElementTree.Element):
    assert [(one.text, other.text) for one, other in combinations(texts(picture), 2) if one.meets(other)] == []


def test_no_text_leaves_its_box_or_the_picture(picture: ElementTree.Element):
    boxes = rectangles(picture, "box", "chip", "label", "background")
    for text in texts(picture):
        around = min((box for box in boxes if box.meets(text)), key=lambda box: box.right - box.left)
        assert around.contains(text), text


def test_no_line_crosses_a_text_or_a_box(picture: ElementTree.Element):
    """Except for the labels on lines. A line ends at the border of a box."""
    labels = rectangles(picture, "label")
    free = [text for text in texts(picture) if not any(label.contains(text) for label in labels)]
    numbers = {text for text in free if text.text.isdigit()}
    for said, points in arrows(picture):
        for (x1, y1), (x2, y2) in pairwise(points):
            line = Area(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
            crossed = [box for box in rectangles(picture, "box", "chip") if _inside(line, box)]
            assert crossed == [], said
            assert [text.text for text in free if _inside(line, text) and text not in numbers] == [], said


def _inside(line: Area, box: Area) -> bool:
    return Area(line.left - 0.5, line.top - 0.5, line.right + 0.5, line.bottom + 0.5).meets(
        Area(box.left + 1, box.top + 1, box.right - 1, box.bottom - 1)
    )


def test_every_arrow_begins_and_ends_at_a_box(picture: ElementTree.Element):
    legend = {"route", "may connect to this TCP port (a rule of a security group)"}
    boxes = rectangles(picture, "box", "chip", "area")
    for said, points in arrows(picture):
        if said not in legend:
            for x, y in (points[0], points[-1]):
                end = Area(x - 0.6, y - 0.6, x + 0.6, y + 0.6)
                assert any(box.meets(end) for box in boxes), (said, x, y)


def test_a_picture_has_a_title_and_a_description_for_those_who_cannot_see_it(picture: ElementTree.Element):
    assert picture.attrib["role"] == "img"
    named = [picture.find(f"{SVG}*[@id='{each}']") for each in picture.attrib["aria-labelledby"].split()]
    assert [len(each.text or "") > 20 for each in named if each is not None] == [True, True]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_network_has_an_arrow_for_each_connection_between_security_groups(variant: str):
    rules = [rule.inputs for rule in each(recording_of(variant), INGRESS) if "referencedSecurityGroupId" in rule.inputs]
    ports = sorted(f"port {rule['fromPort']}: {rule['description']}" for rule in rules)
    said = [said.partition(", ") for said, _ in arrows(drawn("network", variant))]
    assert sorted(why for between, _, why in said if " to " in between and ": " in why) == ports


@pytest.mark.parametrize(
    ("variant", "only_there"),
    [
        ("monitoring", {"Airflow monitor", "8428"}),
        ("long-name", {"Internet-facing load balancer", "0.0.0.0/0 to port 443"}),
        ("endpoints", {"Interface endpoints of AWS services", "From the interface endpoints to their services"}),
    ],
)
def test_the_network_shows_a_part_only_if_the_stack_has_it(variant: str, only_there: set[str]):
    assert only_there <= says("network", variant)
    assert not only_there & says("network", "prod")


def test_the_network_shows_each_nat_gateway_and_the_subnets_that_use_it():
    for variant, gateways, subnets in (("prod", 3, 3), ("dev", 1, 2), ("existing-vpc", 0, 0)):
        picture = network_diagram.diagram(recording_of(variant))
        assert picture.count(">NAT gateway<") == gateways
        assert picture.count("Route 0.0.0.0/0 to a NAT gateway") == subnets


def test_the_steps_of_a_task_have_the_names_of_its_stack():
    prod, dev = says("task", "prod"), says("task", "dev")
    assert {"Pool default", "Pool heavy", "queues: heavy", "airflow-prod-metadata, port 5432"} <= prod
    assert {"Pool default", "s3://airflow-dev-111122223333-eu-west-1-task-logs/airflow"} <= dev
    assert "http://airflow-dev.internal:8080/execution/" in dev
    assert "Pool heavy" not in dev
