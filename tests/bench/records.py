"""Records to read and to search, written through the API by a clinician."""

import json

from load import Failed

PAGE = 20


def patient():
    """A Patient of about the size that the public generator makes."""
    identifiers = [{"system": "urn:example:mrn", "value": str(number) * 8, "use": "usual"} for number in range(30)]
    return {"resourceType": "Patient", "identifier": identifiers}


def observation(patient_id, number):
    """An Observation of about the size that the public generator makes."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7", "display": "Hemoglobin [Mass/volume] in Blood"}]},
        "subject": {"reference": f"Patient/{patient_id}"},
        "effectiveDateTime": f"2026-01-{number % 28 + 1:02}T10:00:00Z",
        "issued": f"2026-01-{number % 28 + 1:02}T12:00:00Z",
        "valueQuantity": {"value": 10 + number, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"},
        "note": [{"text": "x" * 300}],
    }


class Chart:
    """One patient with observations, and a clinician who is signed in and may read them."""

    def __init__(self, tenant, observations=0):
        self.tenant = tenant
        self.token = tenant.sign_in("clinician")
        self.patient = tenant.post("/fhir/R4/Patient", patient(), self.token)["id"]
        for number in range(observations):
            tenant.post("/fhir/R4/Observation", observation(self.patient, number), self.token)

    @property
    def read_path(self):
        return f"/fhir/R4/Patient/{self.patient}"

    @property
    def search_path(self):
        return f"/fhir/R4/Observation?patient={self.patient}&_count={PAGE}"

    def read_bytes(self):
        """Length of the read's answer."""
        return len(self.tenant.get(self.read_path, self.token))

    def row_bytes(self):
        """Mean length of the resources of the search's answer."""
        found = [entry["resource"] for entry in json.loads(self.tenant.get(self.search_path, self.token))["entry"]]
        if len(found) != PAGE:
            raise Failed(f"the search found {len(found)} observations, not {PAGE}")
        return sum(len(json.dumps(one, separators=(",", ":"))) for one in found) // len(found)
