//! Sealing what the operations schema may not hold in the clear: secrets of factors, names of people.
//!
//! Invariant: everything here is under the tenant's `Credential` key and bound to one of the few places of
//! [`SecretColumn`]. Health data is under the `Data` key: nothing here opens a clinical row.

use carekeep_kernel::TenantId;
use carekeep_keys::{Aad, KeyPurpose};
use zeroize::Zeroizing;

use crate::{AccessError, Vault};

/// The columns that hold such values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretColumn {
    /// The secret of a code generator; its row is the credential.
    TotpSecret,
    /// A login name.
    PersonLogin,
    /// The name that colleagues see.
    PersonName,
    /// The private half of a key that signs id tokens.
    SigningKey,
    /// What an identity provider says of somebody.
    Provisioned,
    /// What the tenant's identity provider shares with it.
    ProviderSecret,
    /// Who somebody is at the identity provider.
    FederatedSubject,
}

impl SecretColumn {
    /// Table and column, as in the associated data: never changed, because values are stored under them.
    const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::TotpSecret => ("totp", "secret"),
            Self::PersonLogin => ("person", "login"),
            Self::PersonName => ("person", "name"),
            Self::SigningKey => ("oauth_signing_key", "key"),
            Self::Provisioned => ("provisioned", "attributes"),
            Self::ProviderSecret => ("identity_provider", "secret"),
            Self::FederatedSubject => ("federated_account", "subject"),
        }
    }
}

/// Where a value belongs: it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretPlace {
    /// The column.
    pub column: SecretColumn,
    /// The id of the row.
    pub row: [u8; 16],
}

impl SecretPlace {
    const fn aad(&self, tenant: TenantId) -> Aad<'_> {
        let (table, column) = self.column.place();
        Aad { tenant, table, column, row: self.row, row_version: 1, kind: "secret", patient: None }
    }
}

/// The number of login names among the parameters of the blind index. Negative: search parameters count from 0.
const LOGIN_PARAM: i16 = -1;
/// That of an identity provider's own ids of people.
const EXTERNAL_PARAM: i16 = -2;
/// That of who people are at an issuer.
const SUBJECT_PARAM: i16 = -3;

impl Vault {
    /// Seals a value to its place.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the tenant cannot be served or the key is away.
    pub async fn seal_secret(
        &self,
        tenant: TenantId,
        place: SecretPlace,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, AccessError> {
        let cell = self.cell(tenant).await?;
        let (key, generation) = cell.newest(KeyPurpose::Credential).await?;
        carekeep_keys::seal(&key, generation, &place.aad(tenant), plaintext, cell.random())
            .map_err(|error| AccessError::unavailable("keys", error.to_string()))
    }

    /// Opens a value at its place.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the tenant cannot be served, the key is away, or the value was not sealed to
    /// this place.
    pub async fn open_secret(
        &self,
        tenant: TenantId,
        place: SecretPlace,
        envelope: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, AccessError> {
        let cell = self.cell(tenant).await?;
        let key = cell.key_of(KeyPurpose::Credential, envelope).await?;
        carekeep_keys::open(&key, &place.aad(tenant), envelope)
            .map_err(|error| AccessError::unavailable("secrets", error.to_string()))
    }

    /// The blind token of a login name in the one spelling that is compared.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the tenant cannot be served or the key is away.
    pub async fn login_token(&self, tenant: TenantId, normalised: &str) -> Result<i64, AccessError> {
        Ok(self.cell(tenant).await?.index_key().await?.token(LOGIN_PARAM, None, normalised))
    }

    /// The blind token of an identity provider's own id of somebody.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the tenant cannot be served or the key is away.
    pub async fn external_token(&self, tenant: TenantId, id: &str) -> Result<i64, AccessError> {
        Ok(self.cell(tenant).await?.index_key().await?.token(EXTERNAL_PARAM, None, id))
    }

    /// The blind token of who somebody is at an issuer, whose name has no line break.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the tenant cannot be served or the key is away.
    pub async fn subject_token(
        &self,
        tenant: TenantId,
        issuer: &str,
        subject: &str,
    ) -> Result<i64, AccessError> {
        let text = format!("{issuer}\n{subject}");
        Ok(self.cell(tenant).await?.index_key().await?.token(SUBJECT_PARAM, None, &text))
    }
}
