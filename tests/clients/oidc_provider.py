"""An OpenID provider with one client: what a tenant's own identity provider is to Carekeep, made with Authlib's JOSE library.

    python oidc_provider.py <folder with chain.pem and key.pem> <client id>

Says its issuer in one line, then serves until its input ends. It checks what a provider checks: the redirect address, PKCE, that a code is used
once and by the client that proves itself with its own key. Whom it signs in, and what it gets wrong on purpose, is set by `POST /set`, its clock by `POST /now`:

    claims   what the id token says besides or instead of what is right; null leaves a claim out
    sign     "rs256" (if nothing is said), "none", "hs256", "other" (a key that is not published), "unnamed", "renewed" (a new key, published)
    error    answers the authorization request with this error instead of a code
    iss      what the answer names as issuer; null leaves it out
    lie      metadata of another issuer
    token    the status of the token endpoint instead of 200
    jwks     the keys of the client
    body     raw text instead of metadata
"""

import base64
import hashlib
import hmac
import json
import secrets
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey


def named(kid):
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


class Provider:
    def __init__(self, client):
        self.client = client
        self.issuer = None
        self.lock = threading.Lock()
        self.key, self.stranger = named("first"), named("first")
        self.codes, self.jtis = {}, set()
        self.asked = []
        self.moving = threading.Event()
        self.now = None
        self.set({})

    def set(self, told):
        self.claims = told.get("claims", {})
        self.sign = told.get("sign", "rs256")
        self.error = told.get("error")
        self.names = told.get("iss", self.issuer)
        self.lie = told.get("lie")
        self.token_status = told.get("token", 200)
        self.body = told.get("body")
        # Whoever waits at the token endpoint of a provider that stalled goes on with what it is told next.
        self.moving.clear() if told.get("stall") else self.moving.set()
        if "jwks" in told:
            self.client_keys = KeySet.import_key_set(told["jwks"])
        if self.sign == "renewed":
            self.key = named(f"renewed-{secrets.token_hex(4)}")

    def metadata(self):
        return {
            "issuer": self.lie or self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
        }

    def authorize(self, query):
        """Where the browser goes on: whoever comes is signed in."""
        answer = {"state": query["state"]} | ({"iss": self.names} if self.names else {})
        right = query["client_id"] == self.client and query["response_type"] == "code" and "openid" in query["scope"].split()
        if self.error or not right or query["code_challenge_method"] != "S256":
            answer["error"] = self.error or "invalid_request"
        else:
            answer["code"] = secrets.token_urlsafe(24)
            self.codes[answer["code"]] = query
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def proves_itself(self, form):
        if "client_secret" in form:
            return form["client_secret"] == "a secret of the provider"
        token = jwt.decode(form["client_assertion"], self.client_keys, algorithms=["RS256"])
        said = token.claims
        once = said["jti"] not in self.jtis
        self.jtis.add(said["jti"])
        own = said["iss"] == said["sub"] == self.client == form["client_id"]
        return own and said["aud"] == f"{self.issuer}/token" and said["exp"] > self.now and once

    def token(self, form):
        """Status and body of the token endpoint."""
        if self.token_status != 200:
            return self.token_status, {"error": "server_error"}
        try:
            proven = self.proves_itself(form)
        except (JoseError, KeyError) as error:
            print(f"not the client: {error!r}", file=sys.stderr)
            proven = False
        if not proven:
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        good = asked and asked["redirect_uri"] == form["redirect_uri"] and asked["code_challenge"] == challenge
        if not good or form["grant_type"] != "authorization_code":
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "nothing", "token_type": "Bearer", "id_token": self.id_token(asked["nonce"])}

    def id_token(self, nonce):
        claims = {"iss": self.issuer, "aud": self.client, "sub": "nobody", "nonce": nonce, "iat": self.now, "exp": self.now + 300}
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        text = json.dumps(claims).encode()
        # What the library does not do, because nobody should.
        part = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        if self.sign == "none":
            return f"{part(json.dumps({'alg': 'none'}).encode())}.{part(text)}."
        if self.sign == "hs256":
            message = f"{part(json.dumps({'alg': 'HS256', 'kid': self.key.kid}).encode())}.{part(text)}"
            public = self.key.as_pem(private=False)
            return f"{message}.{part(hmac.digest(public, message.encode(), 'sha256'))}"
        key = self.stranger if self.sign == "other" else self.key
        header = {"alg": "RS256"} | ({} if self.sign == "unnamed" else {"kid": key.kid})
        return jws.serialize_compact(header, text, key, algorithms=["RS256"])


def single(text):
    return {name: values[0] for name, values in parse_qs(text).items()}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider = None

    def answer(self, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in [("content-type", "application/json"), ("content-length", str(len(data))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        provider, url = self.provider, urlsplit(self.path)
        with provider.lock:
            provider.asked.append(url.path)
            if url.path == "/.well-known/openid-configuration":
                body = provider.metadata() if provider.body is None else provider.body.encode()
                self.answer(200, body)
            elif url.path == "/keys":
                self.answer(200, KeySet([provider.key]).as_dict(private=False))
            elif url.path == "/authorize":
                self.answer(303, {}, [("location", provider.authorize(single(url.query)))])
            elif url.path == "/asked":
                self.answer(200, provider.asked)
            else:
                self.answer(404, {})

    def do_POST(self):
        text = self.rfile.read(int(self.headers["content-length"])).decode()
        self.provider.asked.append(self.path)
        if self.path == "/token":
            self.provider.moving.wait()
        with self.provider.lock:
            if self.path == "/set":
                self.provider.set(json.loads(text))
                self.answer(200, {})
            elif self.path == "/now":
                self.provider.now = int(text)
                self.answer(200, {})
            elif self.path == "/token":
                self.answer(*self.provider.token(single(text)))
            else:
                self.answer(404, {})

    def log_message(self, *_):
        """Nothing: what is said on the output is the issuer."""


def main(folder, client):
    provider = Provider(client)
    Handler.provider = provider
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(f"{folder}/chain.pem", f"{folder}/key.pem")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    provider.issuer = f"https://localhost:{server.server_port}"
    provider.now = int(time.time())
    provider.set({})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(provider.issuer, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
