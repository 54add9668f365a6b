//! Directory, provisioning, lifecycle, migrations over all tenant schemas.
//!
//! Invariant: nothing here reads a health record. The provisioner makes schemas and roles; the tenants' own logins, whose
//! passwords it cannot keep, read rows.

mod cluster;
mod control;
mod error;
mod lint;
mod migrate;
mod name;
mod provision;
mod tenant_file;

pub use cluster::{DIRECTORY_SCHEMA, GATEWAY_ROLE, OWNER_ROLE, PROVISIONER_ROLE, PlatformPasswords, prepare};
pub use control::{CellEndpoints, ControlPlane, NewTenant, TenantRecord};
pub use error::TenancyError;
pub use migrate::{Database, migrate_schema};
pub use tenant_file::{DemoPerson, PartnerEntry, TenantEntry, TenantFile};
