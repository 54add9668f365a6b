//! `search-type`.

use carekeep_fhir::{
    search::{self, Handling, SearchPlan},
    types::ResourceType,
};
use carekeep_vault::Phi;

use super::{Fhir, FhirError, convert::query_of};

/// A search as a client sent it, percent-decoded.
pub struct SearchRequest {
    /// The type.
    pub kind: ResourceType,
    /// The parameters, in order.
    pub parameters: Vec<(String, String)>,
    /// What to do with parameters that are not supported.
    pub handling: Handling,
}

/// One page of results.
pub struct Found {
    /// The resources that match and that the caller may see, in order.
    pub matches: Vec<Phi>,
    /// The parameters that were used, for the `self` link.
    pub used: Vec<(String, String)>,
    /// `_cursor` of the next page.
    pub next: Option<String>,
}

impl Fhir<'_> {
    /// Finds resources; each is decided as if it were read, and all that are shown are named in one audit entry.
    ///
    /// # Errors
    /// [`FhirError::Search`] for parameters that are not understood, [`FhirError::Access`].
    pub async fn search(&self, request: &SearchRequest) -> Result<Found, FhirError> {
        let plan = search::parse_query(request.kind, &request.parameters, request.handling)?;
        let mut query = query_of(&plan, asked(&plan));
        if let Some(text) = &plan.cursor {
            query.after = Some(self.cursor(plan.kind, text).await?);
        }
        let page = self.vault.find(self.caller, &query).await?;
        let mut matches = Vec::with_capacity(page.found.len());
        for (sealed, permit) in page.found {
            matches.push(sealed.open(permit)?);
        }
        let next = match &page.next {
            Some(place) => Some(self.cursor_text(plan.kind, place).await?),
            None => None,
        };
        Ok(Found { matches, next, used: plan.used })
    }
}

/// The query as the ledger keeps it, sealed.
fn asked(plan: &SearchPlan) -> String {
    let mut text = String::from(plan.kind.as_str());
    for (name, value) in &plan.used {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text
}
