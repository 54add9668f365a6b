//! From sealed candidates to a page of permits: decide each row, confirm it, and record all that is disclosed in one
//! entry.

use std::sync::Arc;

use carekeep_kernel::ResourceId;
use carekeep_keys::{DataKey, KeyPurpose};
use carekeep_ledger::Outcome;
use carekeep_policy::{AccountFacts, Projection, Relation, Resource};

use crate::{
    AccessError, Permit, Sealed,
    audit::{Grounds, reference},
    catalogue::{Opens, Search},
    gate::{Gate, mint},
    header,
    records::{
        query::{Cursor, OrderBy, RecordQuery},
        search::{self, Reach},
    },
    sealed::row_aad,
};

/// One page of a search.
pub struct Page<A: Opens = Search> {
    /// The resources, in order, each with the permit that opens it.
    pub found: Vec<(Sealed, Permit<A>)>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<Cursor>,
}

struct Allowed {
    sealed: Sealed,
    projection: Projection,
    key: Arc<DataKey>,
}

pub(crate) async fn find<A: Opens>(gate: &Gate<'_>, query: &RecordQuery) -> Result<Page<A>, AccessError> {
    let mut rows = search::candidates(gate.cell, gate.caller, query, reach::<A>(gate, query)).await?;
    let size = usize::try_from(query.count).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(|last| Cursor { key: order_key(query, last), id: last.id });
    Ok(Page { found: permit_rows(gate, rows, Some(query)).await?, next })
}

fn order_key(query: &RecordQuery, sealed: &Sealed) -> i64 {
    match query.order {
        OrderBy::LastUpdated => sealed.last_updated.as_micros(),
        OrderBy::Event => sealed.event_start.map_or(i64::MIN, carekeep_kernel::Timestamp::as_micros),
    }
}

/// Whether policy asks for a relation to the patient: tried out on a patient that the caller has nothing to do with. Of a
/// chart of which a stranger would not see what is asked for, nothing is looked at either: not even a next page tells.
fn reach<A: Opens>(gate: &Gate<'_>, query: &RecordQuery) -> Reach {
    let stranger = ResourceId::from_uuid(uuid::Uuid::max());
    let probe = Resource {
        tenant: gate.cell.tenant(),
        kind: query.kind,
        id: Some(stranger),
        patient: Some(stranger),
        relation: Relation::default(),
        account: AccountFacts::default(),
    };
    match gate.decide::<A>(&probe) {
        Ok(granted) if query.shown_by.contains(&granted.projection) => Reach::Tenant,
        _ => Reach::Related,
    }
}

/// Decides each row; what remains is recorded in one entry and gets a permit each.
pub(crate) async fn permit_rows<A: Opens>(
    gate: &Gate<'_>,
    rows: Vec<Sealed>,
    query: Option<&RecordQuery>,
) -> Result<Vec<(Sealed, Permit<A>)>, AccessError> {
    let mut allowed = Vec::with_capacity(rows.len());
    let mut grounds = Grounds::default();
    let mut refused = Vec::new();
    let kind = query.map(|query| query.kind).or_else(|| rows.first().map(|row| row.kind));
    for sealed in rows {
        let mut decided = gate.decide::<A>(&sealed.attributes(gate.caller.person())).ok();
        if decided.is_some() && gate.caller.is_app() && !Box::pin(gate.in_scope(A::ACTION, &sealed)).await? {
            decided = None;
        }
        let Some(granted) = decided else {
            refused.push(reference(sealed.id, sealed.version));
            continue;
        };
        // As if it did not match: that it did would tell what the projection hides.
        if query.is_some_and(|query| !query.shown_by.contains(&granted.projection)) {
            continue;
        }
        let Some(envelope) = &sealed.envelope else { continue };
        let key = gate.cell.key_of(KeyPurpose::Data, envelope).await?;
        if let Some(query) = query
            && !confirm(query, &sealed, &key)?
        {
            continue;
        }
        grounds.add(granted.grounds);
        allowed.push(Allowed { sealed, projection: granted.projection, key });
    }
    let Some(kind) = kind else { return Ok(Vec::new()) };
    // A search that found nothing was permitted; named rows of which none is shown were not.
    let (outcome, resources) = match (query, refused.is_empty()) {
        (None, false) if allowed.is_empty() => (Outcome::Denied, refused),
        (None, true) if allowed.is_empty() => (Outcome::NotFound, refused),
        _ => {
            let shown = allowed.iter().map(|row| reference(row.sealed.id, row.sealed.version));
            (Outcome::Permitted, shown.collect())
        }
    };
    let about = (resources, patients(gate, &allowed).await?);
    let what = (A::ACTION.as_str(), kind.as_str());
    let entry = gate.enter(what, about, (outcome, grounds), query.map(|query| query.asked.as_str())).await?;
    Ok(allowed
        .into_iter()
        .map(|row| {
            let permit = mint(&row.sealed, row.projection, Some(row.key), entry);
            (row.sealed, permit)
        })
        .collect())
}

/// The pseudonyms of everybody disclosed, each once.
async fn patients(gate: &Gate<'_>, allowed: &[Allowed]) -> Result<Vec<[u8; 16]>, AccessError> {
    let mut ids: Vec<ResourceId> = allowed.iter().filter_map(|row| row.sealed.patient).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut pseudonyms = Vec::with_capacity(ids.len());
    for id in ids {
        pseudonyms.push(gate.cell.pseudonym(id).await?);
    }
    Ok(pseudonyms)
}

/// Opens the searchable values, inside the vault, and compares them: what a token collision found is not disclosed.
fn confirm(query: &RecordQuery, sealed: &Sealed, key: &DataKey) -> Result<bool, AccessError> {
    if query.terms.is_empty() {
        return Ok(true);
    }
    let Some(envelope) = &sealed.envelope else { return Ok(false) };
    let aad = row_aad(sealed.tenant, sealed.kind, sealed.id, sealed.version, sealed.patient);
    let plain = carekeep_keys::open(key, &aad.borrow(), envelope)
        .map_err(|error| AccessError::unavailable("records", error.to_string()))?;
    let values = header::values(&plain)
        .ok_or_else(|| AccessError::unavailable("records", "a sealed row has no header"))?;
    Ok(search::confirmed(query, &values))
}
