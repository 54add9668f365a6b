//! `carekeep audit ...`

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{BufReader, BufWriter},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use carekeep_ledger::{
    Ed25519Verifier, SignedCheckpoint, VerifierSet,
    export::Writer,
    verify::{Trust, verify_export},
};
use clap::{Args, Subcommand};

use super::say;
use crate::{config::Config, error::Failure, serve};

/// A command about audit ledgers.
#[derive(Subcommand)]
pub enum AuditCommand {
    /// Write a tenant's ledger to a file. Sealed parts stay sealed.
    Export {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// The tenant's short name.
        #[arg(long)]
        tenant: String,
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
    },
    /// Print the public key of a tenant's ledger, in the form that `verify` takes.
    Key {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// The tenant's short name.
        #[arg(long)]
        tenant: String,
    },
    /// Verify an exported ledger, offline and with public keys only.
    Verify(Verification),
}

/// What to verify, and what is believed before.
#[derive(Args)]
pub struct Verification {
    /// The export.
    #[arg(long)]
    export: PathBuf,
    /// Public key of a ledger that must be in it: the text that `carekeep audit key` prints, not a file. Once for each ledger.
    #[arg(long, required = true, value_name = "KEY_TEXT")]
    key: Vec<String>,
    /// Files of checkpoints that were kept elsewhere (a witness's, or of an earlier verification): without one, entries
    /// cut off the end cannot be missed.
    #[arg(long)]
    remembered: Vec<PathBuf>,
}

impl AuditCommand {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`]; a ledger that was tampered with is one.
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Export { config, tenant, out } => {
                let vault = serve::open_vault(&Config::read(&config)?).await?;
                let tenant = tenant_of(&vault, &tenant)?;
                let file = private(&out).map_err(Failure::file(&out))?;
                let output =
                    |error: carekeep_ledger::export::ExportError| Failure::message(error.to_string());
                let mut writer = Writer::new(BufWriter::new(file)).map_err(output)?;
                let progress = |written: u64| say(&format!("{written} entries"));
                let entries = vault.export_ledger(tenant, &mut writer, &progress).await?;
                writer.finish().map_err(output)?;
                say(&format!("{entries} entries written to {}", out.display()));
                Ok(())
            }
            Self::Key { config, tenant } => {
                let vault = serve::open_vault(&Config::read(&config)?).await?;
                let tenant = tenant_of(&vault, &tenant)?;
                say(&vault.log_verifier(tenant).await?.to_string());
                Ok(())
            }
            Self::Verify(verification) => verification.run(),
        }
    }
}

/// An empty file that only its owner may read: who did what and when is nobody else's, also where the rest is sealed.
fn private(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // The mode above is for a new file; this is for one that was there.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn tenant_of(vault: &carekeep_vault::Vault, slug: &str) -> Result<carekeep_kernel::TenantId, Failure> {
    let snapshot = vault.directory().now();
    let found = snapshot.tenants().find(|tenant| tenant.slug == slug).map(|tenant| tenant.id);
    found.ok_or_else(|| {
        Failure::message(format!("no tenant {slug:?}: `carekeep tenant list` shows those that exist"))
    })
}

impl Verification {
    fn run(&self) -> Result<(), Failure> {
        let keys = self
            .key
            .iter()
            .map(|key| {
                Ed25519Verifier::parse(key).map_err(|error| Failure::message(format!("{key}: {error}")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut trust = Trust { log_keys: VerifierSet::new(keys), ..Trust::default() };
        for path in &self.remembered {
            let text = std::fs::read_to_string(path).map_err(Failure::file(path))?;
            let wrong =
                |error: &dyn std::fmt::Display| Failure::message(format!("{}: {error}", path.display()));
            let signed = SignedCheckpoint::parse(&text).map_err(|error| wrong(&error))?;
            let checkpoint = signed.verify(&trust.log_keys).map_err(|error| wrong(&error))?.clone();
            trust.remember(&checkpoint);
        }
        let file = File::open(&self.export).map_err(Failure::file(&self.export))?;
        let report = verify_export(BufReader::new(file), &trust)
            .map_err(|error| Failure::message(error.to_string()))?;
        say(&format!("{} entries, {} checkpoints", report.entries, report.checkpoints));
        if report.is_clean() {
            say("nothing was found: every entry is where it was written, as it was written");
            return Ok(());
        }
        report.findings.iter().for_each(|finding| say(&finding.to_string()));
        Err(Failure::message(
            "this ledger was changed after it was written: keep the export and tell the privacy officer",
        ))
    }
}
