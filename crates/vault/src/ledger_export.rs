//! Taking a tenant's ledger out, as it lies in the database: for verification elsewhere. Sealed parts stay sealed.

use carekeep_kernel::TenantId;
use carekeep_keys::{KeyPurpose, SigningKey};
use carekeep_ledger::{Ed25519Verifier, LeafHash, NoteSigner, export::Writer};
use sqlx::Row;

use crate::{AccessError, Vault, log_signer::LogSigner, records::fetch::bounded};

/// How many entries are read at a time.
const PAGE: i64 = 5_000;

impl Vault {
    /// The public key of a tenant's log: what a verifier needs to know.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the tenant or its keys cannot be opened.
    pub async fn log_verifier(&self, tenant: TenantId) -> Result<Ed25519Verifier, AccessError> {
        let keys = |error: &dyn std::fmt::Display| AccessError::unavailable("keys", error.to_string());
        let cell = self.cell(tenant).await?;
        let (seed, _) = cell.newest(KeyPurpose::Ledger).await?;
        let key = SigningKey::derive(&seed, tenant).map_err(|error| keys(&error))?;
        let signer = LogSigner::new(tenant, key).map_err(|error| keys(&error))?;
        Ok(signer.verifier().clone())
    }

    /// Writes one tenant's log: its checkpoints, then its entries in order. `progress` hears how many entries are written.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the database or the output fails.
    pub async fn export_ledger<W: std::io::Write + Send>(
        &self,
        tenant: TenantId,
        writer: &mut Writer<W>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<u64, AccessError> {
        let output = |error: carekeep_ledger::export::ExportError| {
            AccessError::unavailable("output", error.to_string())
        };
        let records = |error: sqlx::Error| AccessError::records(&error);
        let cell = self.cell(tenant).await?;
        let mut lease = bounded(cell.clinical().lease()).await?;
        let connection = lease.connection().map_err(records)?;
        writer.log(tenant).map_err(output)?;
        let query = sqlx::query("SELECT note FROM audit_checkpoint ORDER BY size, at");
        for row in bounded(query.fetch_all(&mut *connection)).await? {
            writer.checkpoint(row.try_get(0).map_err(records)?).map_err(output)?;
        }
        let mut written = 0_u64;
        let mut next = 0_i64;
        loop {
            let query =
                sqlx::query("SELECT idx, leaf, entry FROM audit_entry WHERE idx >= $1 ORDER BY idx LIMIT $2");
            let rows = bounded(query.bind(next).bind(PAGE).fetch_all(&mut *connection)).await?;
            let Some(last) = rows.last() else { break };
            next = last.try_get::<i64, _>(0).map_err(records)? + 1;
            for row in &rows {
                let index: i64 = row.try_get(0).map_err(records)?;
                let leaf = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(1).map_err(records)?)
                    .map_err(|_| AccessError::unavailable("audit", "a leaf hash has 32 bytes"))?;
                let index = u64::try_from(index).unwrap_or(u64::MAX);
                writer
                    .entry(index, LeafHash::from_bytes(leaf), row.try_get(2).map_err(records)?)
                    .map_err(output)?;
                written += 1;
            }
            progress(written);
        }
        lease.give_back();
        Ok(written)
    }
}
