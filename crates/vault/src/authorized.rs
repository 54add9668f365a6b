//! Evidence for actions that open and write no health data: Cedar allowed one, and the ledger durably says so.
//!
//! Invariant: as for [`Permit`](crate::Permit): private fields, no constructor outside this crate, no `Clone`, consumed
//! by use. It names the tenant, who acts, and on whom or on whose chart.

use std::marker::PhantomData;

use carekeep_kernel::{EntryId, PersonId, ResourceId, TenantId};
use carekeep_ledger::Outcome;
use carekeep_policy::{Projection, Relation, Resource, ResourceKind};

use crate::{
    AccessError, Caller, Vault,
    audit::{Grounds, reference},
    catalogue::{Act, Administers, ConcernsChart},
    cell::Cell,
    gate::Gate,
    sqlstate,
};

/// Leave to do `A` once.
#[must_use = "it is spent by use; an unused one was an audited action for nothing"]
pub struct Authorized<A: Act> {
    tenant: TenantId,
    by: PersonId,
    about: Option<PersonId>,
    patient: Option<ResourceId>,
    entry: EntryId,
    projection: Projection,
    action: PhantomData<fn() -> A>,
}

impl<A: Act> Authorized<A> {
    /// After the entry is durable.
    const fn new(
        by: &Caller,
        (about, patient): (Option<PersonId>, Option<ResourceId>),
        entry: EntryId,
        projection: Projection,
    ) -> Self {
        let (tenant, by) = (by.tenant(), by.person());
        Self { tenant, by, about, patient, entry, projection, action: PhantomData }
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Who acts.
    #[must_use]
    pub const fn by(&self) -> PersonId {
        self.by
    }

    /// On whose account; `None` when it is about no particular one.
    #[must_use]
    pub const fn about(&self) -> Option<PersonId> {
        self.about
    }

    /// On whose chart, for an action on one.
    #[must_use]
    pub const fn patient(&self) -> Option<ResourceId> {
        self.patient
    }

    /// The audit entry that records it.
    #[must_use]
    pub const fn entry(&self) -> EntryId {
        self.entry
    }

    /// Whether policy lets the actor see names; otherwise ids and times only.
    #[must_use]
    pub fn shows_names(&self) -> bool {
        self.projection >= Projection::Contact
    }
}

impl Vault {
    /// Decides on an administrative action, on the account of `about` or on none in particular. Recorded either way
    /// before this returns.
    ///
    /// # Errors
    /// [`AccessError::Forbidden`] when policy says no, [`AccessError::Invisible`] when the tenant has no such person,
    /// [`AccessError::Unavailable`] when the person cannot be looked up or the audit is away.
    pub async fn authorize<A: Administers>(
        &self,
        caller: &Caller,
        about: Option<PersonId>,
    ) -> Result<Authorized<A>, AccessError> {
        self.authorize_deed(caller, about, None).await
    }

    /// As [`Vault::authorize`], and the entry says what is to be done, for example which role is given; sealed, as a search's
    /// question is.
    ///
    /// # Errors
    /// As [`Vault::authorize`].
    pub async fn authorize_deed<A: Administers>(
        &self,
        caller: &Caller,
        about: Option<PersonId>,
        deed: Option<&str>,
    ) -> Result<Authorized<A>, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        let gate = self.gate(&cell, caller);
        gate.precheck::<A>(A::KIND).await?;
        if let Some(person) = about
            && !exists(&cell, person).await?
        {
            return Err(gate.absent::<A>(A::KIND).await?);
        }
        let resource = Resource {
            tenant: cell.tenant(),
            kind: A::KIND,
            id: about.map(|person| ResourceId::from_uuid(person.as_uuid())),
            patient: None,
            relation: Relation::default(),
        };
        match gate.ask::<A>(&resource) {
            Ok(granted) => {
                let entry =
                    record::<A>(&gate, &resource, (Outcome::Permitted, deed), granted.grounds).await?;
                Ok(Authorized::new(caller, (about, None), entry, granted.projection))
            }
            // Who may deal with accounts at all may know why this one is refused.
            Err((reason, grounds)) => {
                record::<A>(&gate, &resource, (Outcome::Denied, deed), grounds).await?;
                Err(AccessError::Forbidden(reason))
            }
        }
    }
}

impl Vault {
    /// Decides on an action on a patient's chart that opens nothing. Recorded either way before this returns, a yes under
    /// the patient's pseudonym.
    ///
    /// # Errors
    /// [`AccessError::Invisible`] when there is no such chart or policy says no, [`AccessError::Forbidden`] when no policy
    /// could ever allow it or it needs a fresh factor, [`AccessError::Gone`] for a deleted chart,
    /// [`AccessError::Unavailable`].
    pub async fn authorize_on_chart<A: ConcernsChart>(
        &self,
        caller: &Caller,
        patient: ResourceId,
    ) -> Result<Authorized<A>, AccessError> {
        let sealed = self.fetch::<A>(caller, ResourceKind::Patient, patient).await?;
        let cell = self.cell(caller.tenant()).await?;
        let gate = self.gate(&cell, caller);
        let granted = gate.granted::<A>(&sealed).await?;
        let outcome = if sealed.is_deleted() { Outcome::NotFound } else { Outcome::Permitted };
        let entry = gate.record_row::<A>(&sealed, outcome, granted.grounds).await?;
        if sealed.is_deleted() {
            return Err(AccessError::Gone);
        }
        Ok(Authorized::new(caller, (None, Some(patient)), entry, granted.projection))
    }
}

/// Attributes are loaded, never asserted: the person must be one of this tenant's.
async fn exists(cell: &Cell, person: PersonId) -> Result<bool, AccessError> {
    cell.operations()
        .first_row(sqlx::query("SELECT 1 FROM person WHERE id = $1").bind(person.as_uuid()))
        .await
        .map(|row| row.is_some())
        .map_err(|error| AccessError::unavailable("people", sqlstate(&error)))
}

async fn record<A: Administers>(
    gate: &Gate<'_>,
    resource: &Resource,
    (outcome, deed): (Outcome, Option<&str>),
    grounds: Grounds,
) -> Result<EntryId, AccessError> {
    let about = resource.id.map(|id| reference(id, 0)).into_iter().collect();
    let what = (A::ACTION.as_str(), A::KIND.as_str());
    gate.enter(what, (about, Vec::new()), (outcome, grounds), deed).await
}
