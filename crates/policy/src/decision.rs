//! The answer, and why.

use std::{fmt, sync::Arc};

use smallvec::SmallVec;

use crate::role::named;

/// The ids of the policies that determined a decision, sorted; recorded in the audit ledger.
pub type PolicyIds = SmallVec<[Arc<str>; 2]>;

/// How much of a thing may be seen: minimum necessary (45 CFR 164.502(b)). Ordered: a later one shows more.
///
/// Set on permit policies by `@projection("…")`. When several policies permit, the widest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Projection {
    /// Ids, versions and times; no content.
    Metadata,
    /// When, where, with whom, workflow status; never why.
    Schedule,
    /// Names, identifiers, birth date, address, telecom.
    Contact,
    /// Everything.
    Full,
}

named!("projection", Projection {
    Metadata = "metadata",
    Schedule = "schedule",
    Contact = "contact",
    Full = "full",
});

/// Why something is refused. Safe to show to the person who asked: it tells nothing about the thing asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DenyReason {
    /// No policy permits it.
    NoPermit,
    /// Would be allowed with a second factor.
    NeedsSecondFactor,
    /// Would be allowed if a factor were presented again now.
    NeedsFreshFactor,
    /// Would be allowed from a device that the person has confirmed.
    NeedsKnownDevice,
    /// A policy forbids it.
    Forbidden,
    /// The person is suspended.
    Suspended,
    /// A policy could not be evaluated. Cedar would skip it; we refuse instead.
    EvaluationError,
}

named!("deny reason", DenyReason {
    NoPermit = "no_permit",
    NeedsSecondFactor = "needs_second_factor",
    NeedsFreshFactor = "needs_fresh_factor",
    NeedsKnownDevice = "needs_known_device",
    Forbidden = "forbidden",
    Suspended = "suspended",
    EvaluationError = "evaluation_error",
});

/// The answer to an [`crate::AccessRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a decision that nobody looks at protects nothing"]
pub enum Decision {
    /// Allowed, to this extent.
    Allow {
        /// How much may be seen.
        projection: Projection,
        /// The permits that were satisfied.
        policies: PolicyIds,
    },
    /// Refused.
    Deny {
        /// Why.
        reason: DenyReason,
        /// The forbids that were satisfied, or the policies that failed; empty if nothing permitted it.
        policies: PolicyIds,
    },
}

impl Decision {
    /// Whether it is allowed.
    #[must_use]
    pub const fn is_allow(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// The projection, if allowed.
    #[must_use]
    pub const fn projection(&self) -> Option<Projection> {
        match self {
            Self::Allow { projection, .. } => Some(*projection),
            Self::Deny { .. } => None,
        }
    }

    /// The reason, if refused.
    #[must_use]
    pub const fn reason(&self) -> Option<DenyReason> {
        match self {
            Self::Allow { .. } => None,
            Self::Deny { reason, .. } => Some(*reason),
        }
    }

    /// The policies that determined it.
    #[must_use]
    pub const fn policies(&self) -> &PolicyIds {
        match self {
            Self::Allow { policies, .. } | Self::Deny { policies, .. } => policies,
        }
    }
}

impl fmt::Display for Decision {
    /// `allow(full) by a, b` or `deny(no_permit)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow { projection, .. } => write!(f, "allow({projection})")?,
            Self::Deny { reason, .. } => write!(f, "deny({reason})")?,
        }
        let mut separator = " by ";
        for id in self.policies() {
            write!(f, "{separator}{id}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// What became of one policy for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The policy's `@id`.
    pub policy: Arc<str>,
    /// Whether it permits or forbids.
    pub permits: bool,
    /// Its `@description`, or nothing.
    pub description: String,
    /// How it came out.
    pub outcome: Outcome,
}

/// How one policy came out for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its scope is about other roles, actions or kinds of thing.
    OutOfScope,
    /// Its scope fits; its conditions do not hold.
    NotSatisfied,
    /// It applies.
    Satisfied,
    /// It could not be evaluated.
    Failed,
}

/// Why a decision came out as it did; for people, not for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// What became of each policy, in the order of the files.
    pub verdicts: Vec<Verdict>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.decision)?;
        for verdict in &self.verdicts {
            let outcome = match verdict.outcome {
                Outcome::OutOfScope => continue,
                Outcome::NotSatisfied => "does not hold",
                Outcome::Satisfied => "HOLDS",
                Outcome::Failed => "FAILED, therefore refused",
            };
            let effect = if verdict.permits { "permit" } else { "forbid" };
            writeln!(f, "  {effect} {}: {outcome}  ({})", verdict.policy, verdict.description)?;
        }
        let others = self.verdicts.iter().filter(|v| v.outcome == Outcome::OutOfScope).count();
        writeln!(f, "  {others} more policies are about other roles, actions or kinds")
    }
}
