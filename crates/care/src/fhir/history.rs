//! `history` of one resource.

use carekeep_fhir::types::ResourceType;
use carekeep_kernel::{ResourceId, Timestamp};
use carekeep_vault::{AccessError, Phi, Versions, catalogue};

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

/// Part of a history.
pub struct HistoryPage {
    /// Newest first.
    pub versions: Vec<Version>,
    /// Where the next page starts, if there is more: before this version.
    pub next: Option<u32>,
}

/// The most versions in one answer.
const LIMIT: u32 = 200;

impl Fhir<'_> {
    /// The newest versions before `before`, newest first, at most `count` (and never more than 200).
    ///
    /// # Errors
    /// [`FhirError::Access`]; a history of which nothing may be seen is invisible.
    pub async fn history(
        &self,
        kind: ResourceType,
        id: ResourceId,
        (before, count): (Option<u32>, Option<u32>),
    ) -> Result<HistoryPage, FhirError> {
        let limit = count.unwrap_or(LIMIT).clamp(1, LIMIT);
        let (about, which) = ((kind_of(kind), id), Versions { before, limit: limit + 1 });
        let mut sealed = self.vault.fetch_history::<catalogue::History>(self.caller, about, which).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = sealed.len() > limit;
        // Before each deletion lies a version with a body, on which the decision rests: then the one more is needed.
        if sealed.iter().take(limit).any(|version| !version.is_deleted()) {
            sealed.truncate(limit);
        }
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
        versions.truncate(limit);
        let next = versions.last().filter(|_| more).map(|last| last.version);
        Ok(HistoryPage { versions, next })
    }
}
