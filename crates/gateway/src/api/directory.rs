//! The vault's picture of the directory, as the edge asks for it.

use std::sync::Arc;

use carekeep_vault::DirectoryWatch;

use crate::edge::{HostDirectory, HostEntry, NormalisedHost};

/// Looks hosts up in memory.
pub struct Hosts(pub Arc<DirectoryWatch>);

impl HostDirectory for Hosts {
    fn lookup(&self, host: &NormalisedHost) -> HostEntry {
        let snapshot = self.0.now();
        if !snapshot.is_fresh() {
            return HostEntry::Unavailable { retry_after: 5 };
        }
        match snapshot.by_host(host.as_str()) {
            Some(tenant) if tenant.active => HostEntry::Tenant(tenant.id, tenant.kind),
            Some(_) => HostEntry::Unavailable { retry_after: 60 },
            None => HostEntry::Unknown,
        }
    }
}
