//! The small policy sets that decisions are really made with, one per (action, class, roles that matter there).
//!
//! Invariant: a decision by a slice equals the decision by all policies (see `scope`; a test compares them).

use std::sync::OnceLock;

use cedar_policy::{PolicySet, Schema};

use crate::{
    Action, PolicyError, Projection, Role, RoleSet,
    action::Class,
    rules::{Rule, policy_set},
    scope::{CELLS, Scope, cell, places},
};

/// The slices of one action and class.
#[derive(Debug)]
struct Cell {
    /// Indices of the rules that can matter here for somebody.
    members: Vec<usize>,
    /// The roles that make a difference here, in the order of the bits of a slice's index.
    relevant: Vec<Role>,
    /// By the relevant roles that somebody holds; made on first use, so that a tenant that never uses a combination
    /// does not pay for it.
    slices: Box<[OnceLock<Slice>]>,
}

/// The policies that can matter for one action, class and set of roles.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) policies: PolicySet,
    /// Whether decisions may be remembered by their shape (see `memo`).
    pub(crate) generic: bool,
}

#[derive(Debug)]
pub(crate) struct Slices {
    cells: Vec<Cell>,
    scopes: Vec<Scope>,
    known: Vec<bool>,
}

impl Slices {
    pub(crate) fn new(rules: &[Rule], scopes: Vec<Scope>, schema: &Schema) -> Result<Self, PolicyError> {
        let mut cells = Vec::with_capacity(CELLS);
        for &action in Action::ALL {
            for &class in Class::ALL {
                cells.push(Cell::new(&scopes, action, class));
            }
        }
        let slices = Self { cells, scopes, known: known(schema) };
        // Most people hold one role: theirs are ready before the first request.
        for cell in &slices.cells {
            for &role in Role::ALL {
                slices.slice(cell, RoleSet::of(role), rules)?;
            }
        }
        Ok(slices)
    }

    /// The policies that can matter.
    pub(crate) fn get(
        &self,
        rules: &[Rule],
        action: Action,
        class: Class,
        roles: RoleSet,
    ) -> Result<&Slice, PolicyError> {
        self.slice(&self.cells[cell(action, class)], roles, rules)
    }

    /// Whether the schema knows `action` on things of `class` at all.
    pub(crate) fn knows(&self, action: Action, class: Class) -> bool {
        self.known[cell(action, class)]
    }

    /// Whether some permit can matter.
    pub(crate) fn any_permit(&self, rules: &[Rule], action: Action, class: Class, roles: RoleSet) -> bool {
        let members = &self.cells[cell(action, class)].members;
        members.iter().any(|&at| rules[at].permits() && self.scopes[at].about(roles))
    }

    /// What the permits that can matter show.
    pub(crate) fn projections<'a>(
        &'a self,
        rules: &'a [Rule],
        action: Action,
        class: Class,
        roles: RoleSet,
    ) -> impl Iterator<Item = Projection> + 'a {
        let members = &self.cells[cell(action, class)].members;
        members
            .iter()
            .filter(move |&&at| rules[at].permits() && self.scopes[at].about(roles))
            .map(|&at| rules[at].projection)
    }

    /// Whether rule `at` can matter.
    pub(crate) fn in_scope(&self, at: usize, action: Action, class: Class, roles: RoleSet) -> bool {
        self.scopes[at].covers(action, class) && self.scopes[at].about(roles)
    }

    fn slice<'a>(&'a self, cell: &'a Cell, roles: RoleSet, rules: &[Rule]) -> Result<&'a Slice, PolicyError> {
        let slot = &cell.slices[cell.index(roles)];
        if let Some(slice) = slot.get() {
            return Ok(slice);
        }
        let members = cell.members.iter().filter(|&&at| self.scopes[at].about(roles)).map(|&at| &rules[at]);
        let generic = members.clone().all(|rule| rule.generic);
        let slice = Slice { policies: policy_set(members)?, generic };
        Ok(slot.get_or_init(|| slice))
    }
}

impl Cell {
    fn new(scopes: &[Scope], action: Action, class: Class) -> Self {
        let members: Vec<usize> = (0..scopes.len()).filter(|&at| scopes[at].covers(action, class)).collect();
        let relevant = members
            .iter()
            .filter_map(|&at| scopes[at].roles)
            .fold(RoleSet::EMPTY, RoleSet::union)
            .iter()
            .collect::<Vec<_>>();
        let slices = (0..1_usize << relevant.len()).map(|_| OnceLock::new()).collect();
        Self { members, relevant, slices }
    }

    fn index(&self, roles: RoleSet) -> usize {
        let held = self.relevant.iter().enumerate().filter(|(_, role)| roles.contains(**role));
        held.fold(0, |index, (bit, _)| index | 1 << bit)
    }
}

fn known(schema: &Schema) -> Vec<bool> {
    let mut known = vec![false; CELLS];
    for (action, class) in schema.request_envs().filter_map(|env| places(&env)) {
        known[cell(action, class)] = true;
    }
    known
}
