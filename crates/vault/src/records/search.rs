//! Finding sealed rows by clear columns and blind tokens.

use carekeep_kernel::{ResourceId, index::IndexValue, index::Scope};
use carekeep_keys::BlindIndexKey;
use sqlx::{Postgres, QueryBuilder, Row};

use crate::{
    AccessError, Caller,
    cell::Cell,
    config::moment,
    records::{
        fetch::{bounded, columns, sealed},
        query::{ClearFilter, Comparison, OrderBy, RecordQuery, Span},
    },
    sealed::Sealed,
};

/// The most patients that a search for clinical codes is spread over: their tokens are salted by patient.
const PANEL_LIMIT: usize = 500;
/// The most tokens of one group of terms.
const TOKEN_LIMIT: usize = 4_096;

/// Whom the caller's search may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Anybody: the policy does not ask for a relation.
    Tenant,
    /// Only patients that the caller has to do with. Rows are still decided one by one; this keeps the others from
    /// being looked at.
    Related,
}

/// Candidates in order, sealed; one more than asked for when there is a next page.
pub(crate) async fn candidates(
    cell: &Cell,
    caller: &Caller,
    query: &RecordQuery,
    reach: Reach,
) -> Result<Vec<Sealed>, AccessError> {
    let groups = tokens(cell, caller, query, reach).await?;
    let mut sql = statement(caller, query, reach, &groups);
    let mut lease = bounded(cell.clinical().lease()).await?;
    let connection = lease.connection().map_err(|error| AccessError::records(&error))?;
    let rows = bounded(sql.build().fetch_all(connection)).await?;
    lease.give_back();
    rows.iter()
        .map(|row| sealed((cell.tenant(), caller.person()), row, 0))
        .collect::<Result<_, _>>()
        .map_err(|error| AccessError::records(&error))
}

type Group = Vec<(i16, i64)>;

async fn tokens(
    cell: &Cell,
    caller: &Caller,
    query: &RecordQuery,
    reach: Reach,
) -> Result<Vec<Group>, AccessError> {
    if query.terms.is_empty() {
        return Ok(Vec::new());
    }
    let key = cell.index_key().await?;
    let salted = query.terms.iter().flatten().any(|term| term.scope == Scope::Patient);
    let patients = match (&query.patients, salted) {
        (_, false) => Vec::new(),
        (Some(patients), true) => patients.clone(),
        (None, true) if reach == Reach::Related => panel(cell, caller).await?,
        (None, true) => {
            return Err(AccessError::TooCostly("name the patient: codes are only searched within charts"));
        }
    };
    query.terms.iter().map(|group| group_tokens(&key, group, &patients)).collect()
}

fn group_tokens(
    key: &BlindIndexKey,
    group: &[IndexValue],
    patients: &[ResourceId],
) -> Result<Group, AccessError> {
    let mut tokens = Group::new();
    for term in group {
        match term.scope {
            Scope::Tenant => tokens.push((term.param.0, key.token(term.param.0, None, &term.text))),
            Scope::Patient => tokens.extend(patients.iter().map(|patient| {
                (term.param.0, key.token(term.param.0, Some(*patient.as_bytes()), &term.text))
            })),
        }
        if tokens.len() > TOKEN_LIMIT {
            return Err(AccessError::TooCostly("ask for fewer codes or fewer patients at a time"));
        }
    }
    Ok(tokens)
}

/// The patients that the caller has to do with.
async fn panel(cell: &Cell, caller: &Caller) -> Result<Vec<ResourceId>, AccessError> {
    let mut lease = bounded(cell.clinical().lease()).await?;
    let connection = lease.connection().map_err(|error| AccessError::records(&error))?;
    let rows = bounded(
        sqlx::query(
            "SELECT DISTINCT patient FROM care_relation
             WHERE person = $1 AND valid_from <= $2 AND (valid_until IS NULL OR valid_until > $2) LIMIT $3",
        )
        .bind(caller.person().as_uuid())
        .bind(moment(caller.now()))
        .bind(i64::try_from(PANEL_LIMIT + 1).unwrap_or(i64::MAX))
        .fetch_all(connection),
    )
    .await?;
    lease.give_back();
    if rows.len() > PANEL_LIMIT {
        return Err(AccessError::TooCostly(
            "name the patient: your panel is too large to search codes across it",
        ));
    }
    let ids = rows.iter().map(|row| row.try_get(0).map(ResourceId::from_uuid));
    let mut panel: Vec<_> = ids.collect::<Result<_, _>>().map_err(|error| AccessError::records(&error))?;
    panel.extend(caller.patient());
    Ok(panel)
}

fn statement(caller: &Caller, query: &RecordQuery, reach: Reach, groups: &[Group]) -> QueryBuilder<Postgres> {
    // $1 and $2 are used by `columns`.
    let mut sql = QueryBuilder::new("WITH q (person, now) AS (SELECT ");
    sql.push_bind(caller.person().as_uuid()).push("::uuid, ").push_bind(moment(caller.now()));
    sql.push(format!(
        "::timestamptz) SELECT {} FROM q, resource r WHERE NOT r.deleted",
        columns("q.person", "q.now")
    ));
    sql.push(" AND r.kind = ").push_bind(query.kind.as_str());
    if let Some(ids) = &query.ids {
        sql.push(" AND r.id = ANY(").push_bind(uuids(ids)).push(")");
    }
    if let Some(patients) = &query.patients {
        sql.push(" AND r.patient = ANY(").push_bind(uuids(patients)).push(")");
    }
    if reach == Reach::Related {
        sql.push(" AND (r.patient IS NULL OR r.patient = ");
        sql.push_bind(caller.patient().map(|patient| patient.as_uuid()));
        sql.push(
            " OR EXISTS (SELECT 1 FROM care_relation c WHERE c.person = q.person AND c.patient = r.patient
               AND c.valid_from <= q.now AND (c.valid_until IS NULL OR c.valid_until > q.now)))",
        );
    }
    query.clear.iter().for_each(|filter| clear(&mut sql, filter));
    for group in groups {
        let (params, tokens): (Vec<i16>, Vec<i64>) = group.iter().copied().unzip();
        sql.push(" AND r.id IN (SELECT t.resource FROM search_token t WHERE (t.param, t.token) IN (SELECT * FROM unnest(");
        sql.push_bind(params).push("::int2[], ").push_bind(tokens).push("::int8[])))");
    }
    page(&mut sql, query);
    sql
}

fn uuids(ids: &[ResourceId]) -> Vec<uuid::Uuid> {
    ids.iter().map(ResourceId::as_uuid).collect()
}

fn clear(sql: &mut QueryBuilder<Postgres>, filter: &ClearFilter) {
    match filter {
        ClearFilter::Status(values) => {
            sql.push(" AND r.status = ANY(").push_bind(values.clone()).push(")");
        }
        ClearFilter::Category { exact, codes } => {
            sql.push(" AND (r.categories && ").push_bind(exact.clone());
            sql.push(" OR EXISTS (SELECT 1 FROM unnest(r.categories) c, unnest(").push_bind(codes.clone());
            sql.push("::text[]) e WHERE right(c, length(e)) = e))");
        }
        ClearFilter::Event(spans) => {
            sql.push(" AND (r.event_start IS NOT NULL OR r.event_end IS NOT NULL)");
            let starts = "coalesce(r.event_start, '-infinity'::timestamptz)";
            any_span(sql, spans, starts, "coalesce(r.event_end, 'infinity'::timestamptz)");
        }
        ClearFilter::LastUpdated(spans) => {
            any_span(sql, spans, "r.last_updated", "r.last_updated + interval '1 microsecond'");
        }
    }
}

fn any_span(sql: &mut QueryBuilder<Postgres>, spans: &[Span], starts: &str, ends: &str) {
    sql.push(" AND (false");
    for span in spans {
        sql.push(" OR ");
        one_span(sql, span, starts, ends);
    }
    sql.push(")");
}

fn one_span(sql: &mut QueryBuilder<Postgres>, span: &Span, starts: &str, ends: &str) {
    let from = moment(carekeep_kernel::Timestamp::from_micros(span.start));
    let to = moment(carekeep_kernel::Timestamp::from_micros(span.end));
    let inside = |sql: &mut QueryBuilder<Postgres>| {
        sql.push(format!("({starts} >= "))
            .push_bind(from)
            .push(format!(" AND {ends} <= "))
            .push_bind(to)
            .push(")");
    };
    match span.comparison {
        Comparison::Eq => inside(sql),
        Comparison::Ne => {
            sql.push("NOT ");
            inside(sql);
        }
        Comparison::Lt | Comparison::Le => {
            sql.push(format!("({starts} < ")).push_bind(from);
            if span.comparison == Comparison::Le {
                sql.push(" OR ");
                inside(sql);
            }
            sql.push(")");
        }
        Comparison::Gt | Comparison::Ge => {
            sql.push(format!("({ends} > ")).push_bind(to);
            if span.comparison == Comparison::Ge {
                sql.push(" OR ");
                inside(sql);
            }
            sql.push(")");
        }
        Comparison::Sa => {
            sql.push(format!("{starts} >= ")).push_bind(to);
        }
        Comparison::Eb => {
            sql.push(format!("{ends} <= ")).push_bind(from);
        }
    }
}

fn page(sql: &mut QueryBuilder<Postgres>, query: &RecordQuery) {
    let key = match query.order {
        OrderBy::LastUpdated => "r.last_updated",
        OrderBy::Event => "coalesce(r.event_start, '-infinity'::timestamptz)",
    };
    let (comparison, direction) = if query.descending { ("<", "DESC") } else { (">", "ASC") };
    if let Some(cursor) = query.after {
        sql.push(format!(" AND ({key}, r.id) {comparison} ("));
        sql.push_bind(moment(carekeep_kernel::Timestamp::from_micros(cursor.key)));
        sql.push(", ").push_bind(cursor.id.as_uuid()).push(")");
    }
    sql.push(format!(" ORDER BY {key} {direction}, r.id {direction} LIMIT "));
    sql.push_bind(i64::from(query.count) + 1);
}

/// Whether the values of a resource, as sealed, really satisfy the tokenised conditions: a token is only 64 bits.
pub(crate) fn confirmed(query: &RecordQuery, values: &[IndexValue]) -> bool {
    query.terms.iter().all(|group| {
        group
            .iter()
            .any(|term| values.iter().any(|value| value.param == term.param && value.text == term.text))
    })
}
