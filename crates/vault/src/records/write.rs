//! Writing sealed rows: all of a change or nothing of it.
//!
//! Each version names the audit entry that permitted it, and that entry was durable before the first statement here.

use carekeep_kernel::{EntryId, ResourceId, Timestamp, index::ClearColumns, index::IndexValue, index::Scope};
use carekeep_keys::{BlindIndexKey, DataKey, KeyPurpose};
use carekeep_policy::ResourceKind;
use sqlx::{Connection, PgConnection, Postgres, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    AccessError,
    cell::Cell,
    config::moment,
    header,
    records::fetch::bounded,
    sealed::{Plain, row_aad},
};

/// A new version of a resource, ready to be sealed.
pub struct Draft {
    /// The resource type.
    pub kind: ResourceKind,
    /// Its id.
    pub id: ResourceId,
    /// The patient that it is about.
    pub patient: Option<ResourceId>,
    /// The version that it replaces; 0 for a new resource.
    pub base: u32,
    /// When it is written; also in the body's `meta.lastUpdated`.
    pub at: Timestamp,
    /// The body: UTF-8 JSON.
    pub body: Plain,
    /// What it can be found by.
    pub values: Vec<IndexValue>,
    /// What of it lies in the clear.
    pub clear: ClearColumns,
}

/// One permitted change.
pub(crate) enum Step {
    Put { draft: Draft, entry: EntryId },
    Delete { id: ResourceId, base: u32, at: Timestamp, entry: EntryId },
    Relate(Relating),
}

/// What a person is to a patient from some time on, or is no longer.
pub(crate) struct Relating {
    pub(crate) person: Uuid,
    pub(crate) patient: ResourceId,
    /// A bit of the clinical schema's `care_relation.relation`.
    pub(crate) relation: i16,
    pub(crate) at: Timestamp,
    pub(crate) ends: bool,
    pub(crate) entry: EntryId,
}

struct SealedDraft {
    draft: Draft,
    entry: EntryId,
    envelope: Vec<u8>,
    tokens: Vec<(i16, i64)>,
}

/// How many new resources go into one statement.
const CHUNK: usize = 500;

/// Does all steps in one transaction.
pub(crate) async fn commit(cell: &Cell, steps: Vec<Step>) -> Result<(), AccessError> {
    let (key, generation) = cell.newest(KeyPurpose::Data).await?;
    let index = cell.index_key().await?;
    let mut creations = Vec::new();
    let mut others = Vec::new();
    for step in steps {
        match step {
            Step::Put { draft, entry } => {
                let sealed = seal(cell, (&key, generation), &index, draft, entry)?;
                if sealed.draft.base == 0 {
                    creations.push(sealed)
                } else {
                    others.push(Other::Replace(sealed))
                }
            }
            Step::Delete { id, base, at, entry } => others.push(Other::Delete { id, base, at, entry }),
            Step::Relate(relating) => others.push(Other::Relate(relating)),
        }
    }
    let mut lease = bounded(cell.clinical().lease()).await?;
    let connection = lease.connection().map_err(|error| AccessError::records(&error))?;
    let mut transaction = bounded(connection.begin()).await?;
    for chunk in creations.chunks(CHUNK) {
        insert(&mut transaction, chunk).await?;
    }
    let mut patients: Vec<Uuid> =
        creations.iter().filter_map(|row| row.draft.patient).map(|id| id.as_uuid()).collect();
    for other in others {
        patients.extend(other.relates());
        other.run(&mut transaction).await?;
    }
    check_patients(&mut transaction, patients).await?;
    bounded(transaction.commit()).await?;
    lease.give_back();
    Ok(())
}

fn seal(
    cell: &Cell,
    (key, generation): (&DataKey, u32),
    index: &BlindIndexKey,
    draft: Draft,
    entry: EntryId,
) -> Result<SealedDraft, AccessError> {
    let plain =
        header::join(&draft.values, &draft.body).map_err(|_| AccessError::Invalid("not indexable"))?;
    let aad = row_aad(cell.tenant(), draft.kind, draft.id, draft.base + 1, draft.patient);
    let envelope = carekeep_keys::seal(key, generation, &aad.borrow(), &plain, cell.random())
        .map_err(|error| AccessError::unavailable("keys", error.to_string()))?;
    let salt = draft.patient.map(|patient| *patient.as_bytes());
    let mut tokens: Vec<(i16, i64)> = draft
        .values
        .iter()
        .filter_map(|value| {
            let salt = match value.scope {
                Scope::Tenant => None,
                // Without a patient there is nothing to salt with, and the value cannot be searched for.
                Scope::Patient => Some(salt?),
            };
            Some((value.param.0, index.token(value.param.0, salt, &value.text)))
        })
        .collect();
    tokens.sort_unstable();
    tokens.dedup();
    Ok(SealedDraft { draft, entry, envelope, tokens })
}

/// Separates a row's categories in one text column of an `unnest`: arrays of arrays must be rectangular.
const SEPARATOR: &str = "\u{1f}";

async fn insert(
    transaction: &mut Transaction<'_, Postgres>,
    rows: &[SealedDraft],
) -> Result<(), AccessError> {
    fn column<T>(rows: &[SealedDraft], get: impl Fn(&SealedDraft) -> T) -> Vec<T> {
        rows.iter().map(get).collect()
    }
    let query = sqlx::query(INSERT)
        .bind(column(rows, |row| row.draft.id.as_uuid()))
        .bind(column(rows, |row| row.draft.kind.as_str()))
        .bind(column(rows, |row| row.draft.patient.map(|patient| patient.as_uuid())))
        .bind(column(rows, |row| moment(row.draft.at)))
        .bind(column(rows, |row| row.draft.clear.status.clone()))
        .bind(column(rows, |row| row.draft.clear.categories.join(SEPARATOR)))
        .bind(column(rows, |row| event(row.draft.clear.event_start)))
        .bind(column(rows, |row| event(row.draft.clear.event_end)))
        .bind(column(rows, |row| row.entry.as_uuid()))
        .bind(rows.iter().map(|row| row.envelope.as_slice()).collect::<Vec<_>>());
    bounded(query.execute(&mut **transaction)).await.map_err(taken_is_conflict)?;
    insert_tokens(transaction, rows).await
}

/// Whoever a new record or relation is about must be a patient of the tenant, there already or made in the same
/// transaction.
async fn check_patients(transaction: &mut PgConnection, mut patients: Vec<Uuid>) -> Result<(), AccessError> {
    patients.sort_unstable();
    patients.dedup();
    if patients.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(
        "SELECT 1 FROM unnest($1::uuid[]) wanted (id) WHERE NOT EXISTS
           (SELECT 1 FROM resource r WHERE r.id = wanted.id AND r.kind = 'Patient' AND NOT r.deleted)",
    )
    .bind(patients);
    let missing = bounded(query.fetch_optional(transaction)).await?;
    if missing.is_some() {
        return Err(AccessError::Invalid("the patient does not exist here: create the patient first"));
    }
    Ok(())
}

const INSERT: &str = "INSERT INTO resource
    (id, kind, version, patient, last_updated, status, categories, event_start, event_end, entry, sealed)
  SELECT id, kind, 1, patient, at, status, coalesce(string_to_array(nullif(categories, ''), chr(31)), '{}'),
         starts, ends, entry, sealed
  FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[],
              $7::timestamptz[], $8::timestamptz[], $9::uuid[], $10::bytea[])
       AS new (id, kind, patient, at, status, categories, starts, ends, entry, sealed)";

async fn insert_tokens(transaction: &mut PgConnection, rows: &[SealedDraft]) -> Result<(), AccessError> {
    let mut params: Vec<i16> = Vec::new();
    let mut tokens: Vec<i64> = Vec::new();
    let mut ids: Vec<Uuid> = Vec::new();
    for row in rows {
        for (param, token) in &row.tokens {
            params.push(*param);
            tokens.push(*token);
            ids.push(row.draft.id.as_uuid());
        }
    }
    let query = sqlx::query(
        "INSERT INTO search_token (param, token, resource)
         SELECT * FROM unnest($1::int2[], $2::int8[], $3::uuid[]) ON CONFLICT DO NOTHING",
    )
    .bind(params)
    .bind(tokens)
    .bind(ids);
    bounded(query.execute(transaction)).await.map(|_| ())
}

fn event(micros: Option<i64>) -> Option<OffsetDateTime> {
    micros.map(|micros| moment(Timestamp::from_micros(micros)))
}

/// A unique violation means that somebody else made the same thing first.
fn taken_is_conflict(error: AccessError) -> AccessError {
    match &error {
        AccessError::Unavailable { cause, .. } if &**cause == "SQLSTATE 23505" => AccessError::Conflict,
        _ => error,
    }
}

enum Other {
    Replace(SealedDraft),
    Delete { id: ResourceId, base: u32, at: Timestamp, entry: EntryId },
    Relate(Relating),
}

impl Other {
    /// The patient that somebody is to be related to.
    fn relates(&self) -> Option<Uuid> {
        match self {
            Self::Relate(relating) => (!relating.ends).then(|| relating.patient.as_uuid()),
            Self::Replace(_) | Self::Delete { .. } => None,
        }
    }

    async fn run(self, transaction: &mut PgConnection) -> Result<(), AccessError> {
        match self {
            Self::Replace(row) => replace(transaction, row).await,
            Self::Delete { id, base, at, entry } => delete(transaction, id, base, at, entry).await,
            Self::Relate(relating) => relate(transaction, relating).await,
        }
    }
}

const BEGIN_RELATION: &str = "INSERT INTO care_relation (person, patient, relation, valid_from, entry)
  VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (person, patient, relation) DO UPDATE SET valid_from = $4, valid_until = NULL, entry = $5";
const END_RELATION: &str = "UPDATE care_relation SET valid_until = $4, entry = $5
  WHERE person = $1 AND patient = $2 AND relation = $3 AND (valid_until IS NULL OR valid_until > $4)";

async fn relate(transaction: &mut PgConnection, relating: Relating) -> Result<(), AccessError> {
    let query = sqlx::query(if relating.ends { END_RELATION } else { BEGIN_RELATION })
        .bind(relating.person)
        .bind(relating.patient.as_uuid())
        .bind(relating.relation)
        .bind(moment(relating.at))
        .bind(relating.entry.as_uuid());
    bounded(query.execute(transaction)).await.map(|_| ())
}

/// Keeps the present version as history; fails with a conflict when it is not version `base`.
async fn keep(transaction: &mut PgConnection, id: ResourceId, base: u32) -> Result<(), AccessError> {
    let query = sqlx::query(
        "INSERT INTO resource_version (id, version, kind, patient, deleted, last_updated, entry, sealed)
         SELECT id, version, kind, patient, deleted, last_updated, entry, sealed FROM resource
         WHERE id = $1 AND version = $2",
    )
    .bind(id.as_uuid())
    .bind(i32::try_from(base).unwrap_or(i32::MAX));
    let kept = bounded(query.execute(transaction)).await.map_err(taken_is_conflict)?;
    if kept.rows_affected() == 1 { Ok(()) } else { Err(AccessError::Conflict) }
}

async fn replace(transaction: &mut PgConnection, row: SealedDraft) -> Result<(), AccessError> {
    keep(transaction, row.draft.id, row.draft.base).await?;
    let draft = &row.draft;
    let query = sqlx::query(
        "UPDATE resource SET version = $3, deleted = false, last_updated = $4, status = $5, categories = $6,
                event_start = $7, event_end = $8, entry = $9, sealed = $10
         WHERE id = $1 AND version = $2 AND kind = $11 AND patient IS NOT DISTINCT FROM $12",
    )
    .bind(draft.id.as_uuid())
    .bind(i32::try_from(draft.base).unwrap_or(i32::MAX))
    .bind(i32::try_from(draft.base + 1).unwrap_or(i32::MAX))
    .bind(moment(draft.at))
    .bind(draft.clear.status.clone())
    .bind(draft.clear.categories.clone())
    .bind(event(draft.clear.event_start))
    .bind(event(draft.clear.event_end))
    .bind(row.entry.as_uuid())
    .bind(row.envelope.as_slice())
    .bind(draft.kind.as_str())
    .bind(draft.patient.map(|patient| patient.as_uuid()));
    let updated = bounded(query.execute(&mut *transaction)).await?;
    if updated.rows_affected() != 1 {
        return Err(AccessError::Conflict);
    }
    forget_tokens(transaction, draft.id).await?;
    insert_tokens(transaction, std::slice::from_ref(&row)).await
}

async fn delete(
    transaction: &mut PgConnection,
    id: ResourceId,
    base: u32,
    at: Timestamp,
    entry: EntryId,
) -> Result<(), AccessError> {
    keep(transaction, id, base).await?;
    let query = sqlx::query(
        "UPDATE resource SET version = $3, deleted = true, last_updated = $4, status = NULL, categories = '{}',
                event_start = NULL, event_end = NULL, entry = $5, sealed = NULL
         WHERE id = $1 AND version = $2 AND NOT deleted",
    )
    .bind(id.as_uuid())
    .bind(i32::try_from(base).unwrap_or(i32::MAX))
    .bind(i32::try_from(base + 1).unwrap_or(i32::MAX))
    .bind(moment(at))
    .bind(entry.as_uuid());
    let deleted = bounded(query.execute(&mut *transaction)).await?;
    if deleted.rows_affected() != 1 {
        return Err(AccessError::Conflict);
    }
    forget_tokens(transaction, id).await
}

async fn forget_tokens(transaction: &mut PgConnection, id: ResourceId) -> Result<(), AccessError> {
    let query = sqlx::query("DELETE FROM search_token WHERE resource = $1").bind(id.as_uuid());
    bounded(query.execute(transaction)).await.map(|_| ())
}
