//! Server-rendered pages, branded per tenant.
//!
//! Pages hold no data of anybody: what is shown about the person comes from the API, by small modules of our own that run
//! with the person's own session. Invariants: no inline script or style, nothing from elsewhere, and no secret in an
//! address that is sent to a server (an invitation's token is a fragment).

mod assets;
mod pages;
mod roles;
mod stopped;

use axum::{
    Router,
    routing::{MethodRouter, get},
};
use carekeep_kernel::{Accent, Offered, TenantKind};

pub use roles::{ROLES, RoleWords};

/// The tenant as its people see it: an extension of each request that reaches a page.
#[derive(Debug, Clone)]
pub struct Brand {
    /// Its name.
    pub name: String,
    /// Its colour; without one the pages have the product's.
    pub accent: Option<Accent>,
    /// What it is for: which sections and roles the pages have.
    pub kind: TenantKind,
}

/// The organisation's own sign-in service, where it has one: an extension of a request to the sign-in page.
#[derive(Debug, Clone)]
pub struct SignInService {
    /// What its button says.
    pub label: String,
}

/// One route of the pages, as data; each answers `GET`.
#[derive(Debug)]
pub struct Page {
    /// A stable name, such as `page.sign_in`.
    pub name: &'static str,
    /// The path as axum writes it, such as `/assets/{file}`.
    pub path: &'static str,
    /// At which tenants it is there.
    pub offered: Offered,
    /// What answers.
    pub handler: MethodRouter,
}

/// Every route of the pages; [`router`] is made from it.
#[must_use]
pub fn pages() -> Vec<Page> {
    let of = |offered| move |name, path, handler| Page { name, path, offered, handler };
    let (page, at_clinics, beyond) =
        (of(Offered::Everywhere), of(Offered::AtClinics), of(Offered::BeyondClinics));
    vec![
        page("page.home", "/", get(pages::home)),
        page("page.sign_in", "/sign-in", get(pages::sign_in)),
        at_clinics("page.sign_in_stopped", "/sign-in-stopped", get(pages::sign_in_stopped)),
        page("page.join", "/join", get(pages::join)),
        page("page.recover", "/recover", get(pages::recover)),
        at_clinics("page.consent", "/consent", get(pages::consent)),
        at_clinics("page.apps", "/apps", get(pages::apps)),
        beyond("page.clinics", "/clinics", get(pages::clinics)),
        page("page.people", "/people", get(pages::people)),
        at_clinics("page.settings", "/settings", get(pages::settings)),
        page("page.brand", "/brand.css", get(assets::brand)),
        page("page.asset", "/assets/{file}", get(assets::serve)),
    ]
}

/// The names of the files below `/assets/`.
pub fn asset_names() -> impl Iterator<Item = &'static str> {
    assets::FILES.iter().map(|(name, ..)| *name)
}

/// The pages. Whoever serves them puts a [`Brand`] into each request and the security headers of pages onto each answer.
pub fn router() -> Router {
    pages().into_iter().fold(Router::new(), |router, page| router.route(page.path, page.handler))
}

#[cfg(test)]
mod tests;
