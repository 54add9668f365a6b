//! Typed identifiers: a UUID version 7 (RFC 9562 section 5.7) per kind of thing.
//!
//! Two kinds of id cannot be mixed up, because they are different types; and an id says nothing about the thing but
//! roughly when it was made.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Clock, Random};

/// A text that is no id: not the canonical, lower-case, hyphenated form of a UUID (RFC 9562 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected a UUID such as 018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e")]
pub struct IdError;

fn parse_canonical(text: &str) -> Result<Uuid, IdError> {
    let uuid = Uuid::try_parse(text).map_err(|_| IdError)?;
    // `try_parse` also takes braces, URNs, upper case and no hyphens: one thing, many spellings. One is enough.
    let mut buffer = Uuid::encode_buffer();
    if uuid.hyphenated().encode_lower(&mut buffer) == text { Ok(uuid) } else { Err(IdError) }
}

fn version7(clock: &dyn Clock, random: &dyn Random) -> Uuid {
    let mut bytes = [0_u8; 10];
    random.fill(&mut bytes);
    let millis = u64::try_from(clock.now().as_micros() / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id: time-ordered, with 74 random bits.
            #[must_use]
            pub fn generate(clock: &dyn Clock, random: &dyn Random) -> Self {
                Self(version7(clock, random))
            }

            /// The id that a stored UUID stands for.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID to store.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }

            /// The sixteen bytes, for hashing and for associated data.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_canonical(text).map(Self)
            }
        }
    )+};
}

typed_id! {
    /// A white-label partner: owns brands and tenants, reads no PHI.
    PartnerId;
    /// A clinic group: the unit of isolation. Owns schemas, login roles and a KMS key.
    TenantId;
    /// A human or service account that belongs to exactly one tenant.
    PersonId;
    /// One signed-in session of a person.
    SessionId;
    /// A device that a person signed in from.
    DeviceId;
    /// An invitation to join a tenant.
    InviteId;
    /// A stored authentication credential: password, TOTP secret, passkey or recovery code.
    CredentialId;
    /// A FHIR resource. A patient is the resource of type `Patient`.
    ResourceId;
    /// One entry of the audit ledger.
    EntryId;
}

impl TenantId {
    /// The name of the tenant's schema in each of its databases: `t_` and 32 hexadecimal digits.
    ///
    /// Safe to put into SQL as an identifier: it has no character that needs quoting.
    #[must_use]
    pub fn schema(&self) -> String {
        format!("t_{}", self.0.simple())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManualClock, SeededRandom, Timestamp};

    #[test]
    fn an_id_is_version_7_and_ordered_by_time() {
        let clock = ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000));
        let random = SeededRandom::new(1);
        let first = TenantId::generate(&clock, &random);
        clock.advance(std::time::Duration::from_millis(1));
        let second = TenantId::generate(&clock, &random);
        assert_eq!(first.as_uuid().get_version_num(), 7);
        assert!(first < second);
    }

    #[test]
    fn only_the_canonical_spelling_is_an_id() {
        let text = "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e";
        assert_eq!(text.parse::<ResourceId>().map(|id| id.to_string()), Ok(text.to_owned()));
        for bad in [
            "",
            "x",
            "018F3C1E-7B1A-7CC0-9D3E-2F0A1B2C3D4E",
            "018f3c1e7b1a7cc09d3e2f0a1b2c3d4e",
            "{018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e}",
            "urn:uuid:018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e",
            "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e ",
        ] {
            assert_eq!(bad.parse::<ResourceId>(), Err(IdError), "{bad:?}");
        }
    }

    #[test]
    fn a_schema_name_needs_no_quoting() {
        let id: TenantId = "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e".parse().unwrap_or_else(|_| unreachable!());
        assert_eq!(id.schema(), "t_018f3c1e7b1a7cc09d3e2f0a1b2c3d4e");
    }
}
