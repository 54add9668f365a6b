//! The canonical encoding of an entry, version 1.
//!
//! Fixed fields in fixed places (integers big endian), then optional ones in the order of their flag bits, then lists and
//! texts with their length in front. Lengths are LEB128 in the fewest bytes, so there is one encoding and no other.
//!
//! ```text
//! 0 version u8 | 1 flags u8 | 2 outcome u8 | 3 aal u8 | 4 tenant [16] | 20 index u64 | 28 id [16] | 44 at i64
//! 52 policy digest [32] | 84 optional: request [16] person [16] session [16] device [16] consent [16]
//! action text | kind text | purpose text | roles | policies | resources (id [16], 0 or version + 1) | patients [16]
//! optional: sealed detail bytes
//! ```
//!
//! Invariant: `parse(b)` succeeds only when `encode(parse(b)) == b`.

use carekeep_kernel::{DeviceId, EntryId, PersonId, ResourceId, SessionId, TenantId, Timestamp};
use uuid::Uuid;

use super::{Actor, Entry, Outcome, ResourceRef, SealedDetail};

const REQUEST: u8 = 1;
const PERSON: u8 = 1 << 1;
const SESSION: u8 = 1 << 2;
const DEVICE: u8 = 1 << 3;
const CONSENT: u8 = 1 << 4;
const DETAIL: u8 = 1 << 5;
const BREAK_GLASS: u8 = 1 << 6;
const KNOWN_FLAGS: u8 = (1 << 7) - 1;

/// Bytes that are no canonical entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A version that this build does not know: newer, or a forged downgrade.
    #[error("audit entry of unknown version {0}: verify with the build that wrote it, or treat it as forged")]
    Version(u8),
    /// The bytes end too early.
    #[error("audit entry is cut off at byte {0}: take the stored bytes whole")]
    Truncated(usize),
    /// Bytes follow the end of the entry.
    #[error("audit entry goes on after its end at byte {0}: take exactly the stored bytes")]
    Trailing(usize),
    /// The same meaning has a shorter or another encoding.
    #[error("audit entry is not canonical at byte {0}: encode it with Entry::encode")]
    NotCanonical(usize),
    /// A text is not UTF-8.
    #[error("audit entry has a text that is not UTF-8 before byte {0}: treat it as damaged")]
    Text(usize),
    /// An unknown outcome.
    #[error("audit entry has the unknown outcome {0}: verify with the build that wrote it")]
    Outcome(u8),
}

fn flags_of(entry: &Entry) -> u8 {
    let bit = |present: bool, flag: u8| if present { flag } else { 0 };
    bit(entry.request.is_some(), REQUEST)
        | bit(entry.actor.person.is_some(), PERSON)
        | bit(entry.actor.session.is_some(), SESSION)
        | bit(entry.actor.device.is_some(), DEVICE)
        | bit(entry.consent.is_some(), CONSENT)
        | bit(entry.detail.is_some(), DETAIL)
        | bit(entry.break_glass, BREAK_GLASS)
}

fn put_number(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u128);
    out.extend_from_slice(bytes);
}

fn put_texts(out: &mut Vec<u8>, texts: &[String]) {
    put_number(out, texts.len() as u128);
    texts.iter().for_each(|text| put_bytes(out, text.as_bytes()));
}

pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    let detail = entry.detail.as_ref().map_or(0, |detail| detail.0.len() + 3);
    let lists = 18 * entry.resources.len() + 16 * entry.patients.len();
    let mut out = Vec::with_capacity(320 + lists + detail);
    out.extend_from_slice(&[entry.version, flags_of(entry), entry.outcome.code(), entry.actor.aal]);
    out.extend_from_slice(entry.tenant.as_bytes());
    out.extend_from_slice(&entry.index.to_be_bytes());
    out.extend_from_slice(entry.id.as_bytes());
    out.extend_from_slice(&entry.at.as_micros().to_be_bytes());
    out.extend_from_slice(&entry.policy_digest);
    let actor = &entry.actor;
    let optional = [
        entry.request.as_ref(),
        actor.person.as_ref().map(PersonId::as_bytes),
        actor.session.as_ref().map(SessionId::as_bytes),
        actor.device.as_ref().map(DeviceId::as_bytes),
        entry.consent.as_ref().map(ResourceId::as_bytes),
    ];
    optional.into_iter().flatten().for_each(|bytes| out.extend_from_slice(bytes));
    for text in [&entry.action, &entry.kind, &entry.purpose] {
        put_bytes(&mut out, text.as_bytes());
    }
    put_texts(&mut out, &actor.roles);
    put_texts(&mut out, &entry.policies);
    put_number(&mut out, entry.resources.len() as u128);
    for resource in &entry.resources {
        out.extend_from_slice(resource.id.as_bytes());
        put_number(&mut out, resource.version.map_or(0, |version| u128::from(version) + 1));
    }
    put_number(&mut out, entry.patients.len() as u128);
    entry.patients.iter().for_each(|patient| out.extend_from_slice(patient));
    if let Some(SealedDetail(bytes)) = &entry.detail {
        put_bytes(&mut out, bytes);
    }
    out
}

/// Reads from the front of the bytes and knows where it is.
#[derive(Clone)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], EntryError> {
        let end = self.at.checked_add(count).ok_or(EntryError::Truncated(self.at))?;
        let taken = self.bytes.get(self.at..end).ok_or(EntryError::Truncated(self.at))?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EntryError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn byte(&mut self) -> Result<u8, EntryError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// LEB128 of at most 65 bits (a version plus one) in the fewest bytes.
    fn number(&mut self) -> Result<u128, EntryError> {
        let start = self.at;
        let mut value = 0_u128;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let minimal = byte != 0 || shift == 0;
                return if minimal { Ok(value) } else { Err(EntryError::NotCanonical(start)) };
            }
        }
        Err(EntryError::NotCanonical(start))
    }

    fn length(&mut self) -> Result<usize, EntryError> {
        let at = self.at;
        usize::try_from(self.number()?).map_err(|_| EntryError::Truncated(at))
    }

    fn prefixed(&mut self) -> Result<&'a [u8], EntryError> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, EntryError> {
        let bytes = self.prefixed()?;
        std::str::from_utf8(bytes).map_err(|_| EntryError::Text(self.at))
    }

    /// Walks over `count` things and gives the bytes they took; nothing is allocated, so a forged count costs nothing.
    fn list(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<(), EntryError>,
    ) -> Result<List<'a>, EntryError> {
        let count = self.length()?;
        let start = self.at;
        for _ in 0..count {
            one(self)?;
        }
        Ok(List { count, items: self.bytes.get(start..self.at).unwrap_or_default() })
    }

    fn optional(&mut self, flags: u8, flag: u8) -> Result<Option<[u8; 16]>, EntryError> {
        if flags & flag == 0 { Ok(None) } else { self.array().map(Some) }
    }

    fn resource(&mut self) -> Result<ResourceRef, EntryError> {
        let id = ResourceId::from_uuid(Uuid::from_bytes(self.array()?));
        let at = self.at;
        let version = match self.number()? {
            0 => None,
            number => Some(u64::try_from(number - 1).map_err(|_| EntryError::NotCanonical(at))?),
        };
        Ok(ResourceRef { id, version })
    }
}

/// A list whose items were checked, still encoded.
#[derive(Clone, Copy)]
struct List<'a> {
    count: usize,
    items: &'a [u8],
}

impl<'a> List<'a> {
    /// The items; `read` has succeeded on each of them before.
    fn collect<T>(self, read: impl Fn(&mut Cursor<'a>) -> Result<T, EntryError>) -> Vec<T> {
        let mut cursor = Cursor { bytes: self.items, at: 0 };
        (0..self.count).map_while(|_| read(&mut cursor).ok()).collect()
    }
}

/// A checked entry that still lies in its bytes: what a verifier reads without allocating.
#[derive(Clone)]
pub struct EntryRef<'a> {
    /// Version of the encoding.
    pub version: u8,
    /// The tenant whose log this is.
    pub tenant: TenantId,
    /// Position in the log from 0.
    pub index: u64,
    /// Id of the entry.
    pub id: EntryId,
    /// When the decision was made.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
    flags: u8,
    aal: u8,
    policy_digest: [u8; 32],
    optional: [Option<[u8; 16]>; 5],
    texts: [&'a str; 3],
    roles: List<'a>,
    policies: List<'a>,
    resources: List<'a>,
    patients: List<'a>,
    detail: Option<&'a [u8]>,
}

impl<'a> EntryRef<'a> {
    /// Checks that `bytes` are one canonical entry and nothing else.
    ///
    /// # Errors
    /// When the version is unknown or the bytes are not exactly what [`Entry::encode`] writes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EntryError> {
        let mut from = Cursor { bytes, at: 0 };
        let [version, flags, outcome, aal] = from.array()?;
        if version != Entry::VERSION {
            return Err(EntryError::Version(version));
        }
        if flags & !KNOWN_FLAGS != 0 {
            return Err(EntryError::NotCanonical(1));
        }
        let view = Self {
            version,
            tenant: TenantId::from_uuid(Uuid::from_bytes(from.array()?)),
            index: u64::from_be_bytes(from.array()?),
            id: EntryId::from_uuid(Uuid::from_bytes(from.array()?)),
            at: Timestamp::from_micros(i64::from_be_bytes(from.array()?)),
            outcome: Outcome::from_code(outcome).ok_or(EntryError::Outcome(outcome))?,
            flags,
            aal,
            policy_digest: from.array()?,
            optional: [
                from.optional(flags, REQUEST)?,
                from.optional(flags, PERSON)?,
                from.optional(flags, SESSION)?,
                from.optional(flags, DEVICE)?,
                from.optional(flags, CONSENT)?,
            ],
            texts: [from.text()?, from.text()?, from.text()?],
            roles: from.list(|cursor| cursor.text().map(drop))?,
            policies: from.list(|cursor| cursor.text().map(drop))?,
            resources: from.list(|cursor| cursor.resource().map(drop))?,
            patients: from.list(|cursor| cursor.take(16).map(drop))?,
            detail: if flags & DETAIL == 0 { None } else { Some(from.prefixed()?) },
        };
        if from.at == bytes.len() { Ok(view) } else { Err(EntryError::Trailing(from.at)) }
    }

    /// The entry, on its own.
    #[must_use]
    pub fn to_entry(&self) -> Entry {
        let [request, person, session, device, consent] = self.optional;
        let [action, kind, purpose] = self.texts.map(str::to_owned);
        Entry {
            version: self.version,
            tenant: self.tenant,
            index: self.index,
            id: self.id,
            at: self.at,
            request,
            actor: Actor {
                person: person.map(|bytes| PersonId::from_uuid(Uuid::from_bytes(bytes))),
                session: session.map(|bytes| SessionId::from_uuid(Uuid::from_bytes(bytes))),
                roles: self.roles.collect(|cursor| cursor.text().map(str::to_owned)),
                aal: self.aal,
                device: device.map(|bytes| DeviceId::from_uuid(Uuid::from_bytes(bytes))),
            },
            action,
            kind,
            resources: self.resources.collect(Cursor::resource),
            patients: self.patients.collect(Cursor::array),
            purpose,
            consent: consent.map(|bytes| ResourceId::from_uuid(Uuid::from_bytes(bytes))),
            break_glass: self.flags & BREAK_GLASS != 0,
            outcome: self.outcome,
            policies: self.policies.collect(|cursor| cursor.text().map(str::to_owned)),
            policy_digest: self.policy_digest,
            detail: self.detail.map(|bytes| SealedDetail(bytes.to_vec())),
        }
    }
}
