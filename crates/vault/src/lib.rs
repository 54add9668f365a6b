//! The trusted core: tenant connections, caller, gate, permit, audit writer, sealed rows.
//!
//! ```text
//! token --authenticate--> Caller ---+
//! id ----fetch----------> Sealed ---+--permit--> Permit --open--> Phi --view--> response
//!                                      Cedar said yes, and the audit entry is durable
//! ```
//!
//! Invariants (blueprint section 2): no plaintext without a permit; a permit only after Cedar's yes and a durable audit
//! entry; any failure on the way is a refusal; a connection belongs to one tenant; attributes are loaded, never asserted.

mod account_events;
mod app;
mod audit;
mod authorized;
mod caller;
pub mod catalogue;
mod cell;
mod config;
mod cursor;
mod detail;
mod directory;
mod error;
mod finding;
mod gate;
mod header;
mod last_use;
mod ledger_export;
mod log_signer;
mod operations;
mod permit;
mod phi;
mod provisioner;
mod reading;
mod records;
mod sealed;
mod secrets;
mod session;
mod vault;
mod watch;
mod writing;

pub use account_events::{AccountEvent, AccountHolder, Factor};
pub use authorized::Authorized;
pub use caller::{Activity, Caller, Origin};
pub use carekeep_pool::PoolLimits;
pub use cell::login_aad;
pub use config::{Endpoint, VaultConfig};
pub use error::{AccessError, sqlstate};
pub use finding::Page;
pub use operations::{OperationsConnections, OperationsLease, STATEMENT_LIMIT};
pub use permit::Permit;
pub use phi::{Exposed, Phi};
pub use records::{
    fetch::Versions,
    query::{ClearFilter, Comparison, Cursor, OrderBy, RecordQuery, Span},
    write::Draft,
};
pub use sealed::{Plain, Sealed};
pub use secrets::{SecretColumn, SecretPlace};
pub use session::{SessionError, SessionLimits};
pub use vault::{Vault, VaultParts};
pub use watch::{DirectoryWatch, Snapshot, TenantState};
pub use writing::{Change, Planned};
