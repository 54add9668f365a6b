//! The promises of the envelope (BARS K1, K4).
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod support;

use std::collections::HashSet;

use carekeep_kernel::{OsRandom, SeededRandom};
use carekeep_keys::{Aad, DataKey, EnvelopeError, OVERHEAD, SALT_LEN, generation, open, open_in_place, seal};
use proptest::prelude::*;
use support::{data_key, tenant};

fn place<'a>() -> Aad<'a> {
    Aad {
        tenant: tenant(1),
        table: "resources",
        column: "body",
        row: [7; 16],
        row_version: 3,
        kind: "Observation",
        patient: Some([9; 16]),
    }
}

fn sealed(key: &DataKey, plaintext: &[u8]) -> Vec<u8> {
    seal(key, 5, &place(), plaintext, &SeededRandom::new(42)).unwrap()
}

/// Both ways of opening must agree; gives their common answer.
fn opened(key: &DataKey, aad: &Aad<'_>, envelope: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let out_of_place = open(key, aad, envelope).map(|plaintext| plaintext.to_vec());
    let mut buffer = envelope.to_vec();
    let in_place = open_in_place(key, aad, &mut buffer).map(|plaintext| plaintext.to_vec());
    assert_eq!(out_of_place, in_place);
    assert!(in_place.is_ok() || buffer.iter().all(|byte| *byte == 0), "wiped after a refusal");
    out_of_place
}

#[test]
fn what_was_sealed_comes_back() {
    for length in [0, 1, 15, 16, 17, 1_024, 100_000] {
        let plaintext: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let envelope = sealed(&data_key(1), &plaintext);
        assert_eq!(envelope.len(), length + OVERHEAD);
        assert_eq!(generation(&envelope), Ok(5));
        assert_eq!(opened(&data_key(1), &place(), &envelope), Ok(plaintext));
    }
}

#[test]
fn k4_a_flipped_bit_at_every_byte_is_refused() {
    let envelope = sealed(&data_key(1), b"a short clinical note");
    assert!(opened(&data_key(1), &place(), &envelope).is_ok());
    for at in 0..envelope.len() {
        for bit in 0..8 {
            let mut changed = envelope.clone();
            changed[at] ^= 1 << bit;
            assert!(opened(&data_key(1), &place(), &changed).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn k4_a_truncated_envelope_is_refused_at_every_length() {
    let envelope = sealed(&data_key(1), b"a short clinical note");
    for length in 0..envelope.len() {
        let refused = opened(&data_key(1), &place(), &envelope[..length]);
        assert!(refused.is_err(), "{length} bytes");
        if length < OVERHEAD {
            assert_eq!(refused, Err(EnvelopeError::Truncated(length)));
        }
    }
    let longer = [&envelope[..], b"\0"].concat();
    assert_eq!(opened(&data_key(1), &place(), &longer), Err(EnvelopeError::Tampered));
}

#[test]
fn k1_every_swap_of_a_place_is_refused() {
    let right = place();
    let places = [
        Aad { tenant: tenant(2), ..right },
        Aad { table: "versions", ..right },
        Aad { column: "index", ..right },
        Aad { row: [8; 16], ..right },
        Aad { row_version: 4, ..right },
        Aad { row_version: 2, ..right },
        Aad { kind: "Condition", ..right },
        Aad { kind: "", ..right },
        Aad { patient: Some([8; 16]), ..right },
        Aad { patient: None, ..right },
        Aad { table: "resourcesb", column: "ody", ..right },
        right,
    ];
    let envelopes: Vec<Vec<u8>> =
        places.iter().map(|aad| seal(&data_key(1), 5, aad, b"note", &OsRandom).unwrap()).collect();
    for (from, envelope) in envelopes.iter().enumerate() {
        for (to, aad) in places.iter().enumerate() {
            let expected = if from == to { Ok(b"note".to_vec()) } else { Err(EnvelopeError::Tampered) };
            assert_eq!(opened(&data_key(1), aad, envelope), expected, "{from} opened as {to}");
        }
    }
}

#[test]
fn k1_another_generation_is_refused_under_its_own_key_and_under_the_same() {
    let envelope = sealed(&data_key(1), b"note");
    assert_eq!(opened(&data_key(2), &place(), &envelope), Err(EnvelopeError::WrongKey));
    let mut renamed = envelope;
    renamed[1..5].copy_from_slice(&6_u32.to_be_bytes());
    assert_eq!(generation(&renamed), Ok(6));
    assert_eq!(opened(&data_key(1), &place(), &renamed), Err(EnvelopeError::Tampered));
}

#[test]
fn k4_parts_of_two_envelopes_do_not_make_a_third() {
    let aad = place();
    let one = seal(&data_key(1), 5, &aad, b"first note", &SeededRandom::new(1)).unwrap();
    let two = seal(&data_key(1), 5, &aad, b"other note", &SeededRandom::new(2)).unwrap();
    // Cut at the end of the salt, at the end of the commitment and before the tag.
    for cut in [5 + SALT_LEN, 5 + SALT_LEN + 32, one.len() - 16] {
        let spliced = [&one[..cut], &two[cut..]].concat();
        assert!(opened(&data_key(1), &aad, &spliced).is_err(), "cut at {cut}");
    }
}

#[test]
fn k4_a_hundred_thousand_salts_do_not_repeat() {
    let key = data_key(1);
    let salts: HashSet<Vec<u8>> = (0..100_000)
        .map(|_| seal(&key, 1, &place(), b"", &OsRandom).unwrap()[5..5 + SALT_LEN].to_vec())
        .collect();
    assert_eq!(salts.len(), 100_000);
}

#[test]
fn an_unknown_format_names_itself() {
    let mut envelope = sealed(&data_key(1), b"note");
    for format in (0..=255).filter(|format| *format != carekeep_keys::FORMAT_V1) {
        envelope[0] = format;
        assert_eq!(opened(&data_key(1), &place(), &envelope), Err(EnvelopeError::UnknownFormat(format)));
        assert_eq!(generation(&envelope), Err(EnvelopeError::UnknownFormat(format)));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = bytes;
        prop_assert!(opened(&data_key(1), &place(), &bytes).is_err());
        if let Some(first) = bytes.first_mut() {
            *first = carekeep_keys::FORMAT_V1;
        }
        prop_assert!(opened(&data_key(1), &place(), &bytes).is_err());
    }

    #[test]
    fn k1_places_with_equal_encodings_are_equal(
        (table, column, kind) in ("[ab]{0,3}", "[ab]{0,3}", "[ab]{0,3}"),
        (table2, column2, kind2) in ("[ab]{0,3}", "[ab]{0,3}", "[ab]{0,3}"),
        (patient, patient2) in (any::<bool>(), any::<bool>()),
    ) {
        let one = Aad { table: &table, column: &column, kind: &kind, patient: patient.then_some([0; 16]), ..place() };
        let two =
            Aad { table: &table2, column: &column2, kind: &kind2, patient: patient2.then_some([0; 16]), ..place() };
        let envelope = seal(&data_key(1), 1, &one, b"x", &SeededRandom::new(3)).unwrap();
        prop_assert_eq!(opened(&data_key(1), &two, &envelope).is_ok(), one == two);
    }
}
