//! `_cursor`: where the next page starts, sealed by the vault. The same text is nothing to anybody else.

use carekeep_fhir::types::ResourceType;
use carekeep_vault::Cursor;
use data_encoding::BASE64URL_NOPAD;

use super::{Fhir, FhirError, convert::kind_of};

impl Fhir<'_> {
    /// Where the next page starts, as text for the caller to come back with.
    pub(super) async fn cursor_text(&self, kind: ResourceType, cursor: &Cursor) -> Result<String, FhirError> {
        let sealed = self.vault.seal_cursor(self.caller, kind_of(kind), cursor).await?;
        Ok(BASE64URL_NOPAD.encode(&sealed))
    }

    /// The place that such a text names.
    pub(super) async fn cursor(&self, kind: ResourceType, text: &str) -> Result<Cursor, FhirError> {
        let opened = match BASE64URL_NOPAD.decode(text.as_bytes()) {
            Ok(sealed) => self.vault.open_cursor(self.caller, kind_of(kind), &sealed).await?,
            Err(_) => None,
        };
        opened.ok_or(FhirError::Mismatch(
            "the _cursor is not one that was given out to you: start the search again",
        ))
    }
}
