//! The place a sealed value belongs to: what the ciphertext is bound to besides its key.

use carekeep_kernel::TenantId;
use smallvec::SmallVec;

use crate::EnvelopeError;

/// The associated data of one sealed value. The envelope adds its format version and the key generation.
///
/// Swap any of these between two rows and neither opens (BARS K1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aad<'a> {
    /// Whose value.
    pub tenant: TenantId,
    /// The table it is stored in.
    pub table: &'a str,
    /// The column it is stored in.
    pub column: &'a str,
    /// The id of the row.
    pub row: [u8; 16],
    /// The version of the row; an older value put back does not open.
    pub row_version: u64,
    /// The type of resource, for example `Observation`; empty where there is none.
    pub kind: &'a str,
    /// The patient it is about, if it is about one.
    pub patient: Option<[u8; 16]>,
}

/// Usual associated data fits without an allocation.
pub(crate) type AadBytes = SmallVec<[u8; 256]>;

impl Aad<'_> {
    /// The bytes `version|tenant|generation|table|column|row|row version|kind|patient`, injective: names carry their
    /// length, everything else has a fixed one, and a missing patient differs from a patient of zeros.
    pub(crate) fn encode(&self, version: u8, generation: u32) -> Result<AadBytes, EnvelopeError> {
        let mut out = AadBytes::new();
        out.push(version);
        out.extend_from_slice(self.tenant.as_bytes());
        out.extend_from_slice(&generation.to_be_bytes());
        push_name(&mut out, self.table)?;
        push_name(&mut out, self.column)?;
        out.extend_from_slice(&self.row);
        out.extend_from_slice(&self.row_version.to_be_bytes());
        push_name(&mut out, self.kind)?;
        out.push(u8::from(self.patient.is_some()));
        if let Some(patient) = &self.patient {
            out.extend_from_slice(patient);
        }
        Ok(out)
    }
}

fn push_name(out: &mut AadBytes, name: &str) -> Result<(), EnvelopeError> {
    let length = u16::try_from(name.len()).map_err(|_| EnvelopeError::NameTooLong(name.len()))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(name.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use carekeep_kernel::{ManualClock, SeededRandom, Timestamp};

    fn tenant() -> TenantId {
        TenantId::generate(&ManualClock::at(Timestamp::from_micros(0)), &SeededRandom::new(1))
    }

    #[test]
    fn moving_a_letter_between_neighbouring_names_changes_the_encoding() {
        let aad = |table, column, kind| {
            let aad =
                Aad { tenant: tenant(), table, column, row: [0; 16], row_version: 0, kind, patient: None };
            aad.encode(1, 1).unwrap()
        };
        assert_eq!(aad("ab", "c", ""), aad("ab", "c", ""));
        assert_ne!(aad("ab", "c", ""), aad("a", "bc", ""));
        assert_ne!(aad("a", "b", "c"), aad("a", "b", ""));
    }

    #[test]
    fn a_name_too_long_to_be_counted_is_refused() {
        let name = "x".repeat(65_536);
        let aad = |table| Aad {
            tenant: tenant(),
            table,
            column: "c",
            row: [0; 16],
            row_version: 0,
            kind: "",
            patient: None,
        };
        assert_eq!(aad(&name).encode(1, 1), Err(EnvelopeError::NameTooLong(65_536)));
        assert!(aad(&name[1..]).encode(1, 1).is_ok());
    }
}
