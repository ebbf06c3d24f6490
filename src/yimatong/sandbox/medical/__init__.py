"""The medical insurance as a hospital meets it: mobile payment centre and hospital interface over one set of books.

``rows``, ``people`` and ``state`` keep the books, ``rules`` divide bills, ``sealing`` signs and encrypts, ``mobile``
and ``hospital`` answer on the wire, ``notify`` sends notices, ``bill`` writes the detail file, ``enrolment`` makes a
hospital's keys, ``control`` is the port by which people are enrolled and the insurance is made to misbehave. Written
from the public copies of the interface specification.
"""
