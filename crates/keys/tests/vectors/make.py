"""Makes the frozen vectors with an independent implementation (Python's `cryptography`), not with the crate under test.

Usage: python3 make.py check     compares the committed files with a fresh computation, writes nothing.
       python3 make.py NEW_DIR   writes them to another directory, for a new format version.
The committed vectors never change: data sealed in that format is out there.
"""
import hashlib, hmac, json, pathlib, sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

def stream(name, length):
    return hashlib.shake_256(name.encode()).digest(length)

def expand(key, info, length):
    return HKDFExpand(hashes.SHA256(), length, info).derive(key)

def name(text):
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw

def uuid_text(raw):
    h = raw.hex()
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))

def tenant(seed):
    raw = bytearray(stream("tenant" + seed, 16))
    raw[6], raw[8] = raw[6] & 0x0F | 0x70, raw[8] & 0x3F | 0x80
    return bytes(raw)

def envelope(case, generation, table, column, row_version, kind, patient, length):
    key, salt, row = stream("key" + case, 32), stream("salt" + case, 24), stream("row" + case, 16)
    plain, who = stream("plain" + case, length), tenant(case)
    patient = stream("patient" + case, 16) if patient else None
    aad = (b"\xc1" + who + generation.to_bytes(4, "big") + name(table) + name(column) + row
           + row_version.to_bytes(8, "big") + name(kind) + (b"\x01" + patient if patient else b"\x00"))
    derived = expand(key, b"carekeep/envelope/1" + salt, 64)
    sealed = AESGCM(derived[:32]).encrypt(bytes(12), plain, aad)
    out = b"\xc1" + generation.to_bytes(4, "big") + salt + derived[32:] + sealed
    return {"name": case, "key": key.hex(), "tenant": uuid_text(who), "generation": generation, "table": table,
            "column": column, "row": row.hex(), "row_version": row_version, "kind": kind,
            "patient": patient.hex() if patient else None, "plaintext": plain.hex(), "envelope": out.hex()}

def token(case, param, salted, text):
    key, who = stream("key" + case, 32), tenant(case)
    salt = stream("patient" + case, 16) if salted else None
    index = expand(key, b"carekeep/blind-index/1" + who, 32)
    message = param.to_bytes(2, "big", signed=True) + (b"\x01" + salt if salt else bytes(17)) + text.encode()
    tag = hmac.digest(index, message, "sha256")
    return {"name": case, "key": key.hex(), "tenant": uuid_text(who), "param": param,
            "patient": salt.hex() if salt else None, "text": text,
            "token": int.from_bytes(tag[:8], "big", signed=True)}

def pseudonym(case):
    key, who, person = stream("key" + case, 32), tenant(case), stream("person" + case, 16)
    tag = hmac.digest(expand(key, b"carekeep/pseudonym/1" + who, 32), person, "sha256")
    return {"name": case, "key": key.hex(), "tenant": uuid_text(who), "id": person.hex(), "pseudonym": tag[:16].hex()}

def signature(case):
    key, who, message = stream("key" + case, 32), tenant(case), stream("message" + case, 100)
    pair = Ed25519PrivateKey.from_private_bytes(expand(key, b"carekeep/ledger-ed25519/1" + who, 32))
    public = pair.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"name": case, "key": key.hex(), "tenant": uuid_text(who), "message": message.hex(),
            "public": public.hex(), "signature": pair.sign(message).hex()}

FILES = {
    "envelope_v1.json": [
        envelope("empty", 1, "resources", "body", 1, "Patient", True, 0),
        envelope("one byte", 1, "resources", "body", 1, "Patient", True, 1),
        envelope("one block", 2, "resources", "body", 7, "Observation", True, 16),
        envelope("no patient, no kind", 1, "credentials", "secret", 0, "", False, 33),
        envelope("a kibibyte", 4294967295, "versions", "body", 18446744073709551615, "DiagnosticReport", True, 1024),
        envelope("names beyond ASCII", 3, "tabelle\u00e4", "\u5217", 2, "Art", False, 100),
    ],
    "tokens_v1.json": [
        token("tenant scope", 1, False, "http://hospital.example/mrn|12345"),
        token("patient scope", 1, True, "http://hospital.example/mrn|12345"),
        token("empty text", 0, False, ""),
        token("negative parameter", -2, False, "m\u00fcller"),
    ],
    "pseudonyms_v1.json": [pseudonym("first"), pseudonym("second")],
    "signatures_v1.json": [signature("first"), signature("second")],
}

here = pathlib.Path(__file__).parent
target = sys.argv[1]
for file, cases in FILES.items():
    text = json.dumps(cases, indent=1, ensure_ascii=False) + "\n"
    if target == "check":
        assert (here / file).read_text() == text, f"{file} differs"
        print(f"{file}: {len(cases)} cases agree")
    else:
        (pathlib.Path(target) / file).write_text(text)
