"""Addresses of object stores as people write them, and as they may be shown to anybody.

Credentials may stand in one, `s3://KEY:SECRET@bucket/photos`: `shown` leaves them out, and so does
everything that is printed, written into a row, or kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

_ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]+)://"
    # A secret of AWS may hold slashes; a port, as in `hdfs://host:8020/a`, is none.
    r"(?:(?P<user>[^@/?:]*)(?P<secret>:(?!\d+/)[^@?]*)?@)?"
    r"(?P<place>[^?]*)(?:\?(?P<query>.*))?",
    re.IGNORECASE | re.DOTALL,
)
_OPEN = ("scheme", "endpoint_override", "region")
"""Parameters that say where a store is.  Of the others nobody knows what is secret."""
_SECRET = 8
"""Letters of a parameter's value that may be a secret; a shorter one is `true`, or a number."""
_UNQUOTED = "/:=&+,;@!$'()*~-._"
"""What may stand in the path of an address as it is, beside letters and digits."""


@dataclass(frozen=True)
class Address:
    """The parts of an address.

    Args:
        scheme: such as "s3".
        user, secret: what stands before `@`, as it was written; empty where nothing does.
        bucket: the first part of what follows, or the name of a machine.
        path: the rest, from its first slash on; decoded.
        query: what stands after `?`, as it was written.
    """

    scheme: str
    user: str
    secret: str
    bucket: str
    path: str
    query: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the parts of `text`.

        A space or an umlaut may stand in a path as it is; `?`, and `%` before two digits, may not.

        Raises:
            ValueError: it is no address.
        """
        if not (found := _ADDRESS.fullmatch(text)):
            raise ValueError(f"no address: {text!r}")
        bucket, slash, path = found["place"].partition("/")
        scheme, user, query = found["scheme"].lower(), found["user"] or "", found["query"] or ""
        secret = (found["secret"] or "").removeprefix(":")
        return cls(scheme, user, secret, bucket, unquote(slash + path), query)

    @property
    def root(self) -> str:
        """Return the address of the whole store, as PyArrow takes it, with its credentials."""
        secret = f":{_login(self.secret)}" if self.secret else ""
        login = f"{_login(self.user)}{secret}@" if self.user or secret else ""
        return f"{self.scheme}://{login}{self.bucket}{_after('?', self.query)}"

    @property
    def whole(self) -> str:
        """Return the address as PyArrow takes it, with its credentials."""
        start, mark, query = self.root.partition("?")
        return start + quote(self.path, safe=_UNQUOTED) + mark + query

    @property
    def shown(self) -> str:
        """Return the address without what may be secret."""
        return self.of(self.bucket + self.path)

    def of(self, path: str) -> str:
        """Return the address, without what may be secret, of what lies at `path` in the store.

        Given back, with the same credentials, it leads there again.
        """
        readable = re.sub("[%?]", lambda one: quote(one[0]), path)
        kept = "&".join(one for one in self.query.split("&") if one.partition("=")[0] in _OPEN)
        return f"{self.scheme}://{readable}{_after('?', kept)}"

    def hide(self, text: str) -> str:
        """Return `text` without the credentials of this address, in whatever form it has them."""
        named = (one.partition("=") for one in self.query.split("&"))
        hidden = [value for name, _, value in named if name not in _OPEN and len(value) >= _SECRET]
        hidden += [self.secret, self.user] if self.secret else []
        for part in filter(None, hidden):
            for form in {part, unquote(part), _login(part), quote(unquote(part), safe="")}:
                text = text.replace(form, "...")
        return text


def is_address(text: str) -> bool:
    """Return whether `text` is an address, and no path of this machine."""
    return _ADDRESS.fullmatch(text) is not None


def _login(text: str) -> str:
    """Return `text` with what cannot stand before `@` encoded; what is encoded stays."""
    whole = re.sub(r"%(?![0-9a-f]{2})", "%25", text, flags=re.IGNORECASE)
    return quote(whole, safe="=+,;!$&'()*~-._%")


def _after(mark: str, text: str) -> str:
    return f"{mark}{text}" if text else ""
