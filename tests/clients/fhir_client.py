"""An unmodified public FHIR client (fhirpy) against a demo tenant: sign in as a person would, then read, search, create and update.

Usage: fhir_client.py PATH/demo.json TENANT_SLUG PATH/dev-ca.pem
Exits with 1 and says why when something is not as promised.
"""

import base64
import hashlib
import hmac
import json
import socket
import ssl
import struct
import sys
import time
import urllib.request

from fhirpy import SyncFHIRClient


_resolve = socket.getaddrinfo


def loopback(host, *rest, **named):
    """Names below localhost are this machine (RFC 6761 section 6.3), whatever the resolver knows."""
    return _resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **named)


socket.getaddrinfo = loopback


def totp(secret, at):
    """The code of RFC 6238 at a moment: 6 digits, 30 s, SHA-1."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(at) // 30), hashlib.sha1).digest()
    start = digest[-1] & 15
    number = struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"


class Tenant:
    """One tenant of a demo installation."""

    def __init__(self, tenant, authority):
        self.base = tenant["base"]
        self.people = {person["role"]: person for person in tenant["people"]}
        self.context = ssl.create_default_context(cafile=authority)

    def post(self, path, body, token=None):
        headers = {"content-type": "application/json", "carekeep-token": "body"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, context=self.context) as response:
            return json.load(response)

    def sign_in(self, role):
        """Gives a session token: password, then a code. A code works once, so a used one is waited out."""
        person = self.people[role]
        pending = self.post("/api/v1/sign-in/password", {"login": person["login"], "password": person["password"]})
        for _ in range(3):
            code = totp(person["totp_secret"], time.time())
            try:
                return self.post("/api/v1/sign-in/totp", {"code": code}, pending["token"])["token"]
            except urllib.error.HTTPError as error:
                if error.code != 401:
                    raise
                time.sleep(30 - time.time() % 30)
        raise SystemExit("no code was accepted")


def check(condition, promise):
    if not condition:
        raise SystemExit(f"FAILED: {promise}")
    print(f"ok: {promise}")


def main(demo, slug, authority):
    tenant = next(t for t in json.load(open(demo, encoding="utf-8"))["tenants"] if t["slug"] == slug)
    there = Tenant(tenant, authority)
    token = there.sign_in("clinician")
    client = SyncFHIRClient(
        f"{there.base}/fhir/R4",
        authorization=f"Bearer {token}",
        requests_config={"verify": authority},
    )
    patient = client.resource(
        "Patient",
        name=[{"family": "Testperson", "given": ["Mathilda"]}],
        birthDate="1980-05-17",
        identifier=[{"system": "urn:example:mrn", "value": f"M-{time.time_ns()}"}],
    )
    patient.save()
    check(patient.id is not None, "a clinician creates a patient")
    read = client.reference("Patient", patient.id).to_resource()
    check(read["name"] == patient["name"] and read["birthDate"] == "1980-05-17", "reads it back as it was sent")
    found = client.resources("Patient").search(name="mathil", birthdate="1980-05").fetch_all()
    check(patient.id in [one.id for one in found], "finds it by the start of a name and a month of birth")
    system, value = patient["identifier"][0]["system"], patient["identifier"][0]["value"]
    found = client.resources("Patient").search(identifier=f"{system}|{value}").fetch()
    check([one.id for one in found] == [patient.id], "finds it, and only it, by its identifier")
    read["telecom"] = [{"system": "phone", "value": "+1 555 0100"}]
    read.save()
    again = client.reference("Patient", patient.id).to_resource()
    check(again["telecom"][0]["value"] == "+1 555 0100", "updates it")
    check(again["meta"]["versionId"] == "2", "the update is a new version")
    observation = client.resource(
        "Observation",
        status="final",
        code={"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        subject={"reference": f"Patient/{patient.id}"},
        effectiveDateTime="2026-05-01T10:00:00Z",
        valueQuantity={"value": 72, "unit": "/min"},
    )
    observation.save()
    search = client.resources("Observation").search(patient=patient.id, code="http://loinc.org|8867-4", date__ge="2026-05-01")
    check([one.id for one in search.fetch()] == [observation.id], "finds an observation by patient, code and date")
    observation.delete()
    check(client.resources("Observation").search(patient=patient.id).fetch() == [], "a deleted one is not found")
    desk = SyncFHIRClient(
        f"{there.base}/fhir/R4",
        authorization=f"Bearer {there.sign_in('reception')}",
        requests_config={"verify": authority},
    )
    seen = desk.reference("Patient", patient.id).to_resource()
    check(seen["name"][0]["family"] == "Testperson", "reception sees the contact data")
    try:
        desk.resources("Observation").search(patient=patient.id).fetch()
        check(False, "reception is refused clinical data")
    except Exception as error:  # fhirpy wraps the status in its own types
        check("OperationOutcome" in str(error) or "403" in str(error) or "orbidden" in repr(error), "reception is refused clinical data")


if __name__ == "__main__":
    main(*sys.argv[1:])
