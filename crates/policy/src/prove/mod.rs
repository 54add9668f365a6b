//! Proof, by SMT, that policies keep the platform's invariants for *every* request, not only for those tested.
//!
//! For each request environment of the schema (principal type, action, resource type):
//! - no request is both allowed and a violation that `invariants/*.cedar` describes;
//! - no policy can fail (a failing policy would refuse everything it is asked about);
//! - and over all environments, every permit can take effect and every forbid and invariant can match: a policy that
//!   never does anything is a mistake, and an invariant that matches nothing proves nothing.
//!
//! Invariant: `unknown`, a timeout or a solver that is gone is "not proven", never "proven".

mod counterexample;
mod report;
mod worker;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use tokio::task::JoinSet;

pub use counterexample::Counterexample;
pub use report::{ProofReport, Property, Violation};

use crate::{
    PolicyError, PolicySource,
    engine::digest,
    rules::{Strictness, access_rules, invariants, schema, validate},
    scope::Scope,
    vocabulary::Vocabulary,
};
use worker::{Findings, Job, Subject};

/// No proof could be attempted, or it did not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The policies are so wrong that there is nothing to prove about them.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The solver does not start.
    #[error(
        "cannot start the SMT solver {path}: {source}; install it (Debian package cvc5) or say where it is. Without \
         it no tenant policy can go live"
    )]
    NoSolver {
        /// What was started.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The solver gave no answer, or an answer that makes no sense.
    #[error("not proven: {policy} for {environment}: {message}; make the policy's conditions simpler")]
    Undecided {
        /// The policies that were looked at.
        policy: String,
        /// Action and class of data.
        environment: String,
        /// What the solver or the compiler said.
        message: String,
    },
    /// A part of the proof ended without a result.
    #[error("not proven: a part of the proof broke off: {0}; run it again and report this")]
    BrokeOff(String),
}

/// Proves, or shows by a concrete request why not.
///
/// Reads more leniently than [`crate::Engine::compile`]: a policy without `@id` or `@projection` is analysed too (as one
/// that shows everything), and its lack is a fault of the report.
///
/// # Errors
/// [`ProofError`] if nothing can be said: the policies do not fit the schema, no solver, no answer.
pub async fn prove(
    source: &PolicySource,
    overlay: Option<&str>,
    cvc5: &Path,
) -> Result<ProofReport, ProofError> {
    let began = Instant::now();
    let (job, faults) = prepare(source, overlay, cvc5)?;
    let job = Arc::new(job);
    let mut workers = JoinSet::new();
    for _ in 0..std::thread::available_parallelism().map_or(2, usize::from).min(4) {
        workers.spawn(worker::work(Arc::clone(&job)));
    }
    let mut findings = Findings::default();
    while let Some(done) = workers.join_next().await {
        findings.merge(done.map_err(|error| ProofError::BrokeOff(error.to_string()))??);
    }
    Ok(ProofReport::new(&job, findings, faults, digest(source, overlay), began.elapsed()))
}

fn prepare(
    source: &PolicySource,
    overlay: Option<&str>,
    cvc5: &Path,
) -> Result<(Job, Vec<String>), ProofError> {
    let schema = schema(source)?;
    Vocabulary::new()?.check(&schema)?;
    let access = access_rules(source, overlay, Strictness::ForProof)?;
    let invariants = invariants(source)?.rules;
    validate(&access.rules, &schema)?;
    validate(&invariants, &schema)?;
    let subject = |rule: crate::rules::Rule| Subject { scope: Scope::of(&rule.policy, &schema), rule };
    let faults = access.faults.iter().map(ToString::to_string).collect();
    let access = access.rules.into_iter().map(subject).collect();
    let invariants = invariants.into_iter().map(subject).collect();
    Ok((Job::new(schema, access, invariants, cvc5.to_owned()), faults))
}
