use carekeep_policy::{Projection, ResourceKind};
use carekeep_vault::{Permit, catalogue::Read};

fn forge(like: &Permit<Read>, tenant: carekeep_kernel::TenantId, id: carekeep_kernel::ResourceId) -> Permit<Read> {
    Permit {
        tenant,
        kind: ResourceKind::Patient,
        id,
        version: 1,
        projection: Projection::Full,
        key: None,
        entry: like.entry(),
        action: std::marker::PhantomData,
    }
}

fn main() {
    let _ = forge;
}
