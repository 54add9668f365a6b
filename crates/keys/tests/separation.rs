//! Equal inputs under another tenant, parameter, patient or purpose look unrelated (BARS K7).

mod support;

use std::collections::HashSet;

use carekeep_keys::{BlindIndexKey, PseudonymKey, SigningKey};
use support::{data_key, tenant};

#[test]
fn k7_equal_values_in_two_tenants_columns_or_patients_have_different_tokens() {
    let mut tokens = HashSet::new();
    let mut made = 0;
    for (key, owner) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        let index = BlindIndexKey::derive(&data_key(key), tenant(owner));
        for param in [-1, 0, 1, 2, 256] {
            for salt in [None, Some([0; 16]), Some([1; 16])] {
                for text in ["", "a", "smith", "Smith", "smith "] {
                    let token = index.token(param, salt, text);
                    assert_eq!(token, index.token(param, salt, text), "the same twice");
                    tokens.insert(token);
                    made += 1;
                }
            }
        }
    }
    assert_eq!(tokens.len(), made);
}

#[test]
fn k7_no_two_inputs_of_a_token_share_an_encoding() {
    let index = BlindIndexKey::derive(&data_key(1), tenant(1));
    // The salt's bytes moved into the text, and the other way round.
    assert_ne!(index.token(1, Some(*b"aaaaaaaaaaaaaaaa"), "b"), index.token(1, None, "aaaaaaaaaaaaaaaab"));
    assert_ne!(index.token(1, Some([0; 16]), "b"), index.token(1, None, "b"));
}

#[test]
fn k7_a_coarse_token_is_a_prefix_so_that_values_coincide_on_purpose() {
    let index = BlindIndexKey::derive(&data_key(1), tenant(1));
    let names: Vec<String> = (0..2_000).map(|number| format!("name {number}")).collect();
    let coarse: HashSet<i64> = names.iter().map(|name| index.coarse_token(1, None, name, 8)).collect();
    assert!(coarse.iter().all(|token| (0..256).contains(token)));
    assert!(coarse.len() > 250, "{} of 256 used: not a hash", coarse.len());
    for name in &names {
        let whole = index.token(1, None, name);
        assert_eq!(index.coarse_token(1, None, name, 8), (whole.cast_unsigned() >> 56).cast_signed());
        assert_eq!(index.coarse_token(1, None, name, 64), whole);
    }
}

#[test]
fn pseudonyms_link_inside_a_tenant_and_not_across() {
    let pseudonym =
        |key, owner, id: u8| PseudonymKey::derive(&data_key(key), tenant(owner)).pseudonym(&[id; 16]);
    assert_eq!(pseudonym(1, 1, 1), pseudonym(1, 1, 1));
    let all: HashSet<[u8; 16]> =
        [pseudonym(1, 1, 1), pseudonym(1, 1, 2), pseudonym(1, 2, 1), pseudonym(2, 1, 1), [1; 16]].into();
    assert_eq!(all.len(), 5);
}

#[test]
fn a_checkpoint_signature_is_of_one_tenant() {
    let signer = |owner| SigningKey::derive(&data_key(1), tenant(owner)).unwrap();
    let signature = signer(1).sign(b"checkpoint");
    assert!(signer(1).verifying_key().verify(b"checkpoint", &signature));
    assert!(!signer(2).verifying_key().verify(b"checkpoint", &signature));
    for cut in [0, 63] {
        assert!(!signer(1).verifying_key().verify(b"checkpoint", &signature[..cut]));
    }
}
