//! The gate: decides, records, and only then mints a permit. The one place where permits are made.
//!
//! The order is the invariant: load attributes (in [`Sealed`] and [`Caller`]), ask Cedar, get the key, make the audit
//! entry durable, mint. A refusal is recorded too. Whatever fails on the way is a refusal.

use std::{marker::PhantomData, sync::Arc};

use carekeep_kernel::EntryId;
use carekeep_keys::{DataKey, KeyPurpose};
use carekeep_ledger::{Entry, Outcome, ResourceRef};
use carekeep_policy::{
    AccessRequest, Action, ActivePolicy, Decision, DenyReason, Projection, Resource, ResourceKind,
};

use crate::{
    AccessError, Caller, Permit, Sealed,
    audit::{Grounds, Note, reference},
    catalogue::{Act, Opens},
    cell::Cell,
};

/// Decides for one tenant and one caller.
pub(crate) struct Gate<'a> {
    pub(crate) cell: &'a Cell,
    pub(crate) policy: &'a ActivePolicy,
    pub(crate) caller: &'a Caller,
}

/// What Cedar said yes to, not yet recorded.
pub(crate) struct Granted {
    pub(crate) projection: Projection,
    pub(crate) grounds: Grounds,
}

impl Gate<'_> {
    /// Whether any policy could ever allow the caller this on this kind of resource; if not, the refusal does not
    /// depend on any row, so it can be told as such without giving away what exists.
    pub(crate) async fn precheck<A: Act>(&self, kind: ResourceKind) -> Result<(), AccessError> {
        self.precheck_action(A::ACTION, kind).await
    }

    /// As [`Gate::precheck`], for an action that is known at run time only.
    pub(crate) async fn precheck_action(
        &self,
        action: Action,
        kind: ResourceKind,
    ) -> Result<(), AccessError> {
        let ever = self.policy.load().may_ever(self.caller.roles(), action, kind);
        let refusal = if !(ever && self.may_ever_in_scope(action, kind)) {
            DenyReason::NoPermit
        } else if self.caller.principal.suspended {
            DenyReason::Suspended
        } else if self.caller.aal == carekeep_policy::Aal::One {
            DenyReason::NeedsSecondFactor
        } else if !self.caller.tenant_active {
            DenyReason::Forbidden
        } else if kind.is_phi() && self.caller.lacks_device() {
            DenyReason::NeedsKnownDevice
        } else {
            return Ok(());
        };
        Box::pin(self.note(action, kind, Outcome::Denied)).await?;
        Err(AccessError::Forbidden(refusal))
    }

    /// Refuses a search for what no policy could ever show the caller: like [`Gate::precheck`], this depends on no row. A
    /// search that asks about nothing that a projection hides is left to the rows.
    pub(crate) async fn precheck_shown<A: Act>(
        &self,
        kind: ResourceKind,
        shown_by: &[Projection],
    ) -> Result<(), AccessError> {
        let hides_nothing = Projection::ALL.iter().all(|projection| shown_by.contains(projection));
        if hides_nothing
            || self.policy.load().may_ever_show(self.caller.roles(), A::ROW_ACTION, kind, shown_by)
        {
            return Ok(());
        }
        Box::pin(self.note(A::ACTION, kind, Outcome::Denied)).await?;
        Err(AccessError::NotShown)
    }

    /// Asks Cedar about one row.
    pub(crate) fn decide<A: Act>(&self, resource: &Resource) -> Result<Granted, (AccessError, Grounds)> {
        self.ask::<A>(resource).map_err(|(reason, grounds)| {
            let error = match reason {
                DenyReason::NeedsFreshFactor | DenyReason::NeedsKnownDevice => AccessError::Forbidden(reason),
                // That a row is there but not for this caller must look like no row.
                _ => AccessError::Invisible,
            };
            (error, grounds)
        })
    }

    /// Asks Cedar, for each purpose that the person may have until one is permitted: whoever holds several roles does what
    /// each of them may do. The reason of a refusal may tell that the row is there.
    pub(crate) fn ask<A: Act>(&self, resource: &Resource) -> Result<Granted, (DenyReason, Grounds)> {
        let engine = self.policy.load();
        let mut refused: Option<(DenyReason, Grounds)> = None;
        for purpose in self.caller.purposes() {
            let context = self.caller.context(purpose);
            let request = AccessRequest {
                principal: &self.caller.principal,
                action: A::ROW_ACTION,
                resource,
                context: &context,
            };
            let grounds = |policies: &carekeep_policy::PolicyIds| Grounds {
                policies: policies.iter().map(|id| id.to_string()).collect(),
                purposes: vec![purpose],
            };
            match engine.decide(&request) {
                Decision::Allow { projection, policies } => {
                    return Ok(Granted { projection, grounds: grounds(&policies) });
                }
                Decision::Deny { reason, policies } => {
                    // What would help is worth telling; what no policy permits is said only if there is nothing else.
                    let tells = refused.as_ref().is_none_or(|(known, _)| *known == DenyReason::NoPermit);
                    if tells {
                        refused = Some((reason, grounds(&policies)));
                    }
                }
            }
        }
        Err(refused.unwrap_or((DenyReason::NoPermit, Grounds::default())))
    }

    /// How much the caller would see of one row, or refuses; a refusal is on record when this returns.
    pub(crate) async fn may<A: Act>(&self, sealed: &Sealed) -> Result<Projection, AccessError> {
        self.granted::<A>(sealed).await.map(|granted| granted.projection)
    }

    /// What Cedar says about one row; a refusal is on record when this returns.
    pub(crate) async fn granted<A: Act>(&self, sealed: &Sealed) -> Result<Granted, AccessError> {
        let mut decided = self.decide::<A>(&sealed.attributes(self.caller.person()));
        if decided.is_ok() && self.caller.is_app() && !Box::pin(self.in_scope(A::ACTION, sealed)).await? {
            decided = Err((AccessError::Invisible, Grounds::out_of_scope()));
        }
        match decided {
            Ok(granted) => Ok(granted),
            Err((error, grounds)) => {
                Box::pin(self.record_row::<A>(sealed, Outcome::Denied, grounds)).await?;
                Err(error)
            }
        }
    }

    /// Permits opening one row, or refuses; either is on record when this returns.
    pub(crate) async fn permit<A: Opens>(&self, sealed: &Sealed) -> Result<Permit<A>, AccessError> {
        let granted = self.granted::<A>(sealed).await?;
        let Some(envelope) = &sealed.envelope else {
            Box::pin(self.record_row::<A>(sealed, Outcome::NotFound, granted.grounds)).await?;
            return Err(AccessError::Gone);
        };
        let key = self.cell.key_of(KeyPurpose::Data, envelope).await?;
        let entry = self.record_row::<A>(sealed, Outcome::Permitted, granted.grounds).await?;
        Ok(mint(sealed, granted.projection, Some(key), entry))
    }

    /// Records that nothing was found, in the same time and with the same effect as a refused row.
    pub(crate) async fn absent<A: Act>(&self, kind: ResourceKind) -> Result<AccessError, AccessError> {
        Box::pin(self.note(A::ACTION, kind, Outcome::NotFound)).await?;
        Ok(AccessError::Invisible)
    }

    /// Records what became of a request for one row.
    pub(crate) async fn record_row<A: Act>(
        &self,
        sealed: &Sealed,
        outcome: Outcome,
        grounds: Grounds,
    ) -> Result<EntryId, AccessError> {
        self.record_deed::<A>(sealed, (outcome, grounds), None).await
    }

    /// Records what became of a request for one row, with what was to be done, sealed.
    pub(crate) async fn record_deed<A: Act>(
        &self,
        sealed: &Sealed,
        decided: (Outcome, Grounds),
        deed: Option<&str>,
    ) -> Result<EntryId, AccessError> {
        self.record(self.saying::<A>(sealed, decided, deed).await?).await
    }

    /// The entry about what became of a request for one row, not recorded yet.
    pub(crate) async fn about_row<A: Act>(
        &self,
        sealed: &Sealed,
        outcome: Outcome,
        grounds: Grounds,
    ) -> Result<Entry, AccessError> {
        self.saying::<A>(sealed, (outcome, grounds), None).await
    }

    async fn saying<A: Act>(
        &self,
        sealed: &Sealed,
        decided: (Outcome, Grounds),
        deed: Option<&str>,
    ) -> Result<Entry, AccessError> {
        let patients = match sealed.patient {
            Some(patient) => vec![self.cell.pseudonym(patient).await?],
            None => Vec::new(),
        };
        let about = (vec![reference(sealed.id, sealed.version)], patients);
        self.entry((A::ACTION.as_str(), sealed.kind.as_str()), about, decided, deed).await
    }

    /// Records that permitted changes could not be made.
    pub(crate) async fn failed(
        &self,
        about: &[(ResourceKind, carekeep_kernel::ResourceId)],
    ) -> Result<(), AccessError> {
        let kind = about.first().map_or("none", |(kind, _)| kind.as_str());
        let resources = about.iter().map(|(_, id)| reference(*id, 0)).collect();
        let failed = (Outcome::Failed, Grounds::default());
        self.enter(("write", kind), (resources, Vec::new()), failed, None).await.map(|_| ())
    }

    /// Records something that is about no single row.
    async fn note(
        &self,
        action: Action,
        kind: ResourceKind,
        outcome: Outcome,
    ) -> Result<EntryId, AccessError> {
        let nobody = (Vec::new(), Vec::new());
        self.enter((action.as_str(), kind.as_str()), nobody, (outcome, Grounds::default()), None).await
    }

    /// Records. What was said in asking, as the query of a search, is sealed with the address.
    pub(crate) async fn enter(
        &self,
        what: (&'static str, &'static str),
        about: (Vec<ResourceRef>, Vec<[u8; 16]>),
        decided: (Outcome, Grounds),
        said: Option<&str>,
    ) -> Result<EntryId, AccessError> {
        self.record(self.entry(what, about, decided, said).await?).await
    }

    async fn record(&self, entry: Entry) -> Result<EntryId, AccessError> {
        let id = entry.id;
        self.cell.recorder.append(vec![entry]).await?;
        Ok(id)
    }

    async fn entry(
        &self,
        (action, kind): (&'static str, &'static str),
        (resources, patients): (Vec<ResourceRef>, Vec<[u8; 16]>),
        (outcome, grounds): (Outcome, Grounds),
        said: Option<&str>,
    ) -> Result<Entry, AccessError> {
        let policy_digest = self.policy.load().digest();
        let detail = Some(crate::detail::seal(self.cell, self.caller, said).await?);
        let note = Note { action, kind, resources, patients, outcome, grounds, policy_digest, detail };
        Ok(self.cell.recorder.entry(self.caller, note))
    }
}

/// Mints. Called from this crate only, after the entry is durable.
pub(crate) fn mint<A: Act>(
    sealed: &Sealed,
    projection: Projection,
    key: Option<Arc<DataKey>>,
    entry: EntryId,
) -> Permit<A> {
    Permit {
        tenant: sealed.tenant,
        kind: sealed.kind,
        id: sealed.id,
        version: sealed.version,
        projection,
        key,
        entry,
        action: PhantomData,
    }
}
