//! What the vault and tenancy promise, on a real Postgres with the production roles and grants.

mod audit_faults;
mod canaries;
mod identity;
mod injection;
mod lanes;
mod lifecycle;
mod misuse;
mod opened_is_recorded;
mod pools;
mod records;
mod support;
mod swaps;
mod tenants;
