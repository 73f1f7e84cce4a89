"""Groups things that repeat each other, given the pairs."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

Node = TypeVar("Node", str, int, tuple[str, int])


def groups_of(pairs: Iterable[tuple[Node, Node]]) -> Iterator[list[Node]]:
    """Yields the sets of ids (or indices) that the pairs connect, each sorted, in the order of their first members."""
    parent: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent[above]
            node = parent[node]
        return node

    for a, b in pairs:
        first, second = sorted((root(a), root(b)))
        parent[second] = first
    groups: dict[Node, list[Node]] = {}
    for node in sorted(parent):
        groups.setdefault(root(node), []).append(node)
    yield from groups.values()
