//! A row as it lies in the database: attributes to decide on, and a body that nobody can read without a permit.
//!
//! The attributes that a decision rests on (tenant, kind, id, version, patient) are also the associated data of the
//! envelope: whoever moves a body to another patient's row, or edits the patient column, makes it unopenable.

use carekeep_kernel::{PersonId, ResourceId, TenantId, Timestamp};
use carekeep_keys::Aad;
use carekeep_policy::{AccountFacts, Relation, Resource, ResourceKind};
use zeroize::Zeroizing;

use crate::{AccessError, Permit, Phi, catalogue::Opens, header};

/// One sealed version of one resource.
pub struct Sealed {
    pub(crate) tenant: TenantId,
    pub(crate) kind: ResourceKind,
    pub(crate) id: ResourceId,
    pub(crate) version: u32,
    pub(crate) patient: Option<ResourceId>,
    /// On whose behalf the row was fetched.
    pub(crate) viewer: PersonId,
    /// What the viewer is to the patient, as the database says.
    pub(crate) relation: Relation,
    pub(crate) last_updated: Timestamp,
    pub(crate) event_start: Option<Timestamp>,
    /// `None` when this version is a deletion.
    pub(crate) envelope: Option<Vec<u8>>,
}

impl Sealed {
    /// The resource's id.
    #[must_use]
    pub const fn id(&self) -> ResourceId {
        self.id
    }

    /// The resource's type.
    #[must_use]
    pub const fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// The version, counted from 1.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Whether this version is a deletion.
    #[must_use]
    pub const fn is_deleted(&self) -> bool {
        self.envelope.is_none()
    }

    /// Whether it is about this patient.
    #[must_use]
    pub fn is_about(&self, patient: ResourceId) -> bool {
        self.patient == Some(patient)
    }

    /// When this version was written.
    #[must_use]
    pub const fn last_updated(&self) -> Timestamp {
        self.last_updated
    }

    /// What a decision about `person` rests on. The relation counts for whom it was loaded and for nobody else.
    pub(crate) fn attributes(&self, person: PersonId) -> Resource {
        let relation = if person == self.viewer { self.relation } else { Relation::default() };
        let (id, account) = (Some(self.id), AccountFacts::default());
        Resource { tenant: self.tenant, kind: self.kind, id, patient: self.patient, relation, account }
    }

    /// Spends the permit and gives the body. The only way to plaintext.
    ///
    /// # Errors
    /// [`AccessError::Invisible`] if the permit is for something else, [`AccessError::Gone`] for a deletion, and
    /// [`AccessError::Unavailable`] when the envelope does not open: wrong key, or a row that was tampered with.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is spent by use")]
    pub fn open<A: Opens>(self, permit: Permit<A>) -> Result<Phi, AccessError> {
        let granted = permit.tenant == self.tenant
            && permit.kind == self.kind
            && permit.id == self.id
            && permit.version == self.version;
        if !granted {
            return Err(AccessError::Invisible);
        }
        let envelope = self.envelope.as_deref().ok_or(AccessError::Gone)?;
        let key =
            permit.key.as_deref().ok_or_else(|| AccessError::unavailable("keys", "permit without key"))?;
        let aad = row_aad(self.tenant, self.kind, self.id, self.version, self.patient);
        let plain = carekeep_keys::open(key, &aad.borrow(), envelope)
            .map_err(|error| AccessError::unavailable("records", error.to_string()))?;
        let body_at = header::body_offset(&plain)
            .ok_or_else(|| AccessError::unavailable("records", "a sealed row has no header"))?;
        Ok(Phi {
            plain,
            body_at,
            kind: self.kind,
            id: self.id,
            version: self.version,
            last_updated: self.last_updated,
            projection: permit.projection,
        })
    }
}

/// The owned parts of a row's associated data.
pub(crate) struct RowAad {
    tenant: TenantId,
    kind: &'static str,
    row: [u8; 16],
    version: u64,
    patient: Option<[u8; 16]>,
}

impl RowAad {
    pub(crate) fn borrow(&self) -> Aad<'_> {
        Aad {
            tenant: self.tenant,
            table: "resource",
            column: "sealed",
            row: self.row,
            row_version: self.version,
            kind: self.kind,
            patient: self.patient,
        }
    }
}

pub(crate) fn row_aad(
    tenant: TenantId,
    kind: ResourceKind,
    id: ResourceId,
    version: u32,
    patient: Option<ResourceId>,
) -> RowAad {
    RowAad {
        tenant,
        kind: kind.as_str(),
        row: *id.as_bytes(),
        version: u64::from(version),
        patient: patient.map(|patient| *patient.as_bytes()),
    }
}

/// Plaintext on its way into an envelope; wiped when dropped.
pub type Plain = Zeroizing<Vec<u8>>;
