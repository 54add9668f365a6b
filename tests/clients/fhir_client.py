"""An unmodified public FHIR client (fhirpy) against a demo tenant: sign in as a person would, then read, search, create and update.

Usage: fhir_client.py PATH/demo.json TENANT_SLUG PATH/dev-ca.pem
Exits with 1 and says why when something is not as promised.
"""

import json
import sys
import time

from fhirpy import SyncFHIRClient

from tenant import Tenant


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
