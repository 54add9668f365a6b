"""Unmodified public OAuth clients against a demo tenant: the SMART client `fhirclient` in a person's name, and Authlib as
a program that stores and as one that reads.

Usage: smart_clients.py PATH/demo.json TENANT_SLUG PATH/dev-ca.pem
Exits with 1 and says why when something is not as promised.
"""

import json
import os
import sys
import time
from urllib.parse import urlsplit

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from fhirclient.client import FHIRClient
from fhirclient.models.condition import Condition
from fhirclient.server import FHIRNotFoundException
from joserfc.jwk import ECKey

from tenant import Tenant

REDIRECT = "http://127.0.0.1/cb"


def check(condition, promise):
    if not condition:
        raise SystemExit(f"FAILED: {promise}")
    print(f"ok: {promise}")


def created(there, token, kind, body):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/fhir+json"}
    text = json.dumps({"resourceType": kind, **body}).encode()
    return json.loads(there.send("POST", f"/fhir/R4/{kind}", text, headers))["id"]


def chart(there, token, family):
    patient = created(there, token, "Patient", {"name": [{"family": family}]})
    subject = {"reference": f"Patient/{patient}"}
    created(there, token, "Condition", {"subject": subject, "code": {"text": family}})
    return patient


def registered(there, admin, app):
    made = there.post("/api/v1/apps", app, admin)
    there.send("POST", f"/api/v1/apps/{made['client_id']}/approve", b"", {"authorization": f"Bearer {admin}"})
    return made


def in_a_persons_name(there, admin):
    doctor = there.sign_in("clinician")
    own, other = chart(there, doctor, "Adler"), chart(there, doctor, "Brandt")
    app = {
        "client_name": "Growth Chart",
        "token_endpoint_auth_method": "none",
        "redirect_uris": [REDIRECT],
        "scope": "launch/patient patient/*.read openid profile offline_access",
    }
    client = registered(there, admin, app)["client_id"]
    settings = {
        "app_id": client,
        "api_base": f"{there.base}/fhir/R4",
        "redirect_uri": REDIRECT,
        "scope": "patient/*.read openid profile offline_access",
    }
    smart = FHIRClient(settings=settings)
    smart.wants_patient = True
    smart.prepare()
    # What the person's browser does with it.
    request = urlsplit(smart.authorize_url).query
    decision = {"request": request, "allow": True, "patient": own}
    smart.handle_callback(there.post("/api/v1/consent", decision, doctor)["redirect_to"])
    check(smart.ready and smart.patient.id == own, "fhirclient gets a token for the patient that the person chose")
    conditions = Condition.where({}).perform_resources(smart.server)
    check([one.code.text for one in conditions] == ["Adler"], "reads that patient's conditions, and no other's")
    theirs = Condition.where({"patient": other}).perform_resources(smart.server)
    check(theirs == [], "finds nothing of another patient")
    try:
        smart.server.request_json(f"Patient/{other}")
        hidden = False
    except FHIRNotFoundException:
        hidden = True
    check(hidden, "another patient of the same clinician is not there")
    check(smart.reauthorize() is not None or smart.ready, "gets another token by its refresh token")
    check(smart.server.request_json(f"Patient/{own}")["id"] == own, "which reads again")


def as_a_program(there, admin, authority):
    key = ECKey.generate_key("P-384", {"kid": "k1", "use": "sig", "alg": "ES384"})
    public = key.as_dict(private=False)
    app = {
        "client_name": "Loader",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [public]},
        "scope": "system/*.cus",
    }
    client = registered(there, admin, app)["client_id"]
    endpoint = f"{there.base}/oauth/token"
    session = OAuth2Session(client, key, token_endpoint_auth_method="private_key_jwt", scope="system/Patient.cs")
    session.verify = authority
    claims = {"exp": int(time.time()) + 240}
    session.register_client_auth_method(PrivateKeyJWT(endpoint, claims=claims, headers={"kid": "k1"}, alg="ES384"))
    token = session.fetch_token(endpoint, grant_type="client_credentials")
    check(token["scope"] == "system/Patient.cs", "Authlib gets a token by private_key_jwt, with the scopes that it asked for")
    base = f"{there.base}/fhir/R4"
    identifier = f"M-{time.time_ns()}"
    body = {"resourceType": "Patient", "identifier": [{"system": "urn:example:mrn", "value": identifier}]}
    unless = {"If-None-Exist": f"identifier=urn:example:mrn|{identifier}"}
    made = [session.post(f"{base}/Patient", json=body, headers=unless) for _ in range(2)]
    check([one.status_code for one in made] == [201, 200], "the program creates a patient, once")
    patient = made[0].json()["id"]
    found = session.get(f"{base}/Patient", params={"_id": patient}).json()
    read = session.get(f"{base}/Patient/{patient}").status_code
    check("entry" not in found and read == 403, "reads nothing, not even what it wrote")
    condition = {"resourceType": "Condition", "subject": {"reference": f"Patient/{patient}"}}
    check(session.post(f"{base}/Condition", json=condition).status_code == 403, "creates nothing beyond its scopes")


def as_a_reader(there, admin, authority):
    key = ECKey.generate_key("P-384", {"kid": "k1", "use": "sig", "alg": "ES384"})
    app = {
        "client_name": "Warehouse",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.as_dict(private=False)]},
        "scope": "system/Patient.rs",
    }
    made = registered(there, admin, app)
    patient = chart(there, there.sign_in("clinician"), "Conrad")
    endpoint = f"{there.base}/oauth/token"
    session = OAuth2Session(made["client_id"], key, token_endpoint_auth_method="private_key_jwt", scope=app["scope"])
    session.verify = authority
    claims = {"exp": int(time.time()) + 240}
    session.register_client_auth_method(PrivateKeyJWT(endpoint, claims=claims, headers={"kid": "k1"}, alg="ES384"))
    session.fetch_token(endpoint, grant_type="client_credentials")
    address = f"{there.base}/fhir/R4/Patient/{patient}"
    check(session.get(address).status_code == 403, "a program with system/Patient.rs reads nothing at first")
    role = f"/api/v1/people/{made['person']}/roles/records_reader"
    asked = json.loads(there.send("PUT", role, b"", {"authorization": f"Bearer {admin}"}))
    officer = there.sign_in("privacy_officer")
    decide = f"/api/v1/role-requests/{asked['request']['id']}/approve"
    there.send("POST", decide, b"", {"authorization": f"Bearer {officer}"})
    time.sleep(1)
    read = session.get(address)
    check(read.status_code == 200 and read.json()["name"][0]["family"] == "Conrad", "and the chart once a privacy officer agreed")
    other = session.get(f"{there.base}/fhir/R4/Condition").status_code
    check(other == 403, "and nothing beyond its scopes")


def main(demo, slug, authority):
    os.environ["REQUESTS_CA_BUNDLE"] = authority
    tenant = next(t for t in json.load(open(demo, encoding="utf-8"))["tenants"] if t["slug"] == slug)
    there = Tenant(tenant, authority)
    admin = there.sign_in("tenant_admin")
    in_a_persons_name(there, admin)
    as_a_program(there, admin, authority)
    as_a_reader(there, admin, authority)


if __name__ == "__main__":
    main(*sys.argv[1:])
