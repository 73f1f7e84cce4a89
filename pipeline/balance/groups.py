"""Groups of things that repeat each other, from the pairs that were found."""

from collections.abc import Iterable, Iterator


def groups_of(pairs: Iterable[tuple[str, str]]) -> Iterator[list[str]]:
    """The sets of ids that the pairs connect, each sorted; in the order of their first ids."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent[above]
            node = parent[node]
        return node

    for a, b in pairs:
        one, other = sorted((root(a), root(b)))
        parent[other] = one
    groups: dict[str, list[str]] = {}
    for node in sorted(parent):
        groups.setdefault(root(node), []).append(node)
    yield from groups.values()
