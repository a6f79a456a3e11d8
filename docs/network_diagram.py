"""Writes docs/network.svg, the network of the prod stack, from its recorded resources: `make docs`."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from textwrap import wrap

from docs.drawing import GREY, LINE_HEIGHT, PADDING, WIDTH, Box, Colour, Content, Drawing
from docs.stack_parts import BROKER, DATABASE, ENDPOINT, LOAD_BALANCER, Connection, Part, StackParts
from engine.program import run_program
from engine.recording import Recording
from plan.costs import GROUP

MARGIN = 16
LEFT, RIGHT = 126, 830
"""The boxes of the VPC are between them. Beside them are lines that pass several rows."""

PEOPLE_LANE, BALANCER_LANE, LABEL_X, BUCKET_LANE, ENDPOINT_LANE = 34, 66, 94, 851, 866
ROW_GAP, COLUMN_GAP, LANE, LABEL_GAP = 38, 52, 14, 30
FILLS = {"public": ("#f3f9ec", "#c6dfae"), "private": ("#edf6fd", "#b6d7ef"), "data": ("#f7f1fc", "#d9c3ec")}


@dataclass(frozen=True)
class _Line:
    """A connection between a box of nodes and one of the row above or below."""

    connection: Connection
    node: str
    node_x: float
    other: str
    other_x: float


def diagram(recording: Recording) -> str:
    """The picture as SVG."""
    return _NetworkDiagram(StackParts(recording)).svg()


class _NetworkDiagram:
    """Draws one row below the other; `_y` is where the next one begins."""

    def __init__(self, parts: StackParts) -> None:
        self._parts = parts
        self._boxes: dict[str, Box] = {}
        self._y = 78.0
        self._title = f"The network of {parts.cluster}"
        says = ". ".join(connection.says for connection in parts.connections)
        self._drawing = Drawing(self._title, f"What its security groups allow. {says}.")
        self._balancers = {
            internal: [part for part in parts.of_type(LOAD_BALANCER) if part.members[0].inputs["internal"] == internal]
            for internal in (True, False)
        }
        self._nodes = parts.of_type(GROUP)
        self._data = [*parts.of_type(DATABASE), *parts.of_type(BROKER)]

    def svg(self) -> str:
        self._drawing.text((MARGIN, 32), self._title, size=18, bold=True)
        self._drawing.text(
            (MARGIN, 54), "Drawn from the resources that the program creates for the prod stack.", colour=GREY
        )
        self._outside()
        top = self._y
        self._y += ROW_GAP
        self._public_band()
        self._private_band()
        self._data_band()
        self._drawing.area(Box(MARGIN, top, WIDTH - 2 * MARGIN, self._y - top), "none", "#8c4fff")
        self._drawing.text((LEFT, top + 25), self._parts.vpc, bold=True)
        self._gateways(top)
        self._people()
        self._past_other_rows()
        self._legend()
        return self._drawing.svg(self._y)

    def _outside(self) -> None:
        """The row above the VPC: who connects from outside, and what nodes reach there."""
        people = [
            f"{addresses} to port {', '.join(str(each.port) for each in found)}"
            for (addresses, _), found in self._from_outside().items()
        ]
        contents = {"people": Content("People", people), "internet": Content("Internet", ["any address"])}
        contents |= {"secrets": self._parts.secrets(), "buckets": self._parts.buckets()}
        if self._parts.of_type(ENDPOINT):  # then the line to the secrets is the outermost
            contents["secrets"] = contents.pop("secrets")
        self._draw(contents, self._columns(contents, MARGIN, WIDTH - MARGIN, 24))
        self._y += ROW_GAP + 12

    def _public_band(self) -> None:
        subnets = self._parts.subnets("public")
        if not subnets:
            return
        top = self._begin_band()
        if balancers := self._contents(self._balancers[False]):
            self._draw(balancers, self._columns(balancers, LEFT, LEFT + 300))
            self._y += 16
        gateways = self._parts.nat_gateways()
        self._draw_subnets("public", more_height=PADDING)
        for subnet in subnets:
            for gateway in gateways.get(subnet.id, ()):
                box = self._boxes[subnet.id]
                middle = box.middle[0], box.bottom
                self._boxes[gateway] = self._drawing.chip("NAT gateway", middle, Colour.NETWORK)
        self._end_band("public", top)

    def _private_band(self) -> None:
        """The private subnets with the load balancer and, below it, the nodes."""
        top = self._begin_band()
        if self._parts.subnets("private"):
            self._draw_subnets("private")
            self._routes_to_nat()
            self._y += 24
        front = self._contents([*self._balancers[True], *self._parts.of_type(ENDPOINT)])
        above = self._columns(front, LEFT, RIGHT, 24)
        nodes = self._contents(self._nodes)
        columns = self._columns(nodes, LEFT, RIGHT)
        lines = self._lines(columns, above)
        self._draw(front, above)
        self._y += self._room(lines)
        self._draw(nodes, columns)
        self._draw_lines(lines)
        self._connections_in_row()
        self._end_band("private", top)

    def _data_band(self) -> None:
        data = self._contents(self._data)
        below = self._columns(data, LEFT, RIGHT)
        lines = self._lines({part.group_id: self._boxes[part.group_id] for part in self._nodes}, below)
        # The band before has ended below the nodes, and this one begins above the boxes.
        self._y += self._room(lines) - ROW_GAP - 2 * PADDING
        top = self._begin_band()
        self._draw(data, below)
        self._draw_lines(lines)
        if self._parts.subnets("data"):
            self._y += PADDING
            self._draw_subnets("data")
        self._end_band("data", top)
        self._y += PADDING - ROW_GAP

    def _begin_band(self) -> float:
        self._y += PADDING
        return self._y - PADDING

    def _end_band(self, tier: str, top: float) -> None:
        box = Box(MARGIN + 10, top, RIGHT - MARGIN, self._y + PADDING - top)
        self._drawing.area(box, *FILLS[tier])
        self._boxes[tier] = box
        self._y = box.bottom + ROW_GAP

    def _contents(self, parts: Iterable[Part]) -> dict[str, Content]:
        return {part.group_id: part.content for part in parts}

    def _columns(
        self, contents: dict[str, Content], left: float, right: float, gap: float = COLUMN_GAP
    ) -> dict[str, Box]:
        """Boxes beside each other that fill the width; each is as wide as its text, and all share what is left."""
        height = max((content.height for content in contents.values()), default=0)
        spare = right - left - sum(content.width for content in contents.values()) - gap * (len(contents) - 1)
        found: dict[str, Box] = {}
        for key, content in contents.items():
            width = content.width + spare / len(contents)
            found[key] = Box(round(left), 0, round(width), height)
            left += width + gap
        return found

    def _draw(self, contents: dict[str, Content], columns: dict[str, Box]) -> None:
        for key, column in columns.items():
            self._boxes[key] = self._drawing.box(contents[key], replace(column, y=self._y))
        self._y += max((box.height for box in columns.values()), default=0)

    def _draw_subnets(self, tier: str, *, more_height: float = 0) -> None:
        contents = {}
        for subnet in self._parts.subnets(tier):
            lines = [f"{tier} subnet", subnet.inputs["cidrBlock"]]
            if not self._parts.route_targets(subnet):
                lines.append("no route out of the VPC")
            contents[subnet.id] = Content(subnet.inputs["availabilityZone"], lines, Colour.NETWORK)
        columns = self._columns(contents, LEFT, RIGHT, 24)
        self._draw(contents, {key: replace(box, height=box.height + more_height) for key, box in columns.items()})

    def _lines(self, nodes: dict[str, Box], others: dict[str, Box]) -> list[_Line]:
        """Where the connections between two rows begin and end; straight lines where that is possible."""
        found: dict[str, list[tuple[str, Connection]]] = defaultdict(list)
        for connection in self._parts.connections:
            ends = {connection.target.group_id}
            if isinstance(connection.source, Part):
                ends.add(connection.source.group_id)
            for node in ends & nodes.keys():
                for other in ends & others.keys():
                    found[node].append((other, connection))
        lines = []
        for node, connections in found.items():
            connections.sort(key=lambda each: (others[each[0]].middle[0], each[1].port))
            step = nodes[node].width / (len(connections) + 1)
            for number, (other, connection) in enumerate(connections, start=1):
                x = round(nodes[node].x + number * step)
                lines.append(_Line(connection, node, x, other, x))
        return list(_bent(lines, others))

    def _room(self, lines: Sequence[_Line]) -> float:
        """The height between two rows that their lines need."""
        return 2 * LABEL_GAP + LANE * sum(line.node_x != line.other_x for line in lines)

    def _draw_lines(self, lines: Sequence[_Line]) -> None:
        lane = 0
        for line in lines:
            node, other = self._boxes[line.node], self._boxes[line.other]
            below = other.y > node.y
            start = (line.node_x, node.bottom if below else node.y)
            end = (line.other_x, other.y if below else other.bottom)
            points = [start, end]
            if line.node_x != line.other_x:
                y = start[1] + (1 if below else -1) * (LABEL_GAP + 6 + LANE * lane)
                points[1:1] = [(line.node_x, y), (line.other_x, y)]
                lane += 1
            from_node = line.connection.target.group_id != line.node
            self._drawing.arrow(points if from_node else points[::-1], line.connection.says)
            self._drawing.label(str(line.connection.port), (start[0], start[1] + (19 if below else -19)))

    def _connections_in_row(self) -> None:
        """Connections between neighbours in the row of nodes, and of nodes among themselves."""
        for connection in self._parts.connections:
            source, target = connection.source, connection.target
            if source not in self._nodes or target not in self._nodes or isinstance(source, str):
                continue
            begin, end = self._boxes[source.group_id], self._boxes[target.group_id]
            label = str(connection.port)
            if begin == end:
                x, y = begin.x, begin.bottom - 20
                self._drawing.arrow([(x, y - 30), (x - 28, y - 30), (x - 28, y), (x, y)], connection.says)
                self._drawing.label(label, (x - 28, y - 15))
            else:
                y = begin.middle[1]
                xs = (begin.right, end.x) if begin.x < end.x else (begin.x, end.right)
                self._drawing.arrow([(xs[0], y), (xs[1], y)], connection.says)
                self._drawing.label(label, (sum(xs) / 2, y))

    def _routes_to_nat(self) -> None:
        for subnet in self._parts.subnets("private"):
            for destination, target in self._parts.route_targets(subnet):
                if (gateway := self._boxes.get(target)) is not None:
                    box = self._boxes[subnet.id]
                    middle = box.y - PADDING - ROW_GAP / 2
                    bend = [(box.middle[0], middle), (gateway.middle[0], middle)]
                    points = [(box.middle[0], box.y), *bend, (gateway.middle[0], gateway.bottom)]
                    self._drawing.arrow(points, f"Route {destination} to a NAT gateway", route=True)

    def _gateways(self, top: float) -> None:
        """The ways out of the VPC, on its upper border."""
        if self._parts.has_internet_gateway():
            x = self._boxes["internet"].middle[0]
            chip = self._drawing.chip("internet gateway", (x, top), Colour.NETWORK)
            self._drawing.arrow([(x, self._boxes["public"].y), (x, chip.bottom)], "Route to the internet", route=True)
            self._drawing.arrow([(x, chip.y), (x, self._boxes["internet"].bottom)], "To the internet", route=True)
            if not self._parts.of_type(ENDPOINT):
                turn, end = (chip.right - 16, chip.y - 16), self._boxes["secrets"]
                lane = [(turn[0], chip.y), turn, (end.middle[0], turn[1]), (end.middle[0], end.bottom)]
                self._drawing.arrow(lane, "To the APIs of AWS", route=True)
        if self._parts.has_gateway_endpoint():
            x = min(self._boxes["buckets"].middle[0], RIGHT - 50)
            chip = self._drawing.chip("gateway endpoint", (x, top), Colour.NETWORK)
            y, turn = self._boxes["private"].y + 40, chip.bottom + 10
            lane = [
                (self._boxes["private"].right, y),
                (BUCKET_LANE, y),
                (BUCKET_LANE, turn),
                (x, turn),
                (x, chip.bottom),
            ]
            self._drawing.arrow(lane, "Route of the private subnets to S3", route=True)
            self._drawing.arrow([(x, chip.y), (x, self._boxes["buckets"].bottom)], "To S3", route=True)
        secrets = self._boxes["secrets"]
        for part in self._parts.of_type(ENDPOINT):
            box = self._boxes[part.group_id]
            lane = [(box.right, box.middle[1]), (ENDPOINT_LANE, box.middle[1]), (ENDPOINT_LANE, secrets.bottom)]
            self._drawing.arrow(lane, "From the interface endpoints to their services", route=True)

    def _from_outside(self) -> dict[tuple[str, str], list[Connection]]:
        """What is allowed to ranges of addresses, by the range and the part to which they may connect."""
        found: dict[tuple[str, str], list[Connection]] = defaultdict(list)
        for connection in self._parts.connections:
            if isinstance(connection.source, str):
                found[connection.source, connection.target.group_id].append(connection)
        return found

    def _people(self) -> None:
        """Lines from people to load balancers, on the left; the one to the lowest box is the outermost."""
        ports: dict[str, set[int]] = defaultdict(set)
        for (_, target), connections in self._from_outside().items():
            ports[target] |= {each.port for each in connections}
        for lane, target in enumerate(sorted(ports, key=lambda each: -self._boxes[each].y)):
            x, box = PEOPLE_LANE + LANE * lane, self._boxes[target]
            for number, port in enumerate(sorted(ports[target]), start=1):
                y = round(box.y + box.height * number / (len(ports[target]) + 1))
                says = f"People to a load balancer, port {port}"
                self._drawing.arrow([(x, self._boxes["people"].bottom), (x, y), (LEFT, y)], says)
                self._drawing.label(str(port), (LABEL_X, y))

    def _past_other_rows(self) -> None:
        """Lines from the public load balancer to nodes, past the rows between them."""
        for connection in self._parts.connections:
            if connection.source in self._balancers[False] and isinstance(connection.source, Part):
                source, target = self._boxes[connection.source.group_id], self._boxes[connection.target.group_id]
                begin, end = source.bottom - 10, target.y + 24
                points = [(LEFT, begin), (BALANCER_LANE, begin), (BALANCER_LANE, end), (LEFT, end)]
                self._drawing.arrow(points, connection.says)
                self._drawing.label(str(connection.port), (LABEL_X, end))

    def _legend(self) -> None:
        """What the lines mean, and what each port is for."""
        whys: dict[int, list[str]] = defaultdict(list)
        for connection in self._parts.connections:
            if connection.why not in whys[connection.port]:
                whys[connection.port].append(connection.why)
        self._y += 32
        for x, text, route in (
            (MARGIN, "may connect to this TCP port (a rule of a security group)", False),
            (WIDTH / 2, "route", True),
        ):
            self._drawing.arrow([(x, self._y - 4), (x + 40, self._y - 4)], text, route=route)
            self._drawing.text((x + 50, self._y), text)
        self._y += 8
        for port, reasons in sorted(whys.items()):
            for number, line in enumerate(wrap("; ".join(reasons), width=120)):
                self._y += LINE_HEIGHT
                if not number:
                    self._drawing.text((MARGIN, self._y), str(port), bold=True)
                self._drawing.text((MARGIN + 50, self._y), line, colour=GREY)
        self._y += MARGIN


def _bent(lines: Sequence[_Line], others: dict[str, Box]) -> Iterator[_Line]:
    """The lines, each ending within its box and at a distance from all others."""
    taken = [line.node_x for line in lines]
    for line in lines:
        box = others[line.other]
        if box.x + 16 <= line.node_x <= box.right - 16:
            yield line
        else:
            free = [
                x for x in range(int(box.x) + 20, int(box.right) - 20, 4) if all(abs(x - each) >= 16 for each in taken)
            ]
            x = min(free, key=lambda each: abs(each - line.node_x))
            taken.append(x)
            yield replace(line, other_x=x)


if __name__ == "__main__":
    sys.stdout.write(diagram(run_program("prod")))
