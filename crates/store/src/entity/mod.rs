//! The tables of a tenant's operations schema, one module each, as `crates/tenancy/migrations/operations` makes them.

#![allow(missing_docs, reason = "the columns are described in the migration, once")]

pub mod account_recovery;
pub mod ceremony;
pub mod device;
pub mod federated_account;
pub mod identity_provider;
pub mod invite;
pub mod notice;
pub mod oauth_assertion;
pub mod oauth_client;
pub mod oauth_code;
pub mod oauth_grant;
pub mod oauth_launch;
pub mod oauth_signing_key;
pub mod oauth_token;
pub mod passkey;
pub mod password;
pub mod person;
pub mod provisioned;
pub mod provisioning_token;
pub mod recovery_code;
pub mod role_grant;
pub mod role_request;
pub mod session;
pub mod sign_in_settings;
pub mod softlock;
pub mod totp;
