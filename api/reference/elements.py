"""Elements of HTML; what is put into them is text, and is escaped when they are written."""

import json
import re
from xml.etree.ElementTree import Element

Content = Element | str | None
Row = tuple[list[Content], list[Content]]

_CODE = re.compile(r"`([^`]+)`")


def element(tag: str, *content: Content, **attributes: str) -> Element:
    """An element; `class_` stands for `class`."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    for each in content:
        _append(made, each)
    return made


def link(target: str, text: str) -> Element:
    """A link within the page."""
    return element("a", text, href=f"#{target}")


def prose(text: str) -> list[Element]:
    """Paragraphs; backticks make code."""
    return [element("p", *coded(paragraph)) for paragraph in text.split("\n\n") if paragraph.strip()]


def coded(text: str) -> list[Content]:
    """A line of text in which backticks make code."""
    return [element("code", part) if odd % 2 else part for odd, part in enumerate(_CODE.split(text))]


def table(rows: list[Row]) -> Element:
    """Names at the left, what they mean at the right."""
    return element(
        "table",
        *(element("tr", element("td", *left), element("td", *right)) for left, right in rows),
    )


def sample(value: object) -> Element:
    """JSON as a block of code."""
    return element("pre", element("code", json.dumps(value, indent=2, ensure_ascii=False)))


def _append(parent: Element, content: Content) -> None:
    if isinstance(content, Element):
        parent.append(content)
    elif content and len(parent):
        parent[-1].tail = (parent[-1].tail or "") + content
    elif content:
        parent.text = (parent.text or "") + content
