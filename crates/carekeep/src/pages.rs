//! The portal's pages on the public listener: the tenant's brand goes in, the security headers of pages come out.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use carekeep_gateway::edge::{PageHeaders, RouteTable, TenantRoute};
use carekeep_identity::storage::PgRepository;
use carekeep_kernel::TenantId;
use carekeep_portal::{Brand, SignInService};
use carekeep_vault::Vault;

/// The pages, to be merged with the API below the edge.
pub fn router(vault: &Arc<Vault>) -> Router {
    carekeep_portal::router().route_layer(from_fn_with_state(Arc::clone(vault), branded))
}

/// Says in the edge's table at which tenants each page is there.
pub fn offer(table: RouteTable) -> RouteTable {
    carekeep_portal::pages().iter().fold(table, |table, page| table.offer(page.path, page.offered))
}

async fn branded(State(vault): State<Arc<Vault>>, mut request: Request, next: Next) -> Response {
    let tenant = request.extensions().get::<TenantRoute>().map(|route| route.tenant);
    if let Some(tenant) = tenant.filter(|_| request.uri().path() == "/sign-in")
        && let Some(service) = service(&vault, tenant).await
    {
        request.extensions_mut().insert(service);
    }
    let state = tenant.and_then(|tenant| vault.directory().now().by_id(tenant).cloned());
    if let Some(state) = state {
        request.extensions_mut().insert(Brand {
            name: state.name.clone(),
            accent: state.accent,
            kind: state.kind,
        });
    }
    let mut response = next.run(request).await;
    response.extensions_mut().insert(PageHeaders::Page);
    response
}

/// The tenant's own sign-in service. A tenant whose storage is away has a page without its button: that leads nowhere then.
async fn service(vault: &Arc<Vault>, tenant: TenantId) -> Option<SignInService> {
    let people = PgRepository::open(vault, tenant).await.ok()?;
    Some(SignInService { label: people.provider().await.ok()??.label })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use carekeep_kernel::TenantKind;
    use carekeep_policy::Role;

    #[test]
    fn i10_every_role_that_administrators_give_is_on_the_page_for_people() {
        for kind in TenantKind::ALL {
            let on_page = carekeep_portal::ROLES.iter().filter(|role| role.kinds.contains(&kind));
            let on_page: BTreeSet<_> = on_page.map(|role| (role.name, role.two)).collect();
            let given = Role::ALL
                .iter()
                .filter(|role| !matches!(role, Role::Patient | Role::RecordsReader | Role::Provisioner));
            let given = given.filter(|role| role.belongs_in(kind));
            assert_eq!(on_page, given.map(|role| (role.as_str(), role.needs_approval())).collect(), "{kind}");
        }
    }
}
