//! The bare handler's table: columns and indexes of the product's `resource`, the body not sealed.

use sqlx::{PgPool, Row};
use uuid::Uuid;

/// Rows to search among: patients, and observations of each.
const PATIENTS: u32 = 50;
const EACH: i32 = 40;
/// What a page holds; one more row is asked for, as the product does to know whether there is a next page.
const PAGE: usize = 20;

const MAKE: &str = "
DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;
CREATE TABLE bench.resource (
  id uuid PRIMARY KEY,
  kind text COLLATE \"C\" NOT NULL,
  version integer NOT NULL,
  patient uuid,
  deleted boolean NOT NULL DEFAULT false,
  last_updated timestamptz NOT NULL,
  status text,
  categories text[] NOT NULL DEFAULT '{}',
  event_start timestamptz,
  event_end timestamptz,
  body bytea
) WITH (fillfactor = 90);
CREATE INDEX resource_by_time ON bench.resource (kind, last_updated DESC, id DESC);
CREATE INDEX resource_by_patient ON bench.resource (patient, kind, last_updated DESC, id DESC);";

/// What was put in.
pub(crate) struct Rows {
    /// The one to read by its key.
    pub(crate) read: Uuid,
    /// The one whose observations are searched.
    pub(crate) patient: Uuid,
}

/// Makes the table anew, with bodies of the given sizes.
pub(crate) async fn make(pool: &PgPool, read_bytes: usize, row_bytes: usize) -> Result<Rows, sqlx::Error> {
    sqlx::raw_sql(MAKE).execute(pool).await?;
    let read = Uuid::from_u128(7);
    sqlx::query(
        "INSERT INTO bench.resource (id, kind, version, patient, last_updated, body) VALUES ($1, 'Patient', 1, $1, now(), $2)",
    )
    .bind(read)
    .bind(vec![b'x'; read_bytes])
    .execute(pool)
    .await?;
    for number in 1..=PATIENTS {
        sqlx::query(
            "INSERT INTO bench.resource
               (id, kind, version, patient, last_updated, status, categories, event_start, event_end, body)
             SELECT gen_random_uuid(), 'Observation', 1, $1, now() - n * interval '1 hour', 'final', '{laboratory}',
                    now() - n * interval '1 day', now() - n * interval '1 day', $2
               FROM generate_series(1, $3) n",
        )
        .bind(patient(number))
        .bind(observation(row_bytes))
        .bind(EACH)
        .execute(pool)
        .await?;
    }
    sqlx::raw_sql("VACUUM ANALYZE bench.resource").execute(pool).await?;
    Ok(Rows { read, patient: patient(PATIENTS / 2) })
}

const fn patient(number: u32) -> Uuid {
    Uuid::from_u128(1_000_000 + number as u128)
}

/// JSON of a size.
fn observation(bytes: usize) -> Vec<u8> {
    let mut text = b"{\"resourceType\":\"Observation\",\"note\":\"".to_vec();
    text.resize(bytes.saturating_sub(2).max(text.len()), b'x');
    text.extend_from_slice(b"\"}");
    text
}

/// The bench's SELECT by key.
pub(crate) async fn read(pool: &PgPool, id: Uuid) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let row =
        sqlx::query("SELECT body FROM bench.resource WHERE id = $1").bind(id).fetch_optional(pool).await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// The product's search for a patient's observations without what secures it: no relation of the caller to the patient
/// is looked up, no key, nothing decided or recorded.
pub(crate) async fn search(pool: &PgPool, patient: Uuid) -> Result<Vec<u8>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT r.id, r.version, r.last_updated, r.body FROM bench.resource r
          WHERE NOT r.deleted AND r.kind = $1 AND r.patient = ANY($2)
          ORDER BY r.last_updated DESC, r.id DESC LIMIT $3",
    )
    .bind("Observation")
    .bind(vec![patient])
    .bind(i64::try_from(PAGE + 1).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let mut bundle = b"{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"entry\":[".to_vec();
    for (index, row) in rows.iter().take(PAGE).enumerate() {
        let (id, body): (Uuid, &[u8]) = (row.try_get(0)?, row.try_get(3)?);
        if index > 0 {
            bundle.push(b',');
        }
        let head = format!("{{\"fullUrl\":\"https://bare.localhost/fhir/R4/Observation/{id}\",\"resource\":");
        bundle.extend_from_slice(head.as_bytes());
        bundle.extend_from_slice(body);
        bundle.extend_from_slice(b",\"search\":{\"mode\":\"match\"}}");
    }
    bundle.extend_from_slice(b"]}");
    Ok(bundle)
}
