//! From a bundle to a plan, in two steps, because conditional creations and references need a look into the store:
//! [`Draft::read`], then the caller's answers, then [`Draft::plan`].

use std::collections::{BTreeMap, BTreeSet, HashSet};

use carekeep_kernel::ResourceId;

use super::{
    BundleError, BundleKind, BundleOptions, BundleProblem, Method, Operation, Plan, Refused, Unsupported,
    references::{Addresses, each_reference},
};
use crate::{
    json::{Json, Object},
    types::{ResourceType, Target, r4_type_name},
};

/// A conditional creation: which entry asks, the type, and the query to look up.
pub type Condition<'a> = (usize, ResourceType, &'a str);

struct Entry {
    index: usize,
    full_url: Option<String>,
    method: Method,
    kind: ResourceType,
    id: ResourceId,
    if_match: Option<u64>,
    if_none_exist: Option<String>,
    existing: bool,
    resource: Option<Json>,
}

/// A bundle that was read; conditions and conditional references are still open.
pub struct Draft {
    kind: BundleKind,
    entries: Vec<Entry>,
    refused: Vec<Refused>,
    faulty: Vec<BundleError>,
    conditional: BTreeMap<String, Option<String>>,
    report: bool,
    base: String,
}

type Drafted<T> = Result<T, BundleError>;

const fn whole<T>(problem: BundleProblem) -> Drafted<T> {
    Err(BundleError { problem, entry: None })
}

impl Draft {
    /// Reads a bundle. `new_id` gives the ids of what is created.
    ///
    /// # Errors
    /// [`BundleError`] of the whole bundle, or with the entry of a transaction that is refused; a batch keeps those of its
    /// entries for the plan.
    pub fn read(
        mut bundle: Json,
        options: &BundleOptions<'_>,
        new_id: &mut dyn FnMut() -> ResourceId,
    ) -> Drafted<Self> {
        if bundle.text("resourceType") != Some("Bundle") {
            return whole(BundleProblem::NotABundle);
        }
        let kind = match bundle.text("type") {
            Some("transaction") => BundleKind::Transaction,
            Some("batch") => BundleKind::Batch,
            _ => return whole(BundleProblem::WrongKind),
        };
        let entries = match bundle.as_object_mut().and_then(|object| object.remove("entry")) {
            None => Vec::new(),
            Some(Json::Array(entries)) => entries,
            Some(_) => return whole(BundleProblem::BadEntries),
        };
        let most = match kind {
            BundleKind::Transaction => options.max_transaction,
            BundleKind::Batch => options.max_batch,
        };
        if entries.len() > most {
            return whole(BundleProblem::TooManyEntries(most));
        }
        let mut draft = Self {
            kind,
            entries: Vec::with_capacity(entries.len()),
            refused: Vec::new(),
            faulty: Vec::new(),
            conditional: BTreeMap::new(),
            report: options.unsupported == Unsupported::Report,
            base: options.base.to_owned(),
        };
        for (index, entry) in entries.into_iter().enumerate() {
            if let Err(problem) = draft.add(index, entry, new_id) {
                draft.fail(index, problem)?;
            }
        }
        draft.find_conditional();
        if draft.conditions().count() + draft.conditional.len() > options.max_conditions {
            return whole(BundleProblem::TooManyConditions(options.max_conditions));
        }
        Ok(draft)
    }

    fn add(
        &mut self,
        index: usize,
        mut entry: Json,
        new_id: &mut dyn FnMut() -> ResourceId,
    ) -> Result<(), BundleProblem> {
        let object = entry.as_object_mut().ok_or(BundleProblem::BadEntries)?;
        let resource = object.remove("resource");
        let request = object.remove("request").ok_or(BundleProblem::NoRequest)?;
        let full_url = object.get("fullUrl").and_then(Json::as_str).map(str::to_owned);
        let url = request.text("url").ok_or(BundleProblem::NoRequest)?;
        let method = match request.text("method").ok_or(BundleProblem::NoRequest)? {
            "POST" => Method::Create,
            "PUT" => Method::Update,
            "DELETE" => Method::Delete,
            _ => return Err(BundleProblem::Method),
        };
        let name = url.split(['/', '?']).next().unwrap_or_default();
        let Ok(kind) = name.parse::<ResourceType>() else {
            if !self.report {
                return Err(BundleProblem::UnsupportedType);
            }
            self.refused.push(Refused { index, kind: type_name(name) });
            return Ok(());
        };
        let id = target_id(method, url, kind, new_id)?;
        check_resource(method, kind, id, resource.as_ref())?;
        let if_match = request.text("ifMatch").map(version).transpose()?;
        let condition = request.text("ifNoneExist").filter(|_| method == Method::Create).map(str::to_owned);
        self.entries.push(Entry {
            index,
            full_url,
            method,
            kind,
            id,
            if_match,
            if_none_exist: condition,
            existing: false,
            resource,
        });
        Ok(())
    }

    /// An entry that cannot be done: a batch goes on without it, a transaction does not go on.
    fn fail(&mut self, index: usize, problem: BundleProblem) -> Drafted<()> {
        let error = BundleError { problem, entry: Some(index) };
        if self.kind == BundleKind::Transaction {
            return Err(error);
        }
        // What is there already was answered, and nothing of it is written.
        if !self.entries.iter().any(|entry| entry.index == index && entry.existing) {
            self.leave_out(index);
            self.faulty.push(error);
        }
        Ok(())
    }

    fn find_conditional(&mut self) {
        let Self { entries, conditional, base, .. } = self;
        for resource in entries.iter_mut().filter_map(|entry| entry.resource.as_mut()) {
            each_reference(resource, &mut |reference| {
                if let Some(Target::Conditional(query)) =
                    reference.as_str().map(|text| Target::read(text, base))
                {
                    conditional.entry(query.to_owned()).or_insert(None);
                }
            });
        }
    }

    /// Transaction or batch.
    #[must_use]
    pub const fn kind(&self) -> BundleKind {
        self.kind
    }

    /// How many entries it has, those that are left out included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.entries.len() + self.refused.len() + self.faulty.len()
    }

    /// Creations with `ifNoneExist`: look them up, and say with [`Draft::set_existing`] what is there already.
    pub fn conditions(&self) -> impl Iterator<Item = Condition<'_>> {
        self.entries
            .iter()
            .filter_map(|entry| Some((entry.index, entry.kind, entry.if_none_exist.as_deref()?)))
    }

    /// The creation of entry `index` is not needed: this resource is there already. References go to it.
    pub fn set_existing(&mut self, index: usize, id: ResourceId) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.index == index) {
            entry.existing = true;
            entry.id = id;
        }
    }

    /// Entry `index` of a batch is not carried out: its condition was refused, and it is answered by itself.
    pub fn leave_out(&mut self, index: usize) {
        self.entries.retain(|entry| entry.index != index);
    }

    /// References like `Practitioner?identifier=...`, each once: look them up, and say with [`Draft::set_reference`] what they
    /// find. One that finds nothing, or more than one, is left; [`Draft::plan`] then refuses the bundle.
    pub fn conditional_references(&self) -> impl Iterator<Item = &str> {
        self.conditional.keys().map(String::as_str)
    }

    /// The one resource that a conditional reference finds.
    pub fn set_reference(&mut self, query: &str, kind: ResourceType, id: ResourceId) {
        if let Some(answer) = self.conditional.get_mut(query) {
            *answer = Some(format!("{kind}/{id}"));
        }
    }

    /// The plan: ids chosen, references rewritten, in the order of R4.
    ///
    /// # Errors
    /// [`BundleError`] of a transaction: duplicate addresses or targets, references that lead nowhere.
    pub fn plan(mut self) -> Drafted<Plan> {
        let addresses = self.addresses()?;
        let mut problems = Vec::new();
        let mut dangling = 0;
        for entry in &mut self.entries {
            let Some(resource) = entry.resource.as_mut() else { continue };
            let mut rewriter = Rewriter {
                addresses: &addresses,
                conditional: &self.conditional,
                full_url: entry.full_url.as_deref(),
                base: &self.base,
                report: self.report,
                dangling: 0,
                problem: None,
            };
            each_reference(resource, &mut |reference| rewriter.rewrite(reference));
            dangling += rewriter.dangling;
            problems.extend(rewriter.problem.map(|problem| (entry.index, problem)));
        }
        problems.into_iter().try_for_each(|(index, problem)| self.fail(index, problem))?;
        let mut operations: Vec<Operation> =
            self.entries.into_iter().filter(|entry| !entry.existing).map(Entry::operation).collect();
        operations.sort_by_key(|operation| match operation.method {
            Method::Delete => 0,
            Method::Create => 1,
            Method::Update => 2,
        });
        let Self { kind, refused, faulty, .. } = self;
        Ok(Plan { kind, operations, refused, faulty, dangling })
    }

    fn addresses(&mut self) -> Drafted<Addresses> {
        let mut addresses = Addresses::default();
        let mut targets = HashSet::new();
        let mut problems = Vec::new();
        for entry in &self.entries {
            if !entry.existing && !targets.insert((entry.kind, entry.id)) {
                problems.push((entry.index, BundleProblem::DuplicateTarget));
                continue;
            }
            if entry.method == Method::Delete {
                continue;
            }
            let target = || format!("{}/{}", entry.kind, entry.id);
            if let Some(address) = &entry.full_url
                && !addresses.add_full_url(address, target())
            {
                problems.push((entry.index, BundleProblem::DuplicateFullUrl));
                continue;
            }
            if let Some(old) = entry.resource.as_ref().and_then(|resource| resource.text("id")) {
                addresses.add_relative(format!("{}/{old}", entry.kind), target());
            }
        }
        problems.into_iter().try_for_each(|(index, problem)| self.fail(index, problem))?;
        Ok(addresses)
    }

    /// The types of all entries that are left out, each once.
    #[must_use]
    pub fn refused_types(&self) -> BTreeSet<&str> {
        self.refused.iter().map(|refused| refused.kind.as_str()).collect()
    }
}

impl Entry {
    fn operation(self) -> Operation {
        Operation {
            index: self.index,
            method: self.method,
            kind: self.kind,
            id: self.id,
            if_match: self.if_match,
            resource: self.resource,
        }
    }
}

struct Rewriter<'a> {
    addresses: &'a Addresses,
    conditional: &'a BTreeMap<String, Option<String>>,
    full_url: Option<&'a str>,
    base: &'a str,
    report: bool,
    dangling: usize,
    problem: Option<BundleProblem>,
}

impl Rewriter<'_> {
    fn rewrite(&mut self, reference: &mut Json) {
        let Some(text) = reference.as_str() else { return };
        if let Some(target) = self.addresses.resolve(text, self.full_url) {
            *reference = Json::string(target);
            return;
        }
        match Target::read(text, self.base) {
            Target::Conditional(query) => match self.conditional.get(query) {
                Some(Some(target)) => *reference = Json::string(target),
                _ if self.report => self.dangling += 1,
                _ => self.problem = self.problem.or(Some(BundleProblem::ConditionalReference)),
            },
            Target::Urn(_) if self.report => self.dangling += 1,
            Target::Urn(text) if text.starts_with("urn:uuid:") => {
                self.problem = self.problem.or(Some(BundleProblem::Dangling));
            }
            _ => {}
        }
    }
}

/// `POST Type` gets a fresh id; `PUT` and `DELETE` need `Type/id` of ours.
fn target_id(
    method: Method,
    url: &str,
    kind: ResourceType,
    new_id: &mut dyn FnMut() -> ResourceId,
) -> Result<ResourceId, BundleProblem> {
    if url.contains('?') {
        return Err(BundleProblem::ConditionalWrite);
    }
    let rest = url.strip_prefix(kind.as_str()).unwrap_or_default();
    match (method, rest.strip_prefix('/')) {
        (Method::Create, None) if rest.is_empty() => Ok(new_id()),
        (Method::Update | Method::Delete, Some(id)) => id.parse().map_err(|_| BundleProblem::Url),
        _ => Err(BundleProblem::Url),
    }
}

fn check_resource(
    method: Method,
    kind: ResourceType,
    id: ResourceId,
    resource: Option<&Json>,
) -> Result<(), BundleProblem> {
    let object: Option<&Object> = resource.and_then(Json::as_object);
    match (method, object) {
        (Method::Delete, None) if resource.is_none() => Ok(()),
        (Method::Create | Method::Update, Some(object)) => {
            let text = |key| object.get(key).and_then(Json::as_str);
            let same_id = method == Method::Create || text("id") == Some(id.to_string().as_str());
            let same = text("resourceType") == Some(kind.as_str()) && same_id;
            if same { Ok(()) } else { Err(BundleProblem::Mismatch) }
        }
        _ => Err(BundleProblem::Resource),
    }
}

/// `W/"3"`, as R4 writes versions in `ifMatch`.
fn version(text: &str) -> Result<u64, BundleProblem> {
    let inner = text.strip_prefix("W/\"").and_then(|rest| rest.strip_suffix('"'));
    inner.and_then(|digits| digits.parse().ok()).ok_or(BundleProblem::IfMatch)
}

/// A type's name for a report: only if there is such a type.
fn type_name(name: &str) -> String {
    r4_type_name(name).unwrap_or("(no type of R4)").to_owned()
}
