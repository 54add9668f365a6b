"""One tenant of a demo installation, spoken to with Python's standard library: signing in as a person would, and requests.

`demo.json` of `carekeep dev` says where a tenant is and how its people sign in.
"""

import base64
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import struct
import time
from urllib.parse import urlsplit

_resolve = socket.getaddrinfo


def loopback(host, *rest, **named):
    """Names below localhost are this machine (RFC 6761 section 6.3), whatever the resolver knows."""
    return _resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **named)


socket.getaddrinfo = loopback


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, method, path, status, body):
        super().__init__(f"{method} {path}: {status}: {body[:500].decode(errors='replace')}")
        self.status = status


def totp(secret, at):
    """The code of RFC 6238 at a moment: 6 digits, 30 s, SHA-1."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(at) // 30), hashlib.sha1).digest()
    start = digest[-1] & 15
    number = struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"


class Tenant:
    """One tenant of a demo installation. `source` is the address to come from: sign-ins are limited by address."""

    def __init__(self, tenant, authority, base=None, source="127.0.0.1"):
        self.base = base or tenant["base"]
        self.people = {person["role"]: person for person in tenant["people"]}
        self.context = ssl.create_default_context(cafile=authority)
        self.source = source
        self.host = urlsplit(self.base).hostname

    def send(self, method, path, body=None, headers=None):
        """Sends bytes; gives the answer's bytes, or raises `Refused`."""
        address = urlsplit(self.base)
        connection = http.client.HTTPSConnection(
            address.hostname, address.port, context=self.context, source_address=(self.source, 0), timeout=300
        )
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status // 100 != 2:
            raise Refused(method, path, response.status, answer)
        return answer

    def post(self, path, body, token=None):
        headers = {"content-type": "application/json", "carekeep-token": "body"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        return json.loads(self.send("POST", path, json.dumps(body).encode(), headers))

    def get(self, path, token):
        """The answer's bytes."""
        return self.send("GET", path, None, {"authorization": f"Bearer {token}"})

    def sign_in(self, role):
        """Gives a session token: password, then a code. A code works once, so a used one is waited out."""
        person = self.people[role]
        pending = self.post("/api/v1/sign-in/password", {"login": person["login"], "password": person["password"]})
        for _ in range(3):
            code = totp(person["totp_secret"], time.time())
            try:
                return self.post("/api/v1/sign-in/totp", {"code": code}, pending["token"])["token"]
            except Refused as refused:
                if refused.status != 401:
                    raise
                time.sleep(30 - time.time() % 30)
        raise SystemExit("no code was accepted")
