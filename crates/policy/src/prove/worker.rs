//! One worker: takes environments one by one, with a solver process of its own.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use cedar_policy::{Policy, PolicyId, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::{
    CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env,
    err::Error as SymError,
    solver::{LocalSolver, SolverError},
};
use tokio::process::Command;

use super::{Counterexample, ProofError, Property, Violation};
use crate::{
    Action, PolicyError, Projection,
    action::Class,
    rules::{Rule, chain, policy_set},
    scope::{Scope, places},
};

/// Milliseconds for one query. The shipped policies need some tens.
const QUERY_LIMIT: &str = "--tlimit-per=20000";

/// A policy and where it can matter.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) rule: Rule,
    pub(super) scope: Scope,
}

/// All that is to be proven.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) schema: Schema,
    pub(super) access: Vec<Subject>,
    pub(super) invariants: Vec<Subject>,
    pub(super) environments: Vec<(RequestEnv, Action, Class)>,
    cvc5: PathBuf,
    next: AtomicUsize,
    /// Ids of what was seen to take effect, or to be violated: one example is enough.
    effective: Mutex<BTreeSet<String>>,
    violated: Mutex<BTreeSet<String>>,
}

/// What the workers found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) violations: Vec<Violation>,
    pub(super) queries: usize,
    pub(super) slowest: Duration,
}

impl Findings {
    pub(super) fn merge(&mut self, other: Self) {
        self.violations.extend(other.violations);
        self.queries += other.queries;
        self.slowest = self.slowest.max(other.slowest);
    }
}

impl Job {
    pub(super) fn new(schema: Schema, access: Vec<Subject>, invariants: Vec<Subject>, cvc5: PathBuf) -> Self {
        let known = |env: RequestEnv| {
            let (action, class) = places(&env)?;
            Some((env, action, class))
        };
        let environments = schema.request_envs().filter_map(known).collect();
        Self {
            schema,
            access,
            invariants,
            environments,
            cvc5,
            next: AtomicUsize::new(0),
            effective: Mutex::default(),
            violated: Mutex::default(),
        }
    }

    pub(super) fn is_effective(&self, rule: &Rule) -> bool {
        self.effective.lock().unwrap_or_else(PoisonError::into_inner).contains(&*rule.id)
    }

    fn is_violated(&self, rule: &Rule) -> bool {
        self.violated.lock().unwrap_or_else(PoisonError::into_inner).contains(&*rule.id)
    }

    fn set_effective(&self, rule: &Rule) {
        self.effective.lock().unwrap_or_else(PoisonError::into_inner).insert(rule.id.to_string());
    }

    /// Whether this is news.
    fn set_violated(&self, rule: &Rule) -> bool {
        self.violated.lock().unwrap_or_else(PoisonError::into_inner).insert(rule.id.to_string())
    }
}

pub(super) async fn work(job: std::sync::Arc<Job>) -> Result<Findings, ProofError> {
    let mut worker = Worker { solver: start(&job.cvc5)?, job: &job, findings: Findings::default() };
    while let Some((env, action, class)) = job.environments.get(job.next.fetch_add(1, Ordering::Relaxed)) {
        let place = Place { env, action: *action, class: *class };
        Box::pin(worker.invariants(place)).await?;
        Box::pin(worker.never_fails(place)).await?;
        Box::pin(worker.takes_effect(place)).await?;
    }
    Ok(worker.findings)
}

fn start(cvc5: &std::path::Path) -> Result<CedarSymCompiler<LocalSolver>, ProofError> {
    let mut command = Command::new(cvc5);
    command.args(["--lang", "smt", QUERY_LIMIT]).kill_on_drop(true);
    let no_solver = |source| ProofError::NoSolver { path: cvc5.to_owned(), source };
    let solver = LocalSolver::from_command(&mut command).map_err(|error| match error {
        SolverError::Io(source) => no_solver(source),
        other => no_solver(std::io::Error::other(other)),
    })?;
    CedarSymCompiler::new(solver).map_err(|error| no_solver(std::io::Error::other(chain(&error))))
}

/// Keeps the numbers of a counterexample to those that a session can have.
fn plausibility() -> Result<Policy, PolicyError> {
    let text = "forbid (principal, action, resource) unless { context.aal >= 1 && context.aal <= 3 && \
                context.factorAge >= 0 && context.factorAge <= 86400 };";
    Policy::parse(Some(PolicyId::new("plausible")), text)
        .map_err(|error| PolicyError::Vocabulary(chain(&error)))
}

/// An environment.
#[derive(Clone, Copy)]
struct Place<'a> {
    env: &'a RequestEnv,
    action: Action,
    class: Class,
}

impl Place<'_> {
    fn undecided(self, policy: &str) -> impl FnOnce(SymError) -> ProofError {
        let environment = format!("{} on {}", self.action, self.class);
        let policy = policy.to_owned();
        move |error| ProofError::Undecided { policy, environment, message: chain(&error) }
    }
}

struct Worker<'j> {
    solver: CedarSymCompiler<LocalSolver>,
    job: &'j Job,
    findings: Findings,
}

impl<'j> Worker<'j> {
    fn in_scope(
        subjects: &'j [Subject],
        place: Place<'_>,
    ) -> impl Iterator<Item = &'j Rule> + Clone + use<'j> {
        let (action, class) = (place.action, place.class);
        subjects.iter().filter(move |s| s.scope.covers(action, class)).map(|subject| &subject.rule)
    }

    /// All that is allowed with a projection wider than `beyond`, and the violations of that breadth.
    async fn invariants(&mut self, place: Place<'_>) -> Result<(), ProofError> {
        let breadths: BTreeSet<Option<Projection>> =
            self.job.invariants.iter().map(|subject| subject.rule.beyond).collect();
        for beyond in breadths {
            let access: Vec<&Rule> = Self::in_scope(&self.job.access, place)
                .filter(|rule| !rule.permits() || beyond.is_none_or(|beyond| rule.projection > beyond))
                .collect();
            let violations: Vec<&Rule> = Self::in_scope(&self.job.invariants, place)
                .filter(|rule| rule.beyond == beyond && !self.job.is_violated(rule))
                .collect();
            if violations.is_empty() || !access.iter().any(|rule| rule.permits()) {
                continue;
            }
            let access_set = policy_set(access.into_iter())?;
            let allowed = self.compile(&access_set, place, "the policies")?;
            // All violations at once: if no request is in their union, none is in any of them.
            let union = self.compile(&policy_set(violations.iter().copied())?, place, "the invariants")?;
            if self.disjoint(&allowed, &union, place).await? {
                continue;
            }
            for rule in violations {
                self.violation(rule, &allowed, &access_set, place).await?;
            }
        }
        Ok(())
    }

    async fn disjoint(
        &mut self,
        allowed: &CompiledPolicySet,
        union: &CompiledPolicySet,
        place: Place<'_>,
    ) -> Result<bool, ProofError> {
        let began = Instant::now();
        let disjoint = self.solver.check_disjoint_opt(allowed, union).await;
        self.count(began);
        disjoint.map_err(place.undecided("the invariants"))
    }

    async fn violation(
        &mut self,
        rule: &Rule,
        allowed: &CompiledPolicySet,
        access: &PolicySet,
        place: Place<'_>,
    ) -> Result<(), ProofError> {
        let alone = policy_set(std::iter::once(rule))?;
        let mut plausible = alone.clone();
        plausible.add(plausibility()?).map_err(|error| PolicyError::Vocabulary(chain(&error)))?;
        // A request as it could really come tells more; if there is none, any will do.
        let mut found = None;
        for set in [plausible, alone] {
            let violation = self.compile(&set, place, &rule.id)?;
            let began = Instant::now();
            let example = self.solver.check_disjoint_with_counterexample_opt(allowed, &violation).await;
            self.count(began);
            found = example.map_err(place.undecided(&rule.id))?;
            if found.is_some() {
                break;
            }
        }
        if let Some(example) = found
            && self.job.set_violated(rule)
        {
            self.report(Property::Invariant, rule, Some((&example, access)));
        }
        Ok(())
    }

    async fn never_fails(&mut self, place: Place<'_>) -> Result<(), ProofError> {
        for rule in Self::in_scope(&self.job.access, place).chain(Self::in_scope(&self.job.invariants, place))
        {
            let policy = CompiledPolicy::compile(&rule.policy, place.env, &self.job.schema)
                .map_err(place.undecided(&rule.id))?;
            let began = Instant::now();
            let found = self.solver.check_never_errors_with_counterexample_opt(&policy).await;
            self.count(began);
            if let Some(example) = found.map_err(place.undecided(&rule.id))? {
                let alone = policy_set(std::iter::once(rule))?;
                self.report(Property::NeverFails, rule, Some((&example, &alone)));
            }
        }
        Ok(())
    }

    /// Looks for a request that a permit allows in spite of the forbids, and that a forbid or an invariant matches.
    async fn takes_effect(&mut self, place: Place<'_>) -> Result<(), ProofError> {
        let forbids: Vec<&Rule> =
            Self::in_scope(&self.job.access, place).filter(|rule| !rule.permits()).collect();
        for subject in self.job.access.iter().chain(&self.job.invariants) {
            let rule = &subject.rule;
            if !subject.scope.covers(place.action, place.class) || self.job.is_effective(rule) {
                continue;
            }
            let began = Instant::now();
            let never = if rule.permits() && rule.origin != crate::rules::Origin::Invariant {
                let set = policy_set(forbids.iter().copied().chain(std::iter::once(rule)))?;
                let set = self.compile(&set, place, &rule.id)?;
                self.solver.check_always_denies_opt(&set).await
            } else {
                let policy = CompiledPolicy::compile(&rule.policy, place.env, &self.job.schema)
                    .map_err(place.undecided(&rule.id))?;
                self.solver.check_never_matches_opt(&policy).await
            };
            self.count(began);
            if !never.map_err(place.undecided(&rule.id))? {
                self.job.set_effective(rule);
            }
        }
        Ok(())
    }

    fn compile(
        &self,
        set: &PolicySet,
        place: Place<'_>,
        what: &str,
    ) -> Result<CompiledPolicySet, ProofError> {
        CompiledPolicySet::compile(set, place.env, &self.job.schema).map_err(place.undecided(what))
    }

    fn count(&mut self, began: Instant) {
        self.findings.queries += 1;
        self.findings.slowest = self.findings.slowest.max(began.elapsed());
    }

    fn report(&mut self, property: Property, rule: &Rule, example: Option<(&Env, &PolicySet)>) {
        self.findings.violations.push(Violation {
            property,
            policy: rule.id.clone(),
            place: rule.place.clone(),
            description: rule.description.to_string(),
            example: example.map(|(env, set)| Counterexample::new(env, set)),
        });
    }
}
