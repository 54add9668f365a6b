//! The audit writer: one lane per tenant and process, many entries per commit.
//!
//! Invariants:
//! - An answer of `Ok` means that the entry is committed and flushed. On any doubt the answer is an error, and whoever
//!   waited shows nothing; the entry may then exist for something that was never shown, never the other way round.
//! - Indexes have no gaps: a batch is inserted at exactly the tree's size, and the primary key decides between
//!   processes. Whoever loses reads what the winner wrote and tries again.

use std::{sync::Arc, time::Duration};

use carekeep_batch::{Batcher, Lane};
use carekeep_kernel::{Clock, EntryId, Random, ResourceId, TenantId, Timestamp};
use carekeep_ledger::{
    Actor, Checkpoint, Entry, Frontier, LeafHash, Outcome, ResourceRef, SealedDetail, SignedCheckpoint,
    leaf_hash,
};
use carekeep_policy::Purpose;
use carekeep_pool::TenantPool;
use sqlx::{PgConnection, Row};

use crate::{AccessError, Caller, config::moment, log_signer::LogSigner, sqlstate};

/// What a recorded access was about.
pub(crate) struct Note {
    pub(crate) action: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) resources: Vec<ResourceRef>,
    pub(crate) patients: Vec<[u8; 16]>,
    pub(crate) outcome: Outcome,
    pub(crate) grounds: Grounds,
    pub(crate) policy_digest: [u8; 32],
    /// Sealed by the caller of the recorder: address, query text.
    pub(crate) detail: Option<Vec<u8>>,
}

/// What a decision rests on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grounds {
    /// The policies that determined it.
    pub(crate) policies: Vec<String>,
    /// The purposes for which it was asked; none stands for the caller's first one.
    pub(crate) purposes: Vec<Purpose>,
}

impl Grounds {
    /// Policy may say yes; the scopes of the app that asks do not.
    pub(crate) fn out_of_scope() -> Self {
        Self { policies: vec!["smart.scope".to_owned()], purposes: Vec::new() }
    }

    /// Several decisions in one entry: each policy and purpose once.
    pub(crate) fn add(&mut self, other: Self) {
        self.policies.extend(other.policies);
        self.policies.sort_unstable();
        self.policies.dedup();
        self.purposes.extend(other.purposes);
        self.purposes.sort_unstable();
        self.purposes.dedup();
    }

    fn purpose(&self, caller: &Caller) -> String {
        if self.purposes.is_empty() {
            return caller.purpose().as_str().to_owned();
        }
        self.purposes.iter().map(|purpose| purpose.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// One resource in an entry.
pub(crate) fn reference(id: ResourceId, version: u32) -> ResourceRef {
    ResourceRef { id, version: (version > 0).then(|| u64::from(version)) }
}

/// How long a request waits for its entry to be durable. Longer, and it is answered 503: within 5 s of its beginning
/// (BARS A1), of which fetching and a busy machine take their part.
const RECORD_LIMIT: Duration = Duration::from_millis(3_000);
/// How many entries share one commit.
const BATCH: usize = 256;
/// A checkpoint is due after this many entries ...
const CHECKPOINT_ENTRIES: u64 = 1_000;
/// ... or this long after the last one, idle or not (BARS A3).
const CHECKPOINT_AGE: Duration = Duration::from_secs(55);

/// Takes notes and waits until they are durable.
pub(crate) struct Recorder {
    lane: Entries,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// What is handed in together is durable together.
type Entries = Batcher<Vec<Entry>, Result<(), AccessError>>;

impl Recorder {
    pub(crate) fn new(lane: Entries, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { lane, clock, random }
    }

    /// The entry about what `caller` does or was refused, not recorded yet.
    pub(crate) fn entry(&self, caller: &Caller, note: Note) -> Entry {
        Entry {
            version: Entry::VERSION,
            tenant: caller.tenant(),
            // Given by the lane when its place in the tree is known.
            index: 0,
            id: EntryId::generate(&*self.clock, &*self.random),
            at: self.clock.now(),
            request: Some(caller.request()),
            actor: Actor {
                person: Some(caller.person()),
                session: Some(caller.session()),
                roles: caller.roles().iter().map(|role| role.as_str().to_owned()).collect(),
                aal: caller.aal() as u8,
                device: caller.device,
            },
            action: note.action.to_owned(),
            kind: note.kind.to_owned(),
            resources: note.resources,
            patients: note.patients,
            purpose: note.grounds.purpose(caller),
            consent: None,
            break_glass: false,
            outcome: note.outcome,
            policies: note.grounds.policies,
            policy_digest: note.policy_digest,
            detail: note.detail.map(SealedDetail),
        }
    }

    /// Records. When this returns `Ok`, all the entries are durable.
    pub(crate) async fn append(&self, entries: Vec<Entry>) -> Result<(), AccessError> {
        match tokio::time::timeout(RECORD_LIMIT, self.lane.submit(entries)).await {
            Ok(Ok(recorded)) => recorded,
            Ok(Err(_)) => Err(AccessError::unavailable("audit", "the writer has stopped")),
            Err(_) => Err(AccessError::unavailable("audit", "not durable in time")),
        }
    }
}

/// Appends batches to one tenant's tree.
pub(crate) struct AuditLane {
    tenant: TenantId,
    pool: Arc<TenantPool>,
    signer: LogSigner,
    clock: Arc<dyn Clock>,
    /// The tree as this process knows it; `None` until read, and again after any doubt.
    frontier: Option<Frontier>,
    signed: Option<(u64, Timestamp)>,
}

impl AuditLane {
    pub(crate) fn new(
        tenant: TenantId,
        pool: Arc<TenantPool>,
        signer: LogSigner,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { tenant, pool, signer, clock, frontier: None, signed: None }
    }

    async fn append_all(&mut self, entries: &mut [Entry]) -> Result<(), sqlx::Error> {
        for batch in entries.chunks_mut(BATCH) {
            self.append(batch).await?;
        }
        Ok(())
    }

    async fn append(&mut self, entries: &mut [Entry]) -> Result<(), sqlx::Error> {
        let mut lease = self.pool.lease().await?;
        let connection = lease.connection()?;
        let mut frontier = match self.frontier.take() {
            Some(frontier) => frontier,
            None => load_frontier(connection, &self.signer).await?,
        };
        // Each lost race is somebody else's progress, and losing many in a row is common among busy processes: only the
        // time limit around this ends it.
        loop {
            let batch = encode(entries, frontier.size());
            match insert(connection, frontier.size(), &batch).await {
                Ok(()) => {
                    batch.leaves.iter().for_each(|leaf| frontier.push(*leaf));
                    self.checkpoint_if_due(connection, &frontier).await?;
                    self.frontier = Some(frontier);
                    lease.give_back();
                    return Ok(());
                }
                Err(error) if is_taken(&error) => extend(connection, &mut frontier).await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn checkpoint_if_due(
        &mut self,
        connection: &mut PgConnection,
        frontier: &Frontier,
    ) -> Result<(), sqlx::Error> {
        let now = self.clock.now();
        let due = self.signed.is_none_or(|(size, at)| {
            frontier.size() >= size + CHECKPOINT_ENTRIES || now >= at + CHECKPOINT_AGE
        });
        if !due {
            return Ok(());
        }
        let signed = Checkpoint::new(self.tenant, frontier.size(), frontier.root(), now)
            .sign(&self.signer)
            .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        sqlx::query(
            "INSERT INTO audit_checkpoint (size, at, note, frontier) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(i64::try_from(frontier.size()).unwrap_or(i64::MAX))
        .bind(moment(now))
        .bind(signed.to_string())
        .bind(frontier.to_bytes())
        .execute(connection)
        .await?;
        self.signed = Some((frontier.size(), now));
        Ok(())
    }

    async fn heartbeat(&mut self) -> Result<(), sqlx::Error> {
        let mut lease = self.pool.lease().await?;
        let connection = lease.connection()?;
        let mut frontier = match self.frontier.take() {
            Some(frontier) => frontier,
            None => load_frontier(connection, &self.signer).await?,
        };
        extend(connection, &mut frontier).await?;
        self.checkpoint_if_due(connection, &frontier).await?;
        self.frontier = Some(frontier);
        lease.give_back();
        Ok(())
    }
}

impl Lane for AuditLane {
    type Item = Vec<Entry>;
    type Answer = Result<(), AccessError>;

    async fn run(&mut self, items: Vec<Vec<Entry>>) -> Vec<Self::Answer> {
        let count = items.len();
        let mut entries: Vec<Entry> = items.into_iter().flatten().collect();
        let appended = tokio::time::timeout(RECORD_LIMIT, self.append_all(&mut entries)).await;
        let answer = match appended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(AccessError::unavailable("audit", sqlstate(&error))),
            Err(_) => Err(AccessError::unavailable("audit", "commit limit")),
        };
        if answer.is_err() {
            // Whether the batch was committed is unknown: read the tree again before the next one.
            self.frontier = None;
        }
        vec![answer; count]
    }

    async fn idle(&mut self) {
        if self.signed.is_none_or(|(_, at)| self.clock.now() < at + CHECKPOINT_AGE) {
            return;
        }
        // Bounded: while the lane waits here, nobody's entry is written.
        let cause = match tokio::time::timeout(RECORD_LIMIT, self.heartbeat()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => sqlstate(&error),
            Err(_) => "commit limit".to_owned(),
        };
        tracing::warn!(tenant = %self.tenant, cause, "no checkpoint could be written");
    }
}

struct Encoded {
    entries: Vec<Vec<u8>>,
    leaves: Vec<LeafHash>,
}

fn encode(entries: &mut [Entry], size: u64) -> Encoded {
    let mut encoded =
        Encoded { entries: Vec::with_capacity(entries.len()), leaves: Vec::with_capacity(entries.len()) };
    for (index, entry) in (size..).zip(entries) {
        entry.index = index;
        let bytes = entry.encode();
        encoded.leaves.push(leaf_hash(&bytes));
        encoded.entries.push(bytes);
    }
    encoded
}

/// The arrays come by subqueries for the sake of the plan, see [`crate::records::fetch`].
async fn insert(connection: &mut PgConnection, size: u64, batch: &Encoded) -> Result<(), sqlx::Error> {
    let leaves: Vec<&[u8]> = batch.leaves.iter().map(LeafHash::as_bytes).map(|bytes| &bytes[..]).collect();
    sqlx::query(
        "INSERT INTO audit_entry (idx, entry, leaf)
         SELECT $1 + place - 1, entry, leaf
         FROM unnest((SELECT $2::bytea[]), (SELECT $3::bytea[])) WITH ORDINALITY AS batch (entry, leaf, place)",
    )
    .bind(i64::try_from(size).unwrap_or(i64::MAX))
    .bind(&batch.entries)
    .bind(leaves)
    .execute(connection)
    .await
    .map(|_| ())
}

fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Reads the leaves that were added since `frontier` was current. A gap means that a row was removed or put in by
/// somebody else: nothing may be built on such a tree.
async fn extend(connection: &mut PgConnection, frontier: &mut Frontier) -> Result<(), sqlx::Error> {
    loop {
        let rows = sqlx::query("SELECT leaf, idx FROM audit_entry WHERE idx >= $1 ORDER BY idx LIMIT 10000")
            .bind(i64::try_from(frontier.size()).unwrap_or(i64::MAX))
            .fetch_all(&mut *connection)
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            if u64::try_from(row.try_get::<i64, _>(1)?) != Ok(frontier.size()) {
                return Err(sqlx::Error::Decode("an audit entry is out of its place".into()));
            }
            let leaf: [u8; 32] = row
                .try_get::<Vec<u8>, _>(0)?
                .try_into()
                .map_err(|_| sqlx::Error::Decode("a leaf hash has 32 bytes".into()))?;
            frontier.push(LeafHash::from_bytes(leaf));
        }
    }
}

/// The tree of all entries: from the newest checkpoint whose stored frontier has the signed root, else from the start.
async fn load_frontier(connection: &mut PgConnection, signer: &LogSigner) -> Result<Frontier, sqlx::Error> {
    let row = sqlx::query("SELECT note, frontier FROM audit_checkpoint ORDER BY size DESC, at DESC LIMIT 1")
        .fetch_optional(&mut *connection)
        .await?;
    let stored = row.and_then(|row| {
        let signed = SignedCheckpoint::parse(row.try_get(0).ok()?).ok()?;
        let trusted = signer.trusted();
        Frontier::resume(row.try_get(1).ok()?, signed.verify(&trusted).ok()?).ok()
    });
    let mut frontier = stored.unwrap_or_else(Frontier::default);
    extend(connection, &mut frontier).await?;
    Ok(frontier)
}
