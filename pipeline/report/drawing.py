"""Draws Vega-Lite specifications as SVG inside the page itself: no script, no request, and readable on paper.

Colours are the page's own (`var(--after)`), so that a chart is light or dark with it. Each mark shows its value on
hover.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

_SVG = "http://www.w3.org/2000/svg"
_DROPPED = ("role", "aria-roledescription", "aria-hidden", "aria-label", "pointer-events", "class", "xmlns:xlink")
CONFIG: Mapping[str, Any] = {
    "background": None,
    "font": "system-ui, Arial, sans-serif",
    "view": {"stroke": None},
    "bar": {"color": "var(--after)"},
    "axis": {
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "gridColor": "var(--line)",
        "labelColor": "var(--soft)",
        "labelFontSize": 14,
        "titleColor": "var(--soft)",
        "titleFontSize": 14,
        "titleFontWeight": "normal",
    },
    "text": {"fontSize": 14, "color": "var(--soft)"},
}


def drawn(spec: Mapping[str, Any], summary: str) -> str:
    """The chart as an `<svg>`; `summary` is its text alternative for screen readers."""
    import vl_convert

    text = vl_convert.vegalite_to_svg({**spec, "config": CONFIG}, allowed_base_urls=[])
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(text)
    for element in root.iter():
        label = element.get("aria-label")
        if label and element is not root and element.tag in (f"{{{_SVG}}}path", f"{{{_SVG}}}rect"):
            ElementTree.SubElement(element, f"{{{_SVG}}}title").text = label
        for name in _DROPPED:
            element.attrib.pop(name, None)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", summary)
    return ElementTree.tostring(root, encoding="unicode")
