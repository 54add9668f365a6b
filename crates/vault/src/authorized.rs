//! Evidence for actions that open and write no health data: Cedar allowed one, and the ledger durably says so.
//!
//! Invariant: as for [`Permit`](crate::Permit): private fields, no constructor outside this crate, no `Clone`, consumed
//! by use. It names the tenant, who acts, and on whom or on whose chart.

use std::marker::PhantomData;

use carekeep_kernel::{EntryId, PersonId, ResourceId, TenantId};
use carekeep_ledger::Outcome;
use carekeep_policy::{AccountFacts, Projection, Relation, Resource, ResourceKind, Role};
use sqlx::Row;

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
    role: Option<Role>,
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
        Self { tenant, by, about, patient, role: None, entry, projection, action: PhantomData }
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Spends it, in this crate: gives the tenant that it was for.
    pub(crate) fn spend(self) -> TenantId {
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

    /// The role that policy was asked about; `None` when it was asked about none.
    #[must_use]
    pub const fn role(&self) -> Option<Role> {
        self.role
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
        self.decide_on(caller, about, None, deed).await
    }

    /// As [`Vault::authorize_deed`], about a role of somebody: policy is asked about the role.
    ///
    /// # Errors
    /// As [`Vault::authorize`].
    pub async fn authorize_role<A: Administers>(
        &self,
        caller: &Caller,
        about: PersonId,
        role: Role,
        deed: &str,
    ) -> Result<Authorized<A>, AccessError> {
        self.decide_on(caller, Some(about), Some(role), Some(deed)).await
    }

    async fn decide_on<A: Administers>(
        &self,
        caller: &Caller,
        about: Option<PersonId>,
        role: Option<Role>,
        deed: Option<&str>,
    ) -> Result<Authorized<A>, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        let gate = self.gate(&cell, caller);
        gate.precheck::<A>(A::KIND).await?;
        let account = match about {
            None => AccountFacts { role, ..AccountFacts::default() },
            Some(person) => match facts(&cell, caller, person).await? {
                Some(facts) => AccountFacts { role, ..facts },
                None => return Err(gate.absent::<A>(A::KIND).await?),
            },
        };
        let resource = Resource {
            tenant: cell.tenant(),
            kind: A::KIND,
            id: about.map(|person| ResourceId::from_uuid(person.as_uuid())),
            patient: None,
            relation: Relation::default(),
            account,
        };
        match gate.ask::<A>(&resource) {
            Ok(granted) => {
                let entry =
                    record::<A>(&gate, &resource, (Outcome::Permitted, deed), granted.grounds).await?;
                Ok(Authorized { role, ..Authorized::new(caller, (about, None), entry, granted.projection) })
            }
            // Who may deal with accounts at all may know why this one is refused. But to an identity provider there is nobody
            // but staff.
            Err((reason, grounds)) => {
                record::<A>(&gate, &resource, (Outcome::Denied, deed), grounds).await?;
                let hidden = caller.is_provisioner() && account.outside;
                Err(if hidden { AccessError::Invisible } else { AccessError::Forbidden(reason) })
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
        self.authorize_deed_on_chart(caller, patient, None).await
    }

    /// As [`Vault::authorize_on_chart`], and the entry says what is to be done, sealed.
    ///
    /// # Errors
    /// As [`Vault::authorize_on_chart`].
    pub async fn authorize_deed_on_chart<A: ConcernsChart>(
        &self,
        caller: &Caller,
        patient: ResourceId,
        deed: Option<&str>,
    ) -> Result<Authorized<A>, AccessError> {
        let sealed = self.fetch::<A>(caller, ResourceKind::Patient, patient).await?;
        let cell = self.cell(caller.tenant()).await?;
        let gate = self.gate(&cell, caller);
        let granted = gate.granted::<A>(&sealed).await?;
        let outcome = if sealed.is_deleted() { Outcome::NotFound } else { Outcome::Permitted };
        let entry = gate.record_deed::<A>(&sealed, (outcome, granted.grounds), deed).await?;
        if sealed.is_deleted() {
            return Err(AccessError::Gone);
        }
        Ok(Authorized::new(caller, (None, Some(patient)), entry, granted.projection))
    }
}

/// Whose account it is; to an identity provider, whoever left is nobody ($2). Who asks is $3. A program is an app's own account. The
/// last in a role is the one without whom nobody could sign in who runs the tenant, or who watches over that.
const FACTS: &str = "SELECT p.audience <> 'staff' OR p.patient IS NOT NULL OR EXISTS (
         SELECT FROM role_grant g WHERE g.person = p.id AND g.role IN ('service_account', 'provisioner')
           AND g.revoked_at IS NULL),
       EXISTS (SELECT FROM oauth_client c WHERE c.person = p.id AND c.removed_at IS NULL),
       EXISTS (SELECT FROM role_grant g
         WHERE g.person = p.id AND g.role IN ('tenant_admin', 'privacy_officer') AND g.revoked_at IS NULL
           AND NOT EXISTS (SELECT FROM role_grant a JOIN person o ON o.id = a.person
             WHERE a.role = g.role AND a.person <> p.id AND a.revoked_at IS NULL
               AND o.activated_at IS NOT NULL AND o.suspended_at IS NULL AND o.left_at IS NULL)),
       EXISTS (SELECT FROM provisioning_token t WHERE t.person = $3 AND t.created_by = p.id)
  FROM person p WHERE p.id = $1 AND (p.left_at IS NULL OR NOT $2)";

/// Attributes are loaded, never asserted: the person must be one of this tenant's.
async fn facts(cell: &Cell, caller: &Caller, person: PersonId) -> Result<Option<AccountFacts>, AccessError> {
    let unavailable = |error: sqlx::Error| AccessError::unavailable("people", sqlstate(&error));
    let asking = caller.person().as_uuid();
    let query = sqlx::query(FACTS).bind(person.as_uuid()).bind(caller.is_provisioner()).bind(asking);
    let Some(row) = cell.operations().first_row(query).await.map_err(unavailable)? else { return Ok(None) };
    let outside = row.try_get(0).map_err(unavailable)?;
    let program = row.try_get(1).map_err(unavailable)?;
    let last_in_role = row.try_get(2).map_err(unavailable)?;
    let token_maker = row.try_get(3).map_err(unavailable)?;
    Ok(Some(AccountFacts { role: None, outside, program, last_in_role, token_maker }))
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
