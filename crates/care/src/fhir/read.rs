//! `read` and `vread`.

use carekeep_fhir::types::ResourceType;
use carekeep_kernel::ResourceId;
use carekeep_vault::{Phi, catalogue};

use super::{Fhir, FhirError, convert::kind_of};

impl Fhir<'_> {
    /// The present version.
    ///
    /// # Errors
    /// [`FhirError::Access`]: invisible (absent, foreign, not the caller's), deleted, forbidden, unavailable.
    pub async fn read(&self, kind: ResourceType, id: ResourceId) -> Result<Phi, FhirError> {
        let (sealed, permit) = self.vault.read::<catalogue::Read>(self.caller, kind_of(kind), id).await?;
        Ok(sealed.open(permit)?)
    }

    /// One version by its number.
    ///
    /// # Errors
    /// As [`Fhir::read`].
    pub async fn version_read(
        &self,
        kind: ResourceType,
        id: ResourceId,
        version: u32,
    ) -> Result<Phi, FhirError> {
        let about = (kind_of(kind), id);
        let sealed = self.vault.fetch_version::<catalogue::VersionRead>(self.caller, about, version).await?;
        let permit = self.vault.permit::<catalogue::VersionRead>(self.caller, &sealed).await?;
        Ok(sealed.open(permit)?)
    }
}
