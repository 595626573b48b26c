"""`docs/conformance.md` and the table on the terminal."""

from .catalogue import CLIENTS, GROUPS, Client, Group

CELL = {"pass": "pass", "fail": "**fail**", "n/a": "n/a"}

HEAD = """\
# Conformance: stock clients against kaiwa

Written by `make conformance`; do not edit. Each client is the published package at the version
named, installed from a registry and changed in nothing; the server runs on scripted engines.
"""


class Cell:
    """What became of one scenario of one client."""

    def __init__(self, result: str, detail: str = ""):
        self.result = result
        self.detail = detail


class Results:
    """Cells by client and scenario; what nobody reported has failed."""

    def __init__(self):
        self._cells: dict[str, dict[str, Cell]] = {}

    def put(self, client: Client, scenario: str, cell: Cell) -> None:
        self._cells.setdefault(client.name, {})[scenario] = cell

    def get(self, client: Client, scenario: str) -> Cell:
        return self._cells.get(client.name, {}).get(scenario, Cell("fail", "the driver did not report it"))

    def clients(self) -> list[Client]:
        return [client for client in CLIENTS if client.name in self._cells]

    def count(self, result: str) -> int:
        return sum(
            self.get(client, scenario).result == result
            for client in self.clients()
            for scenario in client.group.scenarios
        )

    def red(self) -> list[tuple[Client, str, Cell]]:
        return [
            (client, scenario, cell)
            for client in self.clients()
            for scenario in client.group.scenarios
            if (cell := self.get(client, scenario)).result == "fail"
        ]

    def as_json(self) -> dict:
        return {
            client.name: {
                scenario: {"result": cell.result, "detail": cell.detail}
                for scenario in client.group.scenarios
                for cell in [self.get(client, scenario)]
            }
            for client in self.clients()
        }


class Notes:
    """Numbered reasons; the same reason has the same number."""

    def __init__(self):
        self._reasons: list[str] = []

    def cell(self, cell: Cell) -> str:
        if cell.result != "n/a":
            return CELL[cell.result]
        if cell.detail not in self._reasons:
            self._reasons.append(cell.detail)
        return f"n/a ({self._reasons.index(cell.detail) + 1})"

    def lines(self) -> list[str]:
        return [f"({number}) {reason}" for number, reason in enumerate(self._reasons, 1)]


def page(results: Results, coverage: dict) -> str:
    notes = Notes()
    parts = [HEAD]
    for group in GROUPS:
        clients = [client for client in CLIENTS if client.group is group]
        if clients:
            table = rows if group.clients_are_rows else columns
            parts.append(f"## {group.title}\n\n{group.lead}\n\n{table(group, clients, results, notes)}\n")
    if notes.lines():
        parts.append("Not applicable:\n\n" + "\n".join(f"{line}  " for line in notes.lines()) + "\n")
    parts.append(events(coverage))
    return "\n".join(parts)


def rows(group: Group, clients: list[Client], results: Results, notes: Notes) -> str:
    head = ["client", "version", *group.scenarios.values()]
    body = [
        [client.title, client.version, *(notes.cell(results.get(client, name)) for name in group.scenarios)]
        for client in clients
    ]
    return markdown(head, body)


def columns(group: Group, clients: list[Client], results: Results, notes: Notes) -> str:
    head = ["what", *(f"{client.title} {client.version}".strip() for client in clients)]
    body = [
        [words, *(notes.cell(results.get(client, name)) for client in clients)]
        for name, words in group.scenarios.items()
    ]
    return markdown(head, body)


def events(coverage: dict) -> str:
    head = ["dialect", "sent by", "events", "seen on the wire", "left out", "missing"]
    body, reasons = [], {}
    for dialect, sides in reversed(coverage.items()):
        for side, what in sides.items():
            body.append(
                [
                    {"ga": "GA", "beta": "beta (2025-04)"}[dialect],
                    side,
                    str(what["all"]),
                    str(len(what["seen"])),
                    str(len(what["left_out"])),
                    ", ".join(f"`{name}`" for name in what["missing"]) or "none",
                ]
            )
            for name, reason in what["left_out"].items():
                names = reasons.setdefault(reason, [])
                if name not in names:
                    names.append(name)
    lines = [f"* {reason}: {', '.join(f'`{name}`' for name in names)}" for reason, names in reasons.items()]
    lead = (
        "Over the server's event logs of all conversations above. An event is left out where this run "
        "cannot show it; the reasons stand below."
    )
    tail = "Left out:\n\n" + "\n".join(lines) + "\n" if lines else ""
    return f"## Events\n\n{lead}\n\n{markdown(head, body)}\n\n{tail}"


def markdown(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def terminal(results: Results) -> str:
    """The cells as aligned text, with the reason below what is not green."""
    lines = []
    for group in GROUPS:
        for client in results.clients():
            if client.group is not group:
                continue
            cells = [(name, results.get(client, name)) for name in group.scenarios]
            passed = sum(cell.result == "pass" for _, cell in cells)
            lines.append(f"{client.title:<34} {client.version:<8} {passed}/{len(cells)}")
            lines += [
                f"    {cell.result:<4} {name}: {cell.detail}" for name, cell in cells if cell.result != "pass"
            ]
    return "\n".join(lines)
