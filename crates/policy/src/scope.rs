//! Where a policy can matter at all, read off its scope and its types.
//!
//! Invariant: if a policy is left out for (action, class, roles), then it is not satisfied and does not fail for any
//! request of that action, class and set of roles. By role: `principal in Role::"x"` in the *scope* is false for
//! whoever does not hold x. By action and class: Cedar's type checker says that the policy is trivially false there.

use cedar_policy::{EntityUid, Policy, PrincipalConstraint, RequestEnv, Schema};

use crate::{Action, Role, RoleSet, action::Class, vocabulary::PERSON};

/// One bit per pair of action and class.
pub(crate) const CELLS: usize = Action::ALL.len() * Class::ALL.len();

pub(crate) const fn cell(action: Action, class: Class) -> usize {
    action as usize * Class::ALL.len() + class as usize
}

/// What a request environment is about.
pub(crate) fn places(env: &RequestEnv) -> Option<(Action, Class)> {
    Some((env.action().id().unescaped().parse().ok()?, env.resource().basename().parse().ok()?))
}

/// Where one policy can matter.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Whom it can be about: nothing means everybody, whatever their roles.
    pub(crate) roles: Option<RoleSet>,
    cells: [bool; CELLS],
}

impl Scope {
    /// The scope of a policy that was strictly validated against `schema`.
    pub(crate) fn of(policy: &Policy, schema: &Schema) -> Self {
        let mut cells = [false; CELLS];
        for env in policy.get_valid_request_envs(schema) {
            if let Some((action, class)) = places(&env) {
                cells[cell(action, class)] = true;
            }
        }
        Self { roles: roles(policy), cells }
    }

    pub(crate) fn covers(&self, action: Action, class: Class) -> bool {
        self.cells[cell(action, class)]
    }

    pub(crate) fn about(&self, roles: RoleSet) -> bool {
        self.roles.is_none_or(|about| !about.intersection(roles).is_empty())
    }
}

fn roles(policy: &Policy) -> Option<RoleSet> {
    match policy.principal_constraint() {
        PrincipalConstraint::In(uid) => role(&uid),
        PrincipalConstraint::IsIn(ty, uid) if ty.basename() == PERSON => role(&uid),
        // One person, every person, or a type that no principal has: no role decides.
        PrincipalConstraint::Any
        | PrincipalConstraint::Eq(_)
        | PrincipalConstraint::Is(_)
        | PrincipalConstraint::IsIn(..) => None,
    }
}

fn role(uid: &EntityUid) -> Option<RoleSet> {
    if uid.type_name().basename() != "Role" {
        return None;
    }
    uid.id().unescaped().parse::<Role>().ok().map(RoleSet::of)
}
