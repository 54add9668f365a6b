//! Recovery codes: ten look-up secrets for the day the second factor is gone (NIST SP 800-63B-4 section 3.1.2).
//!
//! Invariant: a code works once, and only the newest set works. Each has 120 random bits, more than the 112 from which
//! on the standard asks for no slow hash; so SHA-256 over person and code suffices, and there is nothing to guess offline.

use aws_lc_rs::digest::{Context, SHA256};
use carekeep_kernel::{Clock, CredentialId, PersonId, Random, Timestamp, random};
use data_encoding::{BitOrder, Encoding, Specification};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Codes in a set.
pub const CODES: usize = 10;
/// One code that is in no set: half of what an account's recovery by administrators takes.
#[must_use]
pub fn single(person: PersonId, random: &dyn Random) -> (PlainCode, [u8; 32]) {
    let mut raw = carekeep_kernel::random::bytes::<CODE_BYTES>(random);
    let made = (PlainCode(encode(&raw)), hash(person, &raw));
    raw.zeroize();
    made
}

/// Whether a typed code is the one of this hash.
#[must_use]
pub fn is_single(stored: &[u8; 32], person: PersonId, typed: &str) -> bool {
    decode(typed).is_some_and(|raw| hash(person, &raw).ct_eq(stored).into())
}

/// Random bytes in a code: 120 bits are exactly 24 characters.
const CODE_BYTES: usize = 15;
const CODE_CHARS: usize = 24;
/// Crockford's alphabet: no I, L, O, U.
const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A code as its owner has it: six groups of four characters. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PlainCode(String);

impl PlainCode {
    /// The text to show once, to the owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// A code as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryRecord {
    /// Its id.
    pub id: CredentialId,
    /// Whose it is.
    pub person: PersonId,
    /// SHA-256 over the person's id and the code.
    pub hash: [u8; 32],
    /// When the set was made.
    pub created: Timestamp,
    /// When it was used. The store sets it with a compare-and-set on "not used yet".
    pub used: Option<Timestamp>,
}

/// A code that does not work. One text for all causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this recovery code is not valid: check it, or use another one")]
pub struct RecoveryError;

/// A new set. Storing it deletes all earlier codes of the person in the same transaction.
#[must_use]
pub fn generate(
    person: PersonId,
    clock: &dyn Clock,
    source: &dyn Random,
) -> (Vec<PlainCode>, Vec<RecoveryRecord>) {
    (0..CODES)
        .map(|_| {
            let mut raw = random::bytes::<CODE_BYTES>(source);
            let text = encode(&raw);
            let record = RecoveryRecord {
                id: CredentialId::generate(clock, source),
                person,
                hash: hash(person, &raw),
                created: clock.now(),
                used: None,
            };
            raw.zeroize();
            (PlainCode(text), record)
        })
        .unzip()
}

/// The unused code among `records` that `typed` is. The caller then marks it as used with a compare-and-set and
/// refuses the sign-in when another attempt was faster.
///
/// # Errors
/// When it is none of them. Takes the same path whichever of them it is or is not.
pub fn find<'a>(
    records: &'a [RecoveryRecord],
    person: PersonId,
    typed: &str,
) -> Result<&'a RecoveryRecord, RecoveryError> {
    let mut raw = decode(typed).ok_or(RecoveryError)?;
    let wanted = hash(person, &raw);
    raw.zeroize();
    let mut found = u32::MAX;
    for (index, record) in (0_u32..).zip(records) {
        let usable = Choice::from(u8::from(record.used.is_none() && record.person == person));
        found.conditional_assign(&index, record.hash.ct_eq(&wanted) & usable);
    }
    usize::try_from(found).ok().and_then(|index| records.get(index)).ok_or(RecoveryError)
}

fn hash(person: PersonId, raw: &[u8; CODE_BYTES]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(b"carekeep recovery code v1");
    context.update(person.as_bytes());
    context.update(raw);
    let mut hash = [0_u8; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn crockford() -> Option<Encoding> {
    let mut spec = Specification::new();
    spec.symbols.push_str(ALPHABET);
    spec.bit_order = BitOrder::MostSignificantFirst;
    // People read O as 0, and I and L as 1, and type lower case and separators.
    spec.translate.from.push_str("abcdefghjkmnpqrstvwxyzOoIiLl");
    spec.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    spec.ignore.push_str("- ");
    spec.encoding().ok()
}

fn encode(raw: &[u8; CODE_BYTES]) -> String {
    let mut flat = crockford().map(|encoding| encoding.encode(raw)).unwrap_or_default();
    let mut text = String::with_capacity(CODE_CHARS + 5);
    for (index, character) in flat.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            text.push('-');
        }
        text.push(character);
    }
    flat.zeroize();
    text
}

fn decode(typed: &str) -> Option<[u8; CODE_BYTES]> {
    // Long input is refused before it costs anything.
    if typed.len() > 64 {
        return None;
    }
    let mut bytes = crockford()?.decode(typed.trim().as_bytes()).ok()?;
    let raw = <[u8; CODE_BYTES]>::try_from(bytes.as_slice()).ok();
    bytes.zeroize();
    raw
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use carekeep_kernel::{ManualClock, SeededRandom};

    use super::*;

    fn set(seed: u64) -> (PersonId, Vec<PlainCode>, Vec<RecoveryRecord>) {
        let clock = ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000));
        let random = SeededRandom::new(seed);
        let person = PersonId::generate(&clock, &random);
        let (codes, records) = generate(person, &clock, &random);
        (person, codes, records)
    }

    #[test]
    fn bar_i6_there_are_ten_different_codes_of_120_bits() {
        let (_, codes, records) = set(1);
        assert_eq!((codes.len(), records.len()), (CODES, CODES));
        let distinct: HashSet<&str> = codes.iter().map(PlainCode::reveal).collect();
        assert_eq!(distinct.len(), CODES);
        for code in &codes {
            assert_eq!(code.reveal().len(), 29, "{}", code.reveal());
            assert!(code.reveal().split('-').all(|group| group.len() == 4));
            assert_eq!(5 * code.reveal().chars().filter(|c| *c != '-').count(), 120);
        }
    }

    #[test]
    fn every_code_finds_its_own_record_however_it_is_typed() {
        let (person, codes, records) = set(2);
        for (code, record) in codes.iter().zip(&records) {
            let text = code.reveal();
            let sloppy = text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
            for typed in [text.to_owned(), text.replace('-', ""), sloppy, format!("  {text}\n")] {
                assert!(find(&records, person, &typed).is_ok_and(|found| found.id == record.id), "{typed}");
            }
        }
    }

    #[test]
    fn bar_i6_a_used_a_foreign_and_a_replaced_code_are_refused() {
        let (person, codes, mut records) = set(3);
        let code = codes[4].reveal();
        assert!(find(&records, person, code).is_ok());
        records[4].used = Some(Timestamp::from_micros(1));
        assert!(find(&records, person, code).is_err(), "used");
        assert!(find(&records, person, codes[5].reveal()).is_ok(), "another one of the set still works");

        let (stranger, _, theirs) = set(4);
        assert!(find(&theirs, stranger, codes[5].reveal()).is_err(), "foreign");
        assert!(find(&records, stranger, codes[5].reveal()).is_err(), "somebody else's records");

        let clock = ManualClock::at(Timestamp::from_micros(2));
        let (_, renewed) = generate(person, &clock, &SeededRandom::new(5));
        assert!(find(&renewed, person, codes[5].reveal()).is_err(), "replaced");
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let (person, codes, records) = set(6);
        let good = codes[0].reveal();
        assert!(find(&records, person, good).is_ok());
        for bad in
            ["", "-", &good[..28], &format!("{good}0"), &good.replace('-', "_"), &"0".repeat(10_000), "ÄÖÜ"]
        {
            assert!(find(&records, person, bad).is_err(), "{bad:.40}");
        }
    }

    #[test]
    fn the_same_code_is_stored_differently_for_two_people() {
        let (one, ..) = set(7);
        let (two, ..) = set(8);
        assert_ne!(hash(one, &[7; CODE_BYTES]), hash(two, &[7; CODE_BYTES]));
    }
}
