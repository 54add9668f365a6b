//! Server-rendered pages, branded per tenant.
//!
//! Pages hold no data of anybody: what is shown about the person comes from the API, by small modules of our own that run
//! with the person's own session. Invariants: no inline script or style, nothing from elsewhere, and no secret in an
//! address that is sent to a server (an invitation's token is a fragment).

mod assets;
mod pages;

use axum::{Router, routing::get};

/// The tenant as its people see it: an extension of each request that reaches a page.
#[derive(Debug, Clone)]
pub struct Brand {
    /// Its name.
    pub name: String,
}

/// The pages. Whoever serves them puts a [`Brand`] into each request and the security headers of pages onto each answer.
pub fn router() -> Router {
    Router::new()
        .route("/", get(pages::home))
        .route("/sign-in", get(pages::sign_in))
        .route("/join", get(pages::join))
        .route("/assets/{file}", get(assets::serve))
}

#[cfg(test)]
mod tests;
