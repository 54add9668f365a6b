//! What the vault and tenancy promise, on a real Postgres with the production roles and grants.

mod identity;
mod records;
mod support;
mod tenants;
