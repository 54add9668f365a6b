//! The matrix of roles, actions and kinds as text: the golden file in which a change of policy is *seen*.

use std::fmt::Write as _;

use carekeep_kernel::TenantKind;

use crate::{
    Action, Engine, Projection, Purpose, Relation, ResourceKind, Role, RoleSet,
    sample::{Cast, Situation},
};

/// What each role may do to each kind at best (two fresh factors, the most favourable purpose), first in every
/// relation to the patient, then in none.
#[must_use]
pub fn matrix(engine: &Engine) -> String {
    let mut text = String::from(
        "# What each role may do at best: own tenant, two fresh factors, the most favourable purpose.\n\
         # A records reader is shown as the program that it is: the role alone permits nothing.\n\
         # Cells: the projection (full, contact, schedule, metadata), or a dot for refused.\n\
         # Made by: UPDATE_GOLDEN=1 cargo nextest run -p carekeep-policy -E 'test(golden)'\n",
    );
    for related in [true, false] {
        let relation =
            if related { "IN EVERY RELATION TO THE PATIENT" } else { "IN NO RELATION TO THE PATIENT" };
        let _ = write!(text, "\n\n=== {relation} ===\n");
        for &kind in ResourceKind::ALL {
            if related || kind.is_phi() {
                block(&mut text, engine, kind, related);
            }
        }
    }
    text
}

fn block(text: &mut String, engine: &Engine, kind: ResourceKind, related: bool) {
    let actions: Vec<Action> = Action::ALL.iter().copied().filter(|a| engine.knows(*a, kind)).collect();
    let _ = write!(text, "\n{:<20}", kind.as_str());
    for action in &actions {
        let _ = write!(text, " {:<16}", action.as_str());
    }
    trim_line(text);
    for &role in Role::ALL {
        let _ = write!(text, "  {:<18}", role.as_str());
        for &action in &actions {
            let best = best(engine, role, action, kind, related);
            let _ = write!(text, " {:<16}", best.map_or(".", Projection::as_str));
        }
        trim_line(text);
    }
}

fn trim_line(text: &mut String) {
    text.truncate(text.trim_end().len());
    text.push('\n');
}

/// A role as it is held: some only beside another.
fn as_held(role: Role) -> RoleSet {
    let beside = if role == Role::RecordsReader { Role::ServiceAccount } else { role };
    RoleSet::of(role).with(beside)
}

/// Where somebody of this role works: in a clinic, if it may be held there.
fn home(role: Role) -> TenantKind {
    TenantKind::ALL.into_iter().find(|kind| role.belongs_in(*kind)).unwrap_or_default()
}

fn best(
    engine: &Engine,
    role: Role,
    action: Action,
    kind: ResourceKind,
    related: bool,
) -> Option<Projection> {
    let cast = Cast::new();
    let mut situation: Situation = cast.plain(as_held(role), action, kind);
    situation.principal.tenant_kind = home(role);
    situation.principal.patient = related.then_some(cast.patient);
    let all = Relation { care_team: true, assigned: true, appointment: true, proxy: true };
    situation.resource.relation = if related { all } else { Relation::default() };
    situation.resource.account.outside = action == Action::ApproveRecovery;
    situation.resource.account.role = (action == Action::ProvisionRole).then_some(Role::Nurse);
    let decide = |purpose: &Purpose| {
        situation.context.purpose = *purpose;
        engine.decide(&situation.request()).projection()
    };
    Purpose::ALL.iter().filter_map(decide).max()
}
