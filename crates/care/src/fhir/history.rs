//! `history` of one resource.

use carekeep_fhir::types::ResourceType;
use carekeep_kernel::{ResourceId, Timestamp};
use carekeep_vault::{AccessError, Phi, catalogue};

use super::{Fhir, FhirError, convert::kind_of};

/// One version in a history.
pub struct Version {
    /// Its number.
    pub version: u32,
    /// When it was written.
    pub at: Timestamp,
    /// The body; `None` for a deletion.
    pub body: Option<Phi>,
}

/// The most versions in one answer.
const LIMIT: u32 = 200;

impl Fhir<'_> {
    /// The newest versions, newest first, at most `count` (and never more than 200).
    ///
    /// # Errors
    /// [`FhirError::Access`]; a history of which nothing may be seen is invisible.
    pub async fn history(
        &self,
        kind: ResourceType,
        id: ResourceId,
        count: Option<u32>,
    ) -> Result<Vec<Version>, FhirError> {
        let limit = count.unwrap_or(LIMIT).clamp(1, LIMIT);
        let about = (kind_of(kind), id);
        // At least two: before each deletion lies a version with a body, on which the decision rests.
        let fetched = limit.max(2);
        let sealed = self.vault.fetch_history::<catalogue::History>(self.caller, about, fetched).await?;
        let deletions: Vec<(u32, Timestamp)> = sealed
            .iter()
            .filter(|version| version.is_deleted())
            .map(|version| (version.version(), version.last_updated()))
            .collect();
        let permitted = self.vault.permit_all::<catalogue::History>(self.caller, sealed).await?;
        if permitted.is_empty() {
            return Err(AccessError::Invisible.into());
        }
        let mut versions = Vec::with_capacity(permitted.len() + deletions.len());
        for (sealed, permit) in permitted {
            let (version, at) = (sealed.version(), sealed.last_updated());
            versions.push(Version { version, at, body: Some(sealed.open(permit)?) });
        }
        versions.extend(deletions.into_iter().map(|(version, at)| Version { version, at, body: None }));
        versions.sort_by_key(|version| std::cmp::Reverse(version.version));
        versions.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(versions)
    }
}
