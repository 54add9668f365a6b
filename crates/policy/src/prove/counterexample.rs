//! A request that shows why something is not proven, as people read it.

use std::fmt::{self, Write as _};

use cedar_policy::{Authorizer, Decision, Entity, PolicySet};
use cedar_policy_symcc::Env;

/// A concrete request that breaks a property. Found by the solver, then put to the real policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counterexample {
    /// Principal, action, resource and circumstances, one a line.
    pub request: String,
    /// Whether the real engine, asked this, really allows it (for an invariant) or fails (for a failing policy).
    pub confirmed: bool,
    /// Ids of the policies that allow it or fail, sorted.
    pub policies: Vec<String>,
}

impl Counterexample {
    pub(super) fn new(env: &Env, set: &PolicySet) -> Self {
        let response = Authorizer::new().is_authorized(&env.request, set, &env.entities);
        let failed = response.diagnostics().errors().next().is_some();
        let mut policies: Vec<String> = if failed {
            response.diagnostics().errors().map(ToString::to_string).collect()
        } else {
            response.diagnostics().reason().map(ToString::to_string).collect()
        };
        policies.sort_unstable();
        let confirmed = failed || response.decision() == Decision::Allow;
        Self { request: describe(env), confirmed, policies }
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.request.lines() {
            writeln!(f, "    {line}")?;
        }
        let verb = if self.confirmed { "allowed by" } else { "NOT confirmed by the engine;" };
        writeln!(f, "    {verb} {}", self.policies.join(", "))
    }
}

fn describe(env: &Env) -> String {
    let mut text = String::new();
    for (label, uid) in [("principal", env.request.principal()), ("resource", env.request.resource())] {
        let Some(uid) = uid else { continue };
        let _ = write!(text, "{label:<9} {uid}");
        if let Some(entity) = env.entities.get(uid) {
            let mut facts = attributes(entity);
            let parents = env.entities.ancestors(uid).into_iter().flatten().map(ToString::to_string);
            facts.extend(parents.map(|parent| format!("in {parent}")));
            facts.sort_unstable();
            let _ = write!(text, " {{{}}}", facts.join(", "));
        }
        text.push('\n');
        if label == "principal"
            && let Some(action) = env.request.action()
        {
            let _ = writeln!(text, "{:<9} {action}", "action");
        }
    }
    if let Some(context) = env.request.context() {
        let mut facts: Vec<String> = context
            .clone()
            .into_iter()
            .filter_map(|(key, _)| context.get(&key).map(|value| format!("{key}: {value}")))
            .collect();
        facts.sort_unstable();
        let _ = writeln!(text, "{:<9} {{{}}}", "context", facts.join(", "));
    }
    text
}

fn attributes(entity: &Entity) -> Vec<String> {
    let known = entity.attrs().filter_map(|(key, value)| Some((key, value.ok()?)));
    known.map(|(key, value)| format!("{key}: {value}")).collect()
}
