//! Changes: planned, permitted, written.
//!
//! A [`Planned`] change becomes a [`Change`] only through the gate, with a permit inside that names the audit entry. The
//! entry is durable before the first statement of the change, and each row that is written names it.

use std::collections::{BTreeMap, BTreeSet};

use carekeep_kernel::{EntryId, PersonId, ResourceId, TenantId, Timestamp};
use carekeep_ledger::Outcome;
use carekeep_policy::{AccountFacts, Action, Projection, Purpose, Relation, Resource, ResourceKind};

use crate::{
    AccessError, Caller, Permit, Sealed,
    audit::{Grounds, reference},
    catalogue::{Act, AssignCareTeam, Create, Delete, Update},
    gate::{Gate, Granted},
    records::{
        fetch,
        write::{Draft, Relating, Step},
    },
};

/// A change that somebody wants to make.
pub enum Planned {
    /// Write a new resource.
    Create(Draft),
    /// Write a new version over the present one.
    Update(Draft, Sealed),
    /// Mark the present version deleted.
    Delete(Sealed, Timestamp),
    /// Put a person on a patient's care team.
    Assign {
        /// The person.
        person: PersonId,
        /// The patient.
        patient: ResourceId,
        /// When.
        at: Timestamp,
    },
    /// Take a person off a patient's care team. What the person wrote stays.
    Relieve {
        /// The person.
        person: PersonId,
        /// The patient.
        patient: ResourceId,
        /// When.
        at: Timestamp,
    },
}

/// A change that may be made, once, by the person whom it was permitted to.
pub struct Change {
    kind: Kind,
    tenant: TenantId,
    by: PersonId,
    projection: Projection,
    about: (ResourceKind, ResourceId),
}

enum Kind {
    /// Whether it was permitted for treatment: then whoever registers a patient cares for them.
    Create(Draft, Permit<Create>, bool),
    Update(Draft, Permit<Update>),
    Delete(Timestamp, Permit<Delete>),
    Team(Membership, Permit<AssignCareTeam>),
}

/// Who belongs to a care team from some time on, or no longer.
struct Membership {
    person: PersonId,
    at: Timestamp,
    ends: bool,
}

/// Relation bit of the care team; see the clinical schema.
const CARE_TEAM: i16 = 1;
/// How many resources one entry of the ledger names.
const ENTRY_RESOURCES: usize = 500;

impl Change {
    /// How much of what is written the writer may see in the answer.
    #[must_use]
    pub const fn projection(&self) -> Projection {
        self.projection
    }

    /// Whether it was permitted to this caller.
    pub(crate) fn is_of(&self, caller: &Caller) -> bool {
        self.tenant == caller.tenant() && self.by == caller.person()
    }

    pub(crate) const fn about(&self) -> (ResourceKind, ResourceId) {
        self.about
    }

    pub(crate) fn into_steps(self, caller: &Caller) -> Vec<Step> {
        match self.kind {
            Kind::Create(draft, permit, treats) => {
                let joins = draft.kind == ResourceKind::Patient && treats;
                let (id, entry) = (draft.id, permit.entry);
                let mut steps = vec![Step::Put { draft, entry }];
                if joins {
                    // Whoever registers a patient to treat them must be able to read what they wrote.
                    let joins = Membership { person: caller.person(), at: caller.now(), ends: false };
                    steps.push(joins.step(id, entry));
                }
                steps
            }
            Kind::Update(draft, permit) => vec![Step::Put { draft, entry: permit.entry }],
            Kind::Delete(at, permit) => {
                vec![Step::Delete { id: permit.id, base: permit.version, at, entry: permit.entry }]
            }
            Kind::Team(membership, permit) => vec![membership.step(permit.id, permit.entry)],
        }
    }
}

impl Membership {
    fn step(self, patient: ResourceId, entry: EntryId) -> Step {
        let Self { person, at, ends } = self;
        Step::Relate(Relating { person: person.as_uuid(), patient, relation: CARE_TEAM, at, ends, entry })
    }
}

/// Takes planned changes through the gate.
pub(crate) struct Plans<'a> {
    pub(crate) gate: &'a Gate<'a>,
}

struct Decided {
    planned: Planned,
    granted: Granted,
}

impl Planned {
    fn about(&self) -> (ResourceKind, ResourceId, u32, Option<ResourceId>) {
        match self {
            Self::Create(draft) => (draft.kind, draft.id, 0, draft.patient),
            Self::Update(draft, sealed) => (draft.kind, draft.id, sealed.version, sealed.patient),
            Self::Delete(sealed, _) => (sealed.kind, sealed.id, sealed.version, sealed.patient),
            Self::Assign { patient, .. } | Self::Relieve { patient, .. } => {
                (ResourceKind::Patient, *patient, 0, Some(*patient))
            }
        }
    }

    const fn action(&self) -> Action {
        match self {
            Self::Create(_) => Create::ACTION,
            Self::Update(..) => Update::ACTION,
            Self::Delete(..) => Delete::ACTION,
            Self::Assign { .. } | Self::Relieve { .. } => AssignCareTeam::ACTION,
        }
    }
}

impl Plans<'_> {
    pub(crate) async fn permit(&self, planned: Vec<Planned>) -> Result<Vec<Change>, AccessError> {
        for (action, kind) in
            planned.iter().map(|plan| (plan.action(), plan.about().0)).collect::<BTreeSet<_>>()
        {
            self.gate.precheck_action(action, kind).await?;
        }
        let relations = self.relations(&planned).await?;
        let mut groups: BTreeMap<(Action, ResourceKind), Vec<Decided>> = BTreeMap::new();
        for plan in planned {
            let (kind, ..) = plan.about();
            let granted = match self.decide(&plan, &relations) {
                Ok(granted) => granted,
                Err((error, grounds)) => {
                    self.record((plan.action(), kind), &[&plan], grounds, Outcome::Denied).await?;
                    return Err(error);
                }
            };
            groups.entry((plan.action(), kind)).or_default().push(Decided { planned: plan, granted });
        }
        let mut changes = Vec::new();
        for (about, mut decided) in groups {
            while !decided.is_empty() {
                let rest = decided.split_off(decided.len().min(ENTRY_RESOURCES));
                let chunk = std::mem::replace(&mut decided, rest);
                let mut grounds = Grounds::default();
                chunk.iter().for_each(|decided| grounds.add(decided.granted.grounds.clone()));
                let plans: Vec<&Planned> = chunk.iter().map(|decided| &decided.planned).collect();
                let entry = self.record(about, &plans, grounds, Outcome::Permitted).await?;
                changes.extend(chunk.into_iter().map(|decided| self.mint(decided, entry)));
            }
        }
        Ok(changes)
    }

    /// What the caller is to each patient that something new is written about.
    async fn relations(&self, planned: &[Planned]) -> Result<BTreeMap<ResourceId, Relation>, AccessError> {
        let patients: BTreeSet<ResourceId> = planned
            .iter()
            .filter_map(|plan| match plan {
                Planned::Create(draft) => draft.patient,
                Planned::Assign { patient, .. } | Planned::Relieve { patient, .. } => Some(*patient),
                Planned::Update(..) | Planned::Delete(..) => None,
            })
            .collect();
        if patients.is_empty() {
            return Ok(BTreeMap::new());
        }
        fetch::relations(self.gate.cell.clinical(), self.gate.caller, &patients).await
    }

    fn decide(
        &self,
        plan: &Planned,
        relations: &BTreeMap<ResourceId, Relation>,
    ) -> Result<Granted, (AccessError, Grounds)> {
        let (kind, id, _, patient) = plan.about();
        // Before all else: what is wrong with a change would tell an app of a row that is not its business.
        if !self.gate.change_in_scope(plan.action(), kind, patient) {
            return Err((AccessError::Invisible, Grounds::out_of_scope()));
        }
        let relation = patient.and_then(|patient| relations.get(&patient).copied()).unwrap_or_default();
        let (tenant, account) = (self.gate.cell.tenant(), AccountFacts::default());
        let fresh = Resource { tenant, kind, id: Some(id), patient, relation, account };
        let person = self.gate.caller.person();
        match plan {
            // Otherwise leave to create would write over what is there, or into a chart by another door.
            Planned::Create(draft) if draft.base != 0 => {
                Err((AccessError::Invalid("a new resource replaces no version"), Grounds::default()))
            }
            Planned::Create(draft)
                if draft.kind == ResourceKind::Patient && draft.patient != Some(draft.id) =>
            {
                Err((
                    AccessError::Invalid("a patient is the patient that they are about"),
                    Grounds::default(),
                ))
            }
            Planned::Create(_) => self.gate.decide::<Create>(&fresh),
            Planned::Assign { .. } | Planned::Relieve { .. } => self.gate.decide::<AssignCareTeam>(&fresh),
            Planned::Delete(sealed, _) => self.gate.decide::<Delete>(&sealed.attributes(person)),
            Planned::Update(draft, sealed) => {
                // First of all: what is wrong with the change would tell that the row is there.
                let granted = self.gate.decide::<Update>(&sealed.attributes(person))?;
                if draft.patient != sealed.patient || draft.kind != sealed.kind || draft.id != sealed.id {
                    let moved =
                        AccessError::Invalid("a resource stays with its patient: create a new one instead");
                    return Err((moved, granted.grounds));
                }
                if draft.base == sealed.version {
                    Ok(granted)
                } else {
                    Err((AccessError::Conflict, Grounds::default()))
                }
            }
        }
    }

    async fn record(
        &self,
        (action, kind): (Action, ResourceKind),
        plans: &[&Planned],
        grounds: Grounds,
        outcome: Outcome,
    ) -> Result<EntryId, AccessError> {
        let mut patients = Vec::new();
        for patient in plans.iter().filter_map(|plan| plan.about().3).collect::<BTreeSet<_>>() {
            patients.push(self.gate.cell.pseudonym(patient).await?);
        }
        let resources = plans.iter().map(|plan| plan.about());
        let resources = resources.map(|(_, id, base, _)| reference(id, base)).collect();
        let (about, said) = ((resources, patients), membership(plans));
        self.gate.enter((action.as_str(), kind.as_str()), about, (outcome, grounds), said.as_deref()).await
    }

    fn mint(&self, decided: Decided, entry: EntryId) -> Change {
        let Decided { planned, granted: Granted { projection, grounds } } = decided;
        let treats = grounds.purposes.contains(&Purpose::Treatment);
        let (kind, id, version, _) = planned.about();
        let tenant = self.gate.cell.tenant();
        let about = (tenant, kind, id, version);
        let team = |person, at, ends| {
            Kind::Team(Membership { person, at, ends }, write_permit(about, projection, entry))
        };
        let kind = match planned {
            Planned::Create(draft) => Kind::Create(draft, write_permit(about, projection, entry), treats),
            Planned::Update(draft, _) => Kind::Update(draft, write_permit(about, projection, entry)),
            Planned::Delete(_, at) => Kind::Delete(at, write_permit(about, projection, entry)),
            Planned::Assign { person, at, .. } => team(person, at, false),
            Planned::Relieve { person, at, .. } => team(person, at, true),
        };
        Change { kind, tenant, by: self.gate.caller.person(), projection, about: (about.1, id) }
    }
}

/// Who joins or leaves care teams, for the entry: the patient alone would not say whom it let in.
fn membership(plans: &[&Planned]) -> Option<String> {
    let said = plans.iter().filter_map(|plan| match plan {
        Planned::Assign { person, .. } => Some(format!("assign {person}")),
        Planned::Relieve { person, .. } => Some(format!("relieve {person}")),
        Planned::Create(_) | Planned::Update(..) | Planned::Delete(..) => None,
    });
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn write_permit<A: Act>(
    (tenant, kind, id, version): (TenantId, ResourceKind, ResourceId, u32),
    projection: Projection,
    entry: EntryId,
) -> Permit<A> {
    Permit { tenant, kind, id, version, projection, key: None, entry, action: std::marker::PhantomData }
}
