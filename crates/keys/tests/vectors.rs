//! Frozen vectors. They were made by an independent implementation (`vectors/make.py`) and never change: a failure here
//! means that data sealed by an earlier version no longer opens, or is no longer found.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use carekeep_kernel::{Random, TenantId};
use carekeep_keys::{
    Aad, BlindIndexKey, DataKey, PseudonymKey, SALT_LEN, SigningKey, generation, open, seal,
};
use data_encoding::HEXLOWER;
use serde_json::Value;
use zeroize::Zeroizing;

struct Fixed(Vec<u8>);

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0);
    }
}

fn cases(text: &str, count: usize) -> Vec<Value> {
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), count, "vectors are only ever added");
    cases
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap()
}

fn hex(case: &Value, field: &str) -> Vec<u8> {
    HEXLOWER.decode(text(case, field).as_bytes()).unwrap()
}

fn id(case: &Value, field: &str) -> [u8; 16] {
    hex(case, field).try_into().unwrap()
}

fn key(case: &Value) -> DataKey {
    DataKey::new(Zeroizing::new(hex(case, "key").try_into().unwrap()))
}

fn tenant(case: &Value) -> TenantId {
    text(case, "tenant").parse().unwrap()
}

#[test]
fn envelopes_of_format_1_open_and_seal_as_frozen() {
    for case in cases(include_str!("vectors/envelope_v1.json"), 6) {
        let aad = Aad {
            tenant: tenant(&case),
            table: text(&case, "table"),
            column: text(&case, "column"),
            row: id(&case, "row"),
            row_version: case["row_version"].as_u64().unwrap(),
            kind: text(&case, "kind"),
            patient: case["patient"].as_str().map(|_| id(&case, "patient")),
        };
        let (envelope, plaintext) = (hex(&case, "envelope"), hex(&case, "plaintext"));
        let number = u32::try_from(case["generation"].as_u64().unwrap()).unwrap();
        assert_eq!(generation(&envelope), Ok(number));
        assert_eq!(open(&key(&case), &aad, &envelope).unwrap().as_slice(), plaintext, "{}", case["name"]);
        let salt = Fixed(envelope[5..5 + SALT_LEN].to_vec());
        assert_eq!(seal(&key(&case), number, &aad, &plaintext, &salt).unwrap(), envelope, "{}", case["name"]);
    }
}

#[test]
fn blind_tokens_of_format_1_are_as_frozen() {
    for case in cases(include_str!("vectors/tokens_v1.json"), 4) {
        let param = i16::try_from(case["param"].as_i64().unwrap()).unwrap();
        let salt = case["patient"].as_str().map(|_| id(&case, "patient"));
        let token = BlindIndexKey::derive(&key(&case), tenant(&case)).token(param, salt, text(&case, "text"));
        assert_eq!(Some(token), case["token"].as_i64(), "{}", case["name"]);
    }
}

#[test]
fn pseudonyms_of_format_1_are_as_frozen() {
    for case in cases(include_str!("vectors/pseudonyms_v1.json"), 2) {
        let pseudonym = PseudonymKey::derive(&key(&case), tenant(&case)).pseudonym(&id(&case, "id"));
        assert_eq!(pseudonym, id(&case, "pseudonym"), "{}", case["name"]);
    }
}

#[test]
fn checkpoint_signatures_of_format_1_are_as_frozen() {
    for case in cases(include_str!("vectors/signatures_v1.json"), 2) {
        let signer = SigningKey::derive(&key(&case), tenant(&case)).unwrap();
        let (public, message) = (signer.verifying_key(), hex(&case, "message"));
        assert_eq!(public.as_bytes().as_slice(), hex(&case, "public"));
        assert_eq!(signer.sign(&message).as_slice(), hex(&case, "signature"));
        assert!(public.verify(&message, &signer.sign(&message)));
        assert!(!public.verify(&message[1..], &signer.sign(&message)));
    }
}
