//! `transaction` and `batch`.

use std::time::Duration;

use carekeep_fhir::{
    bundle::{
        BundleError, BundleKind, BundleOptions, Draft as BundleDraft, Method, Operation, Plan, Unsupported,
        write::EntryResponse,
    },
    json::{Json, Limits},
    outcome::{IssueType, Outcome},
    types::ResourceType,
};
use carekeep_kernel::{ResourceId, Timestamp};
use carekeep_policy::Role;
use carekeep_vault::{AccessError, Phi, Planned, catalogue};

use super::{
    Fhir, FhirError,
    convert::kind_of,
    write::{Place, check_version},
};

/// Limits of one bundle.
#[derive(Debug, Clone, Copy)]
pub struct BundleLimits {
    /// The most entries of a batch, and of anybody's transaction but a service account's. Default 500.
    pub entries: usize,
    /// The most entries of a service account's transaction: a whole chart that is moved here at once. Default 20,000.
    pub bulk_entries: usize,
    /// The most conditional creations and references: each is a search, done before anything is written. Default 100.
    pub conditions: usize,
    /// How long a batch goes on; the entries that are left then are answered as not done. Default 10 s.
    pub time: Duration,
    /// The most bytes. Default 64 MiB.
    pub bytes: usize,
    /// Whether entries of types that are not served are named and left out, instead of refusing the bundle.
    pub lenient: bool,
}

impl Default for BundleLimits {
    fn default() -> Self {
        Self {
            entries: 500,
            bulk_entries: 20_000,
            conditions: 100,
            time: Duration::from_secs(10),
            bytes: 64 << 20,
            lenient: false,
        }
    }
}

/// A bundle that was read; nothing was looked up or written for it yet.
pub struct ReadBundle {
    draft: BundleDraft,
    time: Duration,
    began: Timestamp,
}

impl ReadBundle {
    /// How many entries it has: that many requests it stands for.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.draft.size()
    }
}

/// What became of a bundle: one answer per entry, in its order.
pub struct BundleAnswer {
    /// Transaction or batch.
    pub kind: BundleKind,
    /// The answers.
    pub entries: Vec<EntryResponse>,
}

/// An operation with its draft, if it writes one.
struct Ready {
    index: usize,
    kind: ResourceType,
    id: ResourceId,
    base: u32,
    if_match: Option<u32>,
    method: Method,
    planned: Planned,
}

impl Fhir<'_> {
    /// Whether the caller is a program that moves records in bulk.
    #[must_use]
    pub fn is_bulk(&self) -> bool {
        self.caller.roles().contains(Role::ServiceAccount)
    }

    /// Reads a bundle, for [`Fhir::carry_out`].
    ///
    /// # Errors
    /// [`FhirError::Json`], [`FhirError::Bundle`] for what is no such bundle or larger than `limits`.
    pub fn read_bundle(&self, body: &[u8], limits: &BundleLimits) -> Result<ReadBundle, FhirError> {
        let began = self.vault.clock().now();
        let document = Json::parse(body, &Limits { bytes: limits.bytes, ..Limits::import() })?;
        let options = BundleOptions {
            base: self.base,
            max_batch: limits.entries,
            max_transaction: if self.is_bulk() { limits.bulk_entries } else { limits.entries },
            max_conditions: limits.conditions,
            unsupported: if limits.lenient { Unsupported::Report } else { Unsupported::Refuse },
        };
        let (clock, random) = (self.vault.clock(), self.vault.random());
        let draft = BundleDraft::read(document, &options, &mut || ResourceId::generate(&**clock, &**random))?;
        Ok(ReadBundle { draft, time: limits.time, began })
    }

    /// Carries out a bundle: a transaction as a whole or not at all, a batch entry by entry.
    ///
    /// # Errors
    /// For a transaction the first entry that is refused; for a batch only what keeps all of it from being done.
    pub async fn carry_out(&self, bundle: ReadBundle) -> Result<BundleAnswer, FhirError> {
        let ReadBundle { mut draft, time, began } = bundle;
        let there = self.resolve(&mut draft).await?;
        let plan = draft.plan()?;
        match plan.kind {
            BundleKind::Transaction => self.transaction(plan, there).await,
            BundleKind::Batch => self.batch(plan, there, began + time).await,
        }
    }

    /// Answers the draft's conditions and conditional references; gives the answers of entries that are there already.
    async fn resolve(&self, draft: &mut BundleDraft) -> Result<Vec<(usize, EntryResponse)>, FhirError> {
        let mut answers = Vec::new();
        let conditions: Vec<(usize, ResourceType, String)> =
            draft.conditions().map(|(index, kind, query)| (index, kind, query.to_owned())).collect();
        for (index, kind, query) in conditions {
            match self.matching(kind, &decode_query(&query)).await {
                Ok(None) => {}
                Ok(Some(found)) => {
                    draft.set_existing(index, found.id());
                    answers.push((index, there(kind, &found)));
                }
                Err(error @ FhirError::Access(AccessError::Unavailable { .. })) => return Err(error),
                Err(error) if draft.kind() == BundleKind::Batch => {
                    answers.push((index, refused(&error)));
                    draft.leave_out(index);
                }
                Err(error) => return Err(error),
            }
        }
        let references: Vec<String> = draft.conditional_references().map(str::to_owned).collect();
        for reference in references {
            let Some((kind, query)) = reference.split_once('?') else { continue };
            let Ok(kind) = kind.parse::<ResourceType>() else { continue };
            match self.matching(kind, &decode_query(query)).await {
                Ok(Some(found)) => draft.set_reference(&reference, kind, found.id()),
                Ok(None) => {}
                Err(error @ FhirError::Access(AccessError::Unavailable { .. })) => return Err(error),
                // Then it leads nowhere, which is the fault of the entries that have it.
                Err(_) if draft.kind() == BundleKind::Batch => {}
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    async fn transaction(
        &self,
        plan: Plan,
        there: Vec<(usize, EntryResponse)>,
    ) -> Result<BundleAnswer, FhirError> {
        let at = self.vault.clock().now();
        let mut ready = Vec::with_capacity(plan.operations.len());
        for operation in plan.operations {
            ready.push(self.prepare(operation, at).await?);
        }
        let mut entries: Vec<(usize, EntryResponse)> =
            ready.iter().map(|ready| (ready.index, ready.response(at))).collect();
        let (checks, planned): (Vec<_>, Vec<_>) =
            ready.into_iter().map(|ready| ((ready.base, ready.if_match), ready.planned)).unzip();
        let changes = self.vault.permit_changes(self.caller, planned).await?;
        checks.into_iter().try_for_each(|(base, if_match)| check_version(base, if_match))?;
        if !changes.is_empty() {
            self.vault.commit(self.caller, changes).await?;
        }
        entries.extend(there);
        entries.extend(plan.refused.iter().map(|refused| (refused.index, not_served(&refused.kind))));
        Ok(BundleAnswer { kind: BundleKind::Transaction, entries: in_order(entries) })
    }

    /// What was done before something went away or time ran out is told as done; the rest is told as not done.
    async fn batch(
        &self,
        plan: Plan,
        there: Vec<(usize, EntryResponse)>,
        until: Timestamp,
    ) -> Result<BundleAnswer, FhirError> {
        let at = self.vault.clock().now();
        let mut entries = Vec::with_capacity(plan.operations.len());
        let mut given_up = false;
        for operation in plan.operations {
            let index = operation.index;
            given_up = given_up || self.vault.clock().now() >= until;
            if given_up {
                entries.push((index, not_done()));
                continue;
            }
            let response = match self.alone(operation, at).await {
                Ok(response) => response,
                Err(error) => {
                    given_up = matches!(error, FhirError::Access(AccessError::Unavailable { .. }));
                    if given_up && entries.is_empty() {
                        // Nothing was done: then the whole answer may say so.
                        return Err(error);
                    }
                    refused(&error)
                }
            };
            entries.push((index, response));
        }
        entries.extend(there);
        entries.extend(plan.refused.iter().map(|refused| (refused.index, not_served(&refused.kind))));
        entries.extend(plan.faulty.into_iter().filter_map(faulty));
        Ok(BundleAnswer { kind: BundleKind::Batch, entries: in_order(entries) })
    }

    async fn alone(&self, operation: Operation, at: Timestamp) -> Result<EntryResponse, FhirError> {
        let ready = self.prepare(operation, at).await?;
        let response = ready.response(at);
        let changes = self.vault.permit_changes(self.caller, vec![ready.planned]).await?;
        check_version(ready.base, ready.if_match)?;
        self.vault.commit(self.caller, changes).await?;
        Ok(response)
    }

    /// Checks one operation and fetches what it is done to.
    async fn prepare(&self, operation: Operation, at: Timestamp) -> Result<Ready, FhirError> {
        let Operation { index, method, kind, id, if_match, resource } = operation;
        let if_match = if_match.map(|version| u32::try_from(version).unwrap_or(0));
        let missing = FhirError::Mismatch("an entry that writes needs a resource");
        let (base, planned) = match (method, resource) {
            (Method::Create, Some(document)) => {
                self.check(kind, &document)?;
                (0, Planned::Create(self.draft(kind, document, &Place { id, base: 0, at })?))
            }
            (Method::Update, Some(document)) => {
                self.check(kind, &document)?;
                let sealed = self.vault.fetch::<catalogue::Update>(self.caller, kind_of(kind), id).await?;
                let base = sealed.version();
                let document = self.merged(kind, document, &sealed).await?;
                (base, Planned::Update(self.draft(kind, document, &Place { id, base, at })?, sealed))
            }
            (Method::Delete, _) => {
                let sealed = self.vault.fetch::<catalogue::Delete>(self.caller, kind_of(kind), id).await?;
                // Now, as for an update: the next entry's fault would tell that this one's target is there.
                self.vault.may::<catalogue::Delete>(self.caller, &sealed).await?;
                if sealed.is_deleted() {
                    return Err(self.vault.gone::<catalogue::Delete>(self.caller, &sealed).await?.into());
                }
                (sealed.version(), Planned::Delete(sealed, at))
            }
            (Method::Create | Method::Update, None) => return Err(missing),
        };
        Ok(Ready { index, kind, id, base, if_match, method, planned })
    }
}

impl Ready {
    fn response(&self, at: Timestamp) -> EntryResponse {
        let status = match self.method {
            Method::Create => "201 Created",
            Method::Update => "200 OK",
            Method::Delete => "204 No Content",
        };
        EntryResponse::Done { status, kind: self.kind, id: self.id, version: u64::from(self.base) + 1, at }
    }
}

/// A conditional creation that needed nothing.
fn there(kind: ResourceType, found: &Phi) -> EntryResponse {
    EntryResponse::Done {
        status: "200 OK",
        kind,
        id: found.id(),
        version: u64::from(found.version()),
        at: found.last_updated(),
    }
}

/// The answer to an entry of a batch that was refused by itself.
fn refused(error: &FhirError) -> EntryResponse {
    EntryResponse::Refused { status: status_line(error.status()), outcome: error.outcome() }
}

/// The answer to an entry of a batch that cannot be done as it stands.
fn faulty(error: BundleError) -> Option<(usize, EntryResponse)> {
    Some((error.entry?, refused(&FhirError::Bundle(error))))
}

fn not_served(kind: &str) -> EntryResponse {
    let message =
        format!("{kind} is not served here and was not stored: see /metadata for the types that are");
    EntryResponse::Refused {
        status: "422 Unprocessable Entity",
        outcome: Outcome::error(IssueType::NotSupported, message),
    }
}

fn in_order(mut entries: Vec<(usize, EntryResponse)>) -> Vec<EntryResponse> {
    entries.sort_by_key(|(index, _)| *index);
    entries.into_iter().map(|(_, response)| response).collect()
}

/// An entry of a batch that nothing was tried for.
fn not_done() -> EntryResponse {
    let message = "not done: time ran out, or an entry before it could not be done; send this entry again";
    EntryResponse::Refused {
        status: status_line(503),
        outcome: Outcome::error(IssueType::Transient, message.to_owned()),
    }
}

const fn status_line(status: u16) -> &'static str {
    match status {
        400 => "400 Bad Request",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        410 => "410 Gone",
        412 => "412 Precondition Failed",
        422 => "422 Unprocessable Entity",
        503 => "503 Service Unavailable",
        _ => "500 Internal Server Error",
    }
}

/// Reads `a=b&c=d`, percent-decoded (WHATWG URL, "application/x-www-form-urlencoded parsing").
fn decode_query(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
