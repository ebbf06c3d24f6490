"""SOAP 1.1 and 1.2 around ``HIPMessageServer(action, message)``, and its WSDL. Pure.

The operation takes the name of an action and a message as text (often CDATA) and gives back a message as text. The
namespaces of systems in the field differ; elements are found by their local names, and the answer is in the request's
own namespace.
"""

from __future__ import annotations

from typing import Final

import msgspec
from lxml import etree  # type: ignore[import-untyped]  # the library has no types

from yimatong.gateways.errors import V3MessageUnreadable
from yimatong.gateways.soap.reading import Element, parsed

SOAP_11: Final = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12: Final = "http://www.w3.org/2003/05/soap-envelope"
OPERATION: Final = "HIPMessageServer"
NAMESPACE: Final = "urn:hl7-org:v3"
CONTENT_TYPES: Final = {SOAP_11: "text/xml; charset=utf-8", SOAP_12: "application/soap+xml; charset=utf-8"}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the operation: the version of SOAP by its namespace, that of the operation, action and message."""

    soap: str
    namespace: str
    action: str
    message: str


def request(body: bytes) -> Request:
    """Read a call.

    Raises:
        V3MessageUnreadable: no SOAP envelope, no such operation, or no message in it.
    """
    try:
        root = parsed(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise V3MessageUnreadable(audit="not UTF-8") from error
    name = etree.QName(root)
    if name.localname != "Envelope" or name.namespace not in CONTENT_TYPES:
        raise V3MessageUnreadable(audit="no SOAP envelope")
    called = next((each for each in root.iter(f"{{*}}{OPERATION}") if isinstance(each.tag, str)), None)
    if called is None:
        raise V3MessageUnreadable(audit="another operation")
    parts = {etree.QName(each).localname: each for each in called if isinstance(each.tag, str)}
    action, message = (_text(parts.get(part)) for part in ("action", "message"))
    if not action or not message:
        raise V3MessageUnreadable(audit="no action or message")
    return Request(
        soap=str(name.namespace), namespace=etree.QName(called).namespace or "", action=action, message=message
    )


def answer(asked: Request, payload: str) -> bytes:
    """Return the answer to a call."""
    envelope = etree.Element(f"{{{asked.soap}}}Envelope", nsmap={"soap": asked.soap})
    body = etree.SubElement(envelope, f"{{{asked.soap}}}Body")
    space = f"{{{asked.namespace}}}" if asked.namespace else ""
    own = {None: asked.namespace} if asked.namespace else None
    response = etree.SubElement(body, f"{space}{OPERATION}Response", nsmap=own)
    etree.SubElement(response, f"{space}payload").text = payload
    return bytes(etree.tostring(envelope, encoding="UTF-8", xml_declaration=True))


def fault(soap: str, *, code: str, text: str, sender: bool = True) -> bytes:
    """Return a fault (SOAP 1.2 part 1, 5.4; SOAP 1.1, 4.4) with our public code; ``sender``: it is the sender's."""
    envelope = etree.Element(f"{{{soap}}}Envelope", nsmap={"soap": soap})
    made = etree.SubElement(etree.SubElement(envelope, f"{{{soap}}}Body"), f"{{{soap}}}Fault")
    if soap == SOAP_12:
        etree.SubElement(etree.SubElement(made, f"{{{soap}}}Code"), f"{{{soap}}}Value").text = (
            "soap:Sender" if sender else "soap:Receiver"
        )
        reason = etree.SubElement(etree.SubElement(made, f"{{{soap}}}Reason"), f"{{{soap}}}Text")
        reason.set("{http://www.w3.org/XML/1998/namespace}lang", "zh")
        reason.text = f"{code} {text}"
    else:
        etree.SubElement(made, "faultcode").text = "soap:Client" if sender else "soap:Server"
        etree.SubElement(made, "faultstring").text = f"{code} {text}"
    return bytes(etree.tostring(envelope, encoding="UTF-8", xml_declaration=True))


def version_of(body: bytes) -> str:
    """Return the version of SOAP that a body seems to be in, for the fault that answers it."""
    return SOAP_12 if SOAP_12.encode() in body[:2000] else SOAP_11


def _text(element: Element | None) -> str:
    """Return an element's text, or its one child as text, where a message was not sent as text."""
    if element is None:
        return ""
    if len(element):
        return str(etree.tostring(element[0], encoding="unicode"))
    return (element.text or "").strip()


def wsdl(location: str) -> bytes:
    """Return the description of the service at an address: document/literal, SOAP 1.1 and 1.2."""
    return _WSDL.replace("@LOCATION@", _attribute(location)).encode()


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


_WSDL: Final = """<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions name="HIPMessageServer" targetNamespace="urn:hl7-org:v3"
    xmlns:tns="urn:hl7-org:v3" xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:xs="http://www.w3.org/2001/XMLSchema"
    xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/">
  <wsdl:types>
    <xs:schema targetNamespace="urn:hl7-org:v3" elementFormDefault="qualified">
      <xs:element name="HIPMessageServer">
        <xs:complexType><xs:sequence>
          <xs:element name="action" type="xs:string"/>
          <xs:element name="message" type="xs:string"/>
        </xs:sequence></xs:complexType>
      </xs:element>
      <xs:element name="HIPMessageServerResponse">
        <xs:complexType><xs:sequence>
          <xs:element name="payload" type="xs:string"/>
        </xs:sequence></xs:complexType>
      </xs:element>
    </xs:schema>
  </wsdl:types>
  <wsdl:message name="HIPMessageServerInput">
    <wsdl:part name="parameters" element="tns:HIPMessageServer"/>
  </wsdl:message>
  <wsdl:message name="HIPMessageServerOutput">
    <wsdl:part name="parameters" element="tns:HIPMessageServerResponse"/>
  </wsdl:message>
  <wsdl:portType name="HIPMessageServerPortType">
    <wsdl:operation name="HIPMessageServer">
      <wsdl:input message="tns:HIPMessageServerInput"/>
      <wsdl:output message="tns:HIPMessageServerOutput"/>
    </wsdl:operation>
  </wsdl:portType>
  <wsdl:binding name="HIPMessageServerSoap" type="tns:HIPMessageServerPortType">
    <soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="HIPMessageServer">
      <soap:operation soapAction="urn:hl7-org:v3:HIPMessageServer"/>
      <wsdl:input><soap:body use="literal"/></wsdl:input>
      <wsdl:output><soap:body use="literal"/></wsdl:output>
    </wsdl:operation>
  </wsdl:binding>
  <wsdl:binding name="HIPMessageServerSoap12" type="tns:HIPMessageServerPortType">
    <soap12:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="HIPMessageServer">
      <soap12:operation soapAction="urn:hl7-org:v3:HIPMessageServer"/>
      <wsdl:input><soap12:body use="literal"/></wsdl:input>
      <wsdl:output><soap12:body use="literal"/></wsdl:output>
    </wsdl:operation>
  </wsdl:binding>
  <wsdl:service name="HIPMessageServerService">
    <wsdl:port name="HIPMessageServerSoap" binding="tns:HIPMessageServerSoap">
      <soap:address location="@LOCATION@"/>
    </wsdl:port>
    <wsdl:port name="HIPMessageServerSoap12" binding="tns:HIPMessageServerSoap12">
      <soap12:address location="@LOCATION@"/>
    </wsdl:port>
  </wsdl:service>
</wsdl:definitions>
"""
