//! What was proven, and what was not.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Counterexample,
    worker::{Findings, Job},
};
use crate::{Place, action::Class, scope::Scope};

/// What must hold of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// An invariant of `invariants/*.cedar` is never violated.
    Invariant,
    /// A policy never fails.
    NeverFails,
    /// A policy takes effect for some request.
    TakesEffect,
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What does not hold.
    pub property: Property,
    /// The invariant, or the policy that fails or never takes effect.
    pub policy: Arc<str>,
    /// Where it is written.
    pub place: Place,
    /// Its `@description`.
    pub description: String,
    /// A request that shows it; none where there is no such request ([`Property::TakesEffect`]).
    pub example: Option<Counterexample>,
}

/// The outcome of [`super::prove`]. Only that makes one: a report that says proven *is* a proof.
#[derive(Debug, Clone)]
pub struct ProofReport {
    digest: [u8; 32],
    invariants: Vec<(Arc<str>, String, usize)>,
    policies: usize,
    environments: usize,
    violations: Vec<Violation>,
    faults: Vec<String>,
    queries: usize,
    slowest: Duration,
    elapsed: Duration,
}

impl ProofReport {
    pub(super) fn new(
        job: &Job,
        findings: Findings,
        faults: Vec<String>,
        digest: [u8; 32],
        elapsed: Duration,
    ) -> Self {
        let mut violations = findings.violations;
        let idle =
            job.access.iter().chain(&job.invariants).filter(|subject| !job.is_effective(&subject.rule));
        violations.extend(idle.map(|subject| Violation {
            property: Property::TakesEffect,
            policy: subject.rule.id.clone(),
            place: subject.rule.place.clone(),
            description: subject.rule.description.to_string(),
            example: None,
        }));
        violations.sort_by(|a, b| (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line)));
        let reach = |scope: &Scope| {
            job.environments
                .iter()
                .filter(|(_, action, class): &&(_, _, Class)| scope.covers(*action, *class))
                .count()
        };
        Self {
            digest,
            invariants: job
                .invariants
                .iter()
                .map(|s| (s.rule.id.clone(), s.rule.description.to_string(), reach(&s.scope)))
                .collect(),
            policies: job.access.len(),
            environments: job.environments.len(),
            violations,
            faults,
            queries: findings.queries,
            slowest: findings.slowest,
            elapsed,
        }
    }

    /// Whether everything holds, with no fault in the files.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        self.violations.is_empty() && self.faults.is_empty()
    }

    /// The digest of the policies that this is about ([`crate::Engine::digest`]).
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// What does not hold, in the order of the files.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Why [`crate::Engine::compile`] would refuse these files.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Id and description of each invariant, and the number of request environments that it speaks about.
    pub fn invariants(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        self.invariants.iter().map(|(id, description, reach)| (&**id, description.as_str(), *reach))
    }

    /// Request environments looked at.
    #[must_use]
    pub const fn environments(&self) -> usize {
        self.environments
    }

    /// Questions put to the solver.
    #[must_use]
    pub const fn queries(&self) -> usize {
        self.queries
    }

    /// How long it took, and the slowest question.
    #[must_use]
    pub const fn timings(&self) -> (Duration, Duration) {
        (self.elapsed, self.slowest)
    }
}

impl fmt::Display for ProofReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, description, reach) in self.invariants() {
            let broken =
                self.violations.iter().any(|v| v.property == Property::Invariant && *v.policy == *id);
            let outcome = if broken { "VIOLATED" } else { "proven" };
            writeln!(f, "{outcome:<8} {id} in {reach} environments: {description}")?;
        }
        for fault in &self.faults {
            writeln!(f, "\nfault: {fault}")?;
        }
        for violation in &self.violations {
            let what = match violation.property {
                Property::Invariant => "can be violated",
                Property::NeverFails => "can fail",
                Property::TakesEffect => "never takes effect: remove it or correct it",
            };
            writeln!(f, "\n{}: {} {what} ({})", violation.place, violation.policy, violation.description)?;
            if let Some(example) = &violation.example {
                write!(f, "{example}")?;
            }
        }
        writeln!(
            f,
            "\n{}: {} policies, {} invariants, {} request environments, {} questions in {:.1} s (slowest {} ms)",
            if self.is_proven() { "PROVEN" } else { "NOT PROVEN" },
            self.policies,
            self.invariants.len(),
            self.environments,
            self.queries,
            self.elapsed.as_secs_f64(),
            self.slowest.as_millis(),
        )
    }
}
