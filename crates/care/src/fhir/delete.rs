//! `delete`: marks a resource deleted; its versions stay in the history.

use carekeep_fhir::types::ResourceType;
use carekeep_kernel::ResourceId;
use carekeep_vault::{AccessError, Planned, catalogue};

use super::{Fhir, FhirError, convert::kind_of, write::check_version};

impl Fhir<'_> {
    /// Deletes the present version, if it is the one in `if_match`. Gives the number of the version that says so.
    ///
    /// # Errors
    /// [`FhirError::Access`]; [`FhirError::Condition`] when `if_match` is not the present version.
    pub async fn delete(
        &self,
        kind: ResourceType,
        id: ResourceId,
        if_match: Option<u32>,
    ) -> Result<u32, FhirError> {
        let sealed = self.vault.fetch::<catalogue::Delete>(self.caller, kind_of(kind), id).await?;
        let gone = sealed.is_deleted();
        let version = sealed.version();
        let planned = Planned::Delete(sealed, self.vault.clock().now());
        let changes = self.vault.permit_changes(self.caller, vec![planned]).await?;
        // Only whoever may delete learns that it is deleted, or at which version it stands.
        if gone {
            return Err(AccessError::Gone.into());
        }
        check_version(version, if_match)?;
        self.vault.commit(self.caller, changes).await?;
        Ok(version + 1)
    }
}
