//! `create` and `update`.

use carekeep_fhir::{
    bundle::has_conditional,
    json::{Json, Limits},
    meta, project,
    search::{self, Handling},
    types::{Compartment, ResourceType, compartment_patient},
    validate,
};
use carekeep_kernel::{ResourceId, Timestamp};
use carekeep_policy::Projection;
use carekeep_vault::{Change, Draft, Phi, Plain, Planned, Sealed, catalogue};

use super::{
    Answer, Fhir, FhirError,
    convert::{kind_of, query_of},
};

/// `If-None-Exist`: a search, percent-decoded.
pub type Condition = Vec<(String, String)>;

/// What a new version is written over.
pub(super) struct Place {
    pub(super) id: ResourceId,
    pub(super) base: u32,
    pub(super) at: Timestamp,
}

impl Fhir<'_> {
    /// Writes a new resource. With a condition that one resource meets already, nothing is written and that one is named.
    ///
    /// # Errors
    /// [`FhirError::Json`], [`FhirError::Invalid`], [`FhirError::Compartment`] for the body;
    /// [`FhirError::MultipleMatches`]; [`FhirError::Access`].
    pub async fn create(
        &self,
        kind: ResourceType,
        body: &[u8],
        condition: Option<Condition>,
    ) -> Result<Answer, FhirError> {
        let document = self.parse(kind, body)?;
        if let Some(condition) = condition
            && let Some(existing) = self.matching(kind, &condition).await?
        {
            return Ok(existing_answer(kind, &existing));
        }
        let id = ResourceId::generate(&**self.vault.clock(), &**self.vault.random());
        let place = Place { id, base: 0, at: self.vault.clock().now() };
        let draft = self.draft(kind, document, &place)?;
        self.write(kind, (place, None), draft, Planned::Create).await
    }

    /// Writes a new version over the present one, which must be `if_match` if that is given. A writer who may see only a
    /// projection of the resource changes only that; the rest stays as it was ([`project::merge`]).
    ///
    /// # Errors
    /// As [`Fhir::create`]; [`FhirError::Condition`] when the version is another one; [`FhirError::Hidden`].
    pub async fn update(
        &self,
        kind: ResourceType,
        id: ResourceId,
        if_match: Option<u32>,
        body: &[u8],
    ) -> Result<Answer, FhirError> {
        let document = self.parse(kind, body)?;
        if document.text("id") != Some(id.to_string().as_str()) {
            return Err(FhirError::Mismatch("the resource's id must be the id in the address"));
        }
        let sealed = self.vault.fetch::<catalogue::Update>(self.caller, kind_of(kind), id).await?;
        let document = self.merged(kind, document, &sealed).await?;
        let place = Place { id, base: sealed.version(), at: self.vault.clock().now() };
        let draft = self.draft(kind, document, &place)?;
        self.write(kind, (place, if_match), draft, |draft| Planned::Update(draft, sealed)).await
    }

    pub(super) fn parse(&self, kind: ResourceType, body: &[u8]) -> Result<Json, FhirError> {
        let mut document = Json::parse(body, &Limits::default())?;
        self.check(kind, &document)?;
        if has_conditional(&mut document, self.base) {
            return Err(FhirError::Mismatch(
                "a reference by a search is for transactions: name the resource by its type and id",
            ));
        }
        Ok(document)
    }

    pub(super) fn check(&self, kind: ResourceType, document: &Json) -> Result<(), FhirError> {
        if document.text("resourceType") != Some(kind.as_str()) {
            return Err(FhirError::Mismatch("resourceType must be the type in the address"));
        }
        validate::validate(kind, document).map_err(FhirError::Invalid)
    }

    /// Makes the document that is stored, and what it can be found by.
    pub(super) fn draft(
        &self,
        kind: ResourceType,
        mut document: Json,
        place: &Place,
    ) -> Result<Draft, FhirError> {
        meta::set_server_meta(&mut document, place.id, u64::from(place.base) + 1, place.at);
        let patient = match compartment_patient(kind, &document, self.base)? {
            Compartment::Itself => Some(place.id),
            Compartment::Patient(patient) => Some(patient),
            Compartment::NoPatient => None,
        };
        let extracted = search::extract(kind, &document);
        if extracted.truncated {
            return Err(FhirError::TooManyValues);
        }
        Ok(Draft {
            kind: kind_of(kind),
            id: place.id,
            patient,
            base: place.base,
            at: place.at,
            body: Plain::new(document.to_vec()),
            values: extracted.values,
            clear: extracted.clear,
        })
    }

    async fn write(
        &self,
        kind: ResourceType,
        (place, if_match): (Place, Option<u32>),
        draft: Draft,
        plan: impl FnOnce(Draft) -> Planned,
    ) -> Result<Answer, FhirError> {
        let body = draft.body.clone();
        let changes = self.vault.permit_changes(self.caller, vec![plan(draft)]).await?;
        let projection = changes.first().map_or(Projection::Metadata, Change::projection);
        // After the permit: only whoever may write learns at which version the resource stands.
        check_version(place.base, if_match)?;
        self.vault.commit(self.caller, changes).await?;
        let Place { id, base, at } = place;
        Ok(Answer { kind, id, version: base + 1, at, created: base == 0, body, projection })
    }

    /// The one resource that meets a condition, if any.
    pub(super) async fn matching(
        &self,
        kind: ResourceType,
        condition: &Condition,
    ) -> Result<Option<Phi>, FhirError> {
        if condition.is_empty() {
            return Err(FhirError::Mismatch(
                "the condition is empty: send a search, such as identifier=system|value",
            ));
        }
        let plan = search::parse_query(kind, condition, Handling::Strict)?;
        let mut query = query_of(&plan, "conditional create".to_owned());
        query.count = 2;
        let mut found = self.vault.find_match(self.caller, &query).await?;
        match (found.pop(), found.is_empty()) {
            (None, _) => Ok(None),
            (Some((sealed, permit)), true) => Ok(Some(sealed.open(permit)?)),
            (Some(_), false) => Err(FhirError::MultipleMatches),
        }
    }

    /// What a writer who sees only part of the resource means: the visible elements as sent, the others as stored.
    ///
    /// Refuses whoever may not write it: what else is wrong with the change is told to nobody who may not know of the row.
    pub(super) async fn merged(
        &self,
        kind: ResourceType,
        sent: Json,
        sealed: &Sealed,
    ) -> Result<Json, FhirError> {
        let seen = self.vault.may::<catalogue::Update>(self.caller, sealed).await?;
        // Only a privacy officer takes a Patient out of use; a clinician's next update is no way around that. What a clinician
        // may delete, they may bring back (R4, "update": a deleted resource may be brought back to life).
        if sealed.is_deleted() && kind == ResourceType::Patient {
            return Err(self.vault.gone::<catalogue::Update>(self.caller, sealed).await?.into());
        }
        // Whoever sees metadata only (an importer) has read nothing that could be sent back: what they send is the whole.
        if !matches!(seen, Projection::Contact | Projection::Schedule) {
            return Ok(sent);
        }
        let (present, permit) =
            self.vault.read::<catalogue::Read>(self.caller, sealed.kind(), sealed.id()).await?;
        let visible = present.open(permit)?;
        let exposed = visible.expose();
        let stored = Json::parse(exposed.body, &Limits::import())?;
        // Whoever may read more than they may write, writes no more for that.
        let seen = if exposed.projection == Projection::Full { seen } else { exposed.projection };
        let merged = project::merge(kind, fhir_projection(seen), &stored, &sent)?;
        self.check(kind, &merged)?;
        Ok(merged)
    }
}

fn existing_answer(kind: ResourceType, phi: &Phi) -> Answer {
    let exposed = phi.expose();
    Answer {
        kind,
        id: phi.id(),
        version: phi.version(),
        at: phi.last_updated(),
        created: false,
        projection: exposed.projection,
        body: Plain::new(exposed.body.to_vec()),
    }
}

/// The FHIR crate's word for a projection.
pub(super) const fn fhir_projection(projection: Projection) -> project::Projection {
    match projection {
        Projection::Full => project::Projection::Full,
        Projection::Contact => project::Projection::Contact,
        Projection::Schedule => project::Projection::Schedule,
        Projection::Metadata => project::Projection::Metadata,
    }
}

/// Whether the present version is the one that the client changed.
pub(super) fn check_version(present: u32, if_match: Option<u32>) -> Result<(), FhirError> {
    match if_match {
        Some(wanted) if wanted != present => Err(FhirError::Condition(
            "If-Match is not the present version: read the resource again and repeat the change on it",
        )),
        _ => Ok(()),
    }
}
