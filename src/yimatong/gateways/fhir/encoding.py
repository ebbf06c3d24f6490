"""FHIR's two wire forms, JSON and XML, into one shape and out of it again. Pure.

XML is read without document types, entities or anything from outside (RFC 7303 security; OWASP XXE): a document type
declaration is refused. ``lxml`` is imported at the first XML document.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, cast

import msgspec

from yimatong.gateways.errors import ResourceMalformed
from yimatong.gateways.fhir.elements import RESOURCES, TYPES, Element
from yimatong.gateways.fhir.values import DEPTH_MAX, PRIMITIVES, Resource, check

Form = Literal["json", "xml"]

NAMESPACE: Final = "http://hl7.org/fhir"
_XHTML: Final = "http://www.w3.org/1999/xhtml"
_NUMBERS: Final = frozenset({"integer", "unsignedInt", "positiveInt"})


def read(body: bytes, form: Form) -> Resource:
    """Return the resource in a body, checked.

    Raises:
        ResourceMalformed: not a resource of this form.
    """
    if form == "xml":
        return check(_read_xml(body))
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ResourceMalformed(path="/", reason="not JSON in UTF-8") from error
    return check(found)


def write(resource: Resource, form: Form, *, pretty: bool = False) -> bytes:
    """Return a resource of ours in one of both forms; UTF-8."""
    if form == "json":
        text = msgspec.json.encode(resource)
        return msgspec.json.format(text, indent=2) if pretty else text
    return _write_xml(resource, pretty=pretty)


def _read_xml(body: bytes) -> Resource:
    from lxml import etree  # type: ignore[import-untyped]  # noqa: PLC0415 -- no types; most processes never see XML

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True, huge_tree=False
    )
    if b"<!DOCTYPE" in body[:1000]:
        raise ResourceMalformed(path="/", reason="a document type declaration")
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ResourceMalformed(path="/", reason="not well-formed XML") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise ResourceMalformed(path="/", reason="a document type declaration")
    return _resource_in(root, 0)


def _tag(node: Any) -> str:
    """Return the name of a FHIR element.

    Raises:
        ResourceMalformed: it is of another namespace.
    """
    tag = str(node.tag)
    if not tag.startswith("{" + NAMESPACE + "}"):
        raise ResourceMalformed(path="/", reason=f"an element outside {NAMESPACE}")
    return tag[len(NAMESPACE) + 2 :]


def _resource_in(node: Any, depth: int) -> Resource:
    kind = _tag(node)
    if depth > DEPTH_MAX:
        raise ResourceMalformed(path=kind, reason="too deep")
    if kind not in RESOURCES:
        return {"resourceType": kind}
    return {"resourceType": kind, **_complex_in(node, kind, kind, depth)}


def _complex_in(node: Any, kind: str, path: str, depth: int) -> dict[str, Any]:
    if depth > DEPTH_MAX:
        raise ResourceMalformed(path=path[:200], reason="too deep")
    if (node.text or "").strip() or any((child.tail or "").strip() for child in node):
        raise ResourceMalformed(path=path, reason="text between elements")
    known = TYPES[kind]
    found: dict[str, Any] = {}
    for name, value in node.attrib.items():
        if name not in ("id", "url") or name not in known or (name == "id" and kind in RESOURCES):
            raise ResourceMalformed(path=path, reason="unknown attribute")
        found[name] = value
    for child in node:
        name = "div" if child.tag == f"{{{_XHTML}}}div" else _tag(child)
        element = known.get(name)
        if element is None:
            shown = name if len(name) <= 40 and name.isalnum() and name.isascii() else "?"  # noqa: PLR2004
            raise ResourceMalformed(path=f"{path}.{shown}", reason="unknown element")
        _add(found, element, child, f"{path}.{name}", depth)
    return found


def _add(found: dict[str, Any], element: Element, child: Any, path: str, depth: int) -> None:
    value, beside = _element_in(element, child, path, depth)
    if not element.many:
        if element.name in found or f"_{element.name}" in found:
            raise ResourceMalformed(path=path, reason="given twice")
        if value is not None:
            found[element.name] = value
        if beside:
            found[f"_{element.name}"] = beside
        return
    listed = found.setdefault(element.name, [])
    listed.append(value)
    if element.type in PRIMITIVES and (beside or f"_{element.name}" in found):
        others = found.setdefault(f"_{element.name}", [])
        others.extend([None] * (len(listed) - 1 - len(others)))
        others.append(beside or None)


def _element_in(element: Element, child: Any, path: str, depth: int) -> tuple[Any, dict[str, Any]]:
    """Return an element's value, and what stands beside it where it is a primitive."""
    if element.type == "Any":
        return {}, {}
    if element.type == "xhtml":
        from lxml import etree  # noqa: PLC0415 -- as above

        return etree.tostring(child, encoding="unicode", with_tail=False), {}
    if element.type == "Resource":
        if len(child) != 1:
            raise ResourceMalformed(path=path, reason="not one resource")
        return _resource_in(child[0], depth + 1), {}
    if element.type not in PRIMITIVES:
        return _complex_in(child, element.type, path, depth + 1), {}
    text = child.attrib.pop("value", None)
    beside = _complex_in(child, "Primitive", path, depth + 1)
    if text is None and not beside:
        raise ResourceMalformed(path=path, reason="no value")
    return None if text is None else _primitive_in(text, element.type, path), beside


def _primitive_in(text: str, kind: str, path: str) -> object:
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind in _NUMBERS and re.fullmatch(r"-?(0|[1-9]\d{0,9})", text, re.ASCII):
        return int(text)
    if kind == "decimal" and re.fullmatch(r"-?(0|[1-9]\d{0,17})(\.\d{1,17})?([eE][+-]?\d{1,3})?", text, re.ASCII):
        return float(text)
    if kind in _NUMBERS or kind in ("boolean", "decimal"):
        raise ResourceMalformed(path=path, reason=f"not a {kind}")
    return text


def _write_xml(resource: Resource, *, pretty: bool) -> bytes:
    from lxml import etree  # noqa: PLC0415 -- as above

    root = etree.Element(f"{{{NAMESPACE}}}{resource['resourceType']}", nsmap={None: NAMESPACE})
    _complex_out(root, resource, str(resource["resourceType"]), etree)
    done = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=pretty)
    return cast("bytes", done)


def _complex_out(node: Any, value: dict[str, Any], kind: str, etree: Any) -> None:
    """Write the elements in the order of the table."""
    for name, element in TYPES[kind].items():
        part = value.get(name)
        beside = value.get(f"_{name}")
        if part is None and beside is None:
            continue
        if (name == "id" and kind not in RESOURCES) or (name == "url" and kind == "Extension"):
            node.set(name, str(part))
            continue
        values = part if isinstance(part, list) else [part]
        others = beside if isinstance(beside, list) else [beside] * len(values)
        for index, each in enumerate(values):
            child = etree.SubElement(node, f"{{{NAMESPACE}}}{name}")
            _element_out(child, element, each, others[index] if index < len(others) else None, etree)


def _element_out(child: Any, element: Element, value: Any, beside: Any, etree: Any) -> None:
    if element.type == "Resource":
        inner = etree.SubElement(child, f"{{{NAMESPACE}}}{value['resourceType']}")
        _complex_out(inner, value, value["resourceType"], etree)
    elif element.type in PRIMITIVES:
        if value is not None:
            child.set("value", _primitive_out(value))
        if beside:
            _complex_out(child, beside, "Primitive", etree)
    else:
        _complex_out(child, value, element.type, etree)


def _primitive_out(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
