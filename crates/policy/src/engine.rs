//! Compiled policies and the decision.
//!
//! Invariant: whatever goes wrong, the answer is a refusal. Cedar *skips* a policy that fails, so that a failing
//! `forbid` would turn into Allow; here one failure refuses.

use std::collections::HashMap;

use aws_lc_rs::digest::{Context as Digest, SHA256};
use cedar_policy::{
    AuthorizationError, Authorizer, Decision as CedarDecision, Entities, PolicyId, PolicySet, Request,
    Response, Schema,
};

use crate::{
    AccessRequest, Action, Context, Decision, DenyReason, Explanation, PolicyError, PolicyIds, PolicySource,
    Projection, ResourceKind, RoleSet,
    decision::{Outcome, Verdict},
    entities::ask,
    memo::Memo,
    request::Aal,
    rules::{Rule, Strictness, access_rules, policy_set, schema, validate},
    scope::Scope,
    slices::Slices,
    vocabulary::Vocabulary,
};

/// The base policies, or the base and a tenant's own, ready to decide.
#[derive(Debug)]
pub struct Engine {
    words: Vocabulary,
    schema: Schema,
    rules: Vec<Rule>,
    by_id: HashMap<PolicyId, usize>,
    all: PolicySet,
    slices: Slices,
    memo: Memo,
    authorizer: Authorizer,
    digest: [u8; 32],
    has_overlay: bool,
}

impl Engine {
    /// Parses, strictly validates and slices the base policies and a tenant's `overlay` (Cedar text).
    ///
    /// An overlay that compiles is not yet safe: only a proof ([`crate::prove`]) makes it so, and
    /// [`crate::ActivePolicy`] asks for one.
    ///
    /// # Errors
    /// [`PolicyError`] with file and line for the first policy that is not Cedar, does not fit the schema, has no
    /// `@id`, `@description` or (permits) `@projection`, or an annotation that means nothing.
    pub fn compile(source: &PolicySource, overlay: Option<&str>) -> Result<Self, PolicyError> {
        let words = Vocabulary::new()?;
        let schema = schema(source)?;
        words.check(&schema)?;
        let rules = access_rules(source, overlay, Strictness::ForUse)?.rules;
        validate(&rules, &schema)?;
        let scopes = rules.iter().map(|rule| Scope::of(&rule.policy, &schema)).collect();
        Ok(Self {
            by_id: rules.iter().enumerate().map(|(at, rule)| (rule.policy.id().clone(), at)).collect(),
            all: policy_set(rules.iter())?,
            memo: Memo::default(),
            slices: Slices::new(&rules, scopes, &schema)?,
            authorizer: Authorizer::new(),
            digest: digest(source, overlay),
            has_overlay: overlay.is_some(),
            words,
            schema,
            rules,
        })
    }

    /// Decides.
    pub fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        self.decide_by_slice(request, true)
    }

    /// Decides by evaluating, without looking whether the same was asked before. What [`Engine::decide`] must agree
    /// with.
    pub fn decide_anew(&self, request: &AccessRequest<'_>) -> Decision {
        self.decide_by_slice(request, false)
    }

    /// Decides with every policy, relevant or not. Slow; what [`Engine::decide`] must agree with.
    pub fn decide_unsliced(&self, request: &AccessRequest<'_>) -> Decision {
        if !self.knows(request.action, request.resource.kind) {
            return unknown();
        }
        self.decide_with(&self.all, request)
    }

    /// Whether `action` on things of `kind` is something that policies can be about. If not, it is refused.
    #[must_use]
    pub fn knows(&self, action: Action, kind: ResourceKind) -> bool {
        self.slices.knows(action, kind.class())
    }

    /// Whether some policy could permit `action` on some thing of `kind` to somebody with `roles`. If not, the
    /// answer is 403 without looking at a row; if so, a refusal of one row is 404.
    #[must_use]
    pub fn may_ever(&self, roles: RoleSet, action: Action, kind: ResourceKind) -> bool {
        self.slices.any_permit(&self.rules, action, kind.class(), roles)
    }

    /// Whether some policy could show some thing of `kind` by one of `projections` to somebody with `roles`. If not, what only
    /// these show is refused without looking at a row.
    #[must_use]
    pub fn may_ever_show(
        &self,
        roles: RoleSet,
        action: Action,
        kind: ResourceKind,
        projections: &[Projection],
    ) -> bool {
        self.slices
            .projections(&self.rules, action, kind.class(), roles)
            .any(|shown| projections.contains(&shown))
    }

    /// What became of each policy.
    #[must_use]
    pub fn explain(&self, request: &AccessRequest<'_>) -> Explanation {
        let decision = self.decide_unsliced(request);
        let verdicts = self.rules.iter().enumerate().map(|(at, rule)| Verdict {
            policy: rule.id.clone(),
            permits: rule.permits(),
            description: rule.description.to_string(),
            outcome: self.outcome(at, request),
        });
        Explanation { decision, verdicts: verdicts.collect() }
    }

    /// SHA-256 over schema and policies, overlay included; recorded in the audit ledger.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whether a tenant's own policies are part of it.
    #[must_use]
    pub const fn has_overlay(&self) -> bool {
        self.has_overlay
    }

    /// Ids and descriptions of the policies, in the order of the files.
    pub fn policies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules.iter().map(|rule| (&*rule.id, &*rule.description))
    }

    fn decide_by_slice(&self, request: &AccessRequest<'_>, remember: bool) -> Decision {
        if !self.knows(request.action, request.resource.kind) {
            return unknown();
        }
        let class = request.resource.kind.class();
        match self.slices.get(&self.rules, request.action, class, request.principal.roles) {
            Ok(slice) if remember && slice.generic => {
                self.memo.get_or(request, || self.decide_with(&slice.policies, request))
            }
            Ok(slice) => self.decide_with(&slice.policies, request),
            Err(_) => failed(),
        }
    }

    fn outcome(&self, at: usize, request: &AccessRequest<'_>) -> Outcome {
        let rule = &self.rules[at];
        let class = request.resource.kind.class();
        if !self.slices.in_scope(at, request.action, class, request.principal.roles) {
            return Outcome::OutOfScope;
        }
        let (Ok(set), Ok((cedar, entities))) = (policy_set(std::iter::once(rule)), ask(&self.words, request))
        else {
            return Outcome::Failed;
        };
        let response = self.authorizer.is_authorized(&cedar, &set, &entities);
        if response.diagnostics().errors().next().is_some() {
            Outcome::Failed
        } else if response.diagnostics().reason().next().is_some() {
            Outcome::Satisfied
        } else {
            Outcome::NotSatisfied
        }
    }

    fn decide_with(&self, set: &PolicySet, request: &AccessRequest<'_>) -> Decision {
        let Ok((cedar, entities)) = ask(&self.words, request) else { return failed() };
        let response = self.authorizer.is_authorized(&cedar, set, &entities);
        if response.diagnostics().errors().next().is_some() {
            let ids = response.diagnostics().errors().map(|error| match error {
                AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
            });
            return Decision::Deny { reason: DenyReason::EvaluationError, policies: self.names(ids) };
        }
        let mut determining = response.diagnostics().reason();
        match response.decision() {
            CedarDecision::Allow => {
                let widest = determining.filter_map(|id| self.rule(id)).map(|rule| rule.projection).max();
                match widest {
                    Some(projection) => Decision::Allow { projection, policies: self.reasons(&response) },
                    None => failed(),
                }
            }
            CedarDecision::Deny if determining.next().is_none() => {
                Decision::Deny { reason: DenyReason::NoPermit, policies: PolicyIds::new() }
            }
            CedarDecision::Deny => Decision::Deny {
                reason: self.reason(set, request, &response),
                policies: self.reasons(&response),
            },
        }
    }

    /// The reason to tell. "Present another factor" and "confirm this device" are said only if that would help: otherwise it
    /// would send somebody through a ceremony for nothing.
    fn reason(&self, set: &PolicySet, request: &AccessRequest<'_>, response: &Response) -> DenyReason {
        let reasons = response.diagnostics().reason().filter_map(|id| self.rule(id)).map(|rule| rule.deny);
        let is_step_up = |r: &DenyReason| {
            matches!(
                r,
                DenyReason::NeedsSecondFactor | DenyReason::NeedsFreshFactor | DenyReason::NeedsKnownDevice
            )
        };
        let (step_up, hard): (Vec<_>, Vec<_>) = reasons.partition(is_step_up);
        if let Some(worst) = hard.into_iter().max() {
            return worst;
        }
        let context = Context {
            aal: request.context.aal.max(Aal::Two),
            factor_age_seconds: 0,
            known_device: true,
            ..*request.context
        };
        let stepped_up = AccessRequest { context: &context, ..*request };
        match ask(&self.words, &stepped_up).map(|(cedar, entities)| self.allows(set, &cedar, &entities)) {
            Ok(true) => step_up.into_iter().min().unwrap_or(DenyReason::Forbidden),
            Ok(false) => DenyReason::NoPermit,
            Err(_) => DenyReason::EvaluationError,
        }
    }

    fn allows(&self, set: &PolicySet, request: &Request, entities: &Entities) -> bool {
        let response = self.authorizer.is_authorized(request, set, entities);
        response.decision() == CedarDecision::Allow && response.diagnostics().errors().next().is_none()
    }

    fn rule(&self, id: &PolicyId) -> Option<&Rule> {
        self.by_id.get(id).map(|&at| &self.rules[at])
    }

    fn reasons(&self, response: &Response) -> PolicyIds {
        self.names(response.diagnostics().reason())
    }

    fn names<'a>(&self, ids: impl Iterator<Item = &'a PolicyId>) -> PolicyIds {
        let mut names: PolicyIds = ids.filter_map(|id| self.rule(id)).map(|rule| rule.id.clone()).collect();
        names.sort_unstable();
        names
    }

    /// The schema, the request and the entities of a decision, so that a test can validate them.
    #[doc(hidden)]
    #[must_use]
    pub fn conforms(&self, request: &AccessRequest<'_>) -> bool {
        let Ok((cedar, entities)) = ask(&self.words, request) else { return false };
        let (Some(principal), Some(action), Some(resource), Some(context)) =
            (cedar.principal(), cedar.action(), cedar.resource(), cedar.context())
        else {
            return false;
        };
        let checked = Request::new(
            principal.clone(),
            action.clone(),
            resource.clone(),
            context.clone(),
            Some(&self.schema),
        );
        checked.is_ok() && Entities::from_entities(entities, Some(&self.schema)).is_ok()
    }
}

fn unknown() -> Decision {
    Decision::Deny { reason: DenyReason::NoPermit, policies: PolicyIds::new() }
}

fn failed() -> Decision {
    Decision::Deny { reason: DenyReason::EvaluationError, policies: PolicyIds::new() }
}

/// Each part goes in with its length, so that moving text from one file to the next changes the digest.
pub(crate) fn digest(source: &PolicySource, overlay: Option<&str>) -> [u8; 32] {
    let mut digest = Digest::new(&SHA256);
    let mut part = |text: &str| {
        digest.update(&(text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    };
    part("carekeep-policy-v1");
    part(source.schema());
    for (name, text) in source.files() {
        part(name);
        part(text);
    }
    if let Some(overlay) = overlay {
        part("overlay");
        part(overlay);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.finish().as_ref());
    bytes
}
