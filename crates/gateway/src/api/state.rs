//! What the handlers work with.

use std::{ops::Deref, sync::Arc};

use carekeep_care::fhir::BundleLimits;
use carekeep_identity::service::Shared;
use carekeep_kernel::Timestamp;
use carekeep_vault::Vault;

use super::Providers;
use crate::limits::Limiter;

/// What the handlers are given.
pub struct ApiParts {
    /// The trusted core.
    pub vault: Arc<Vault>,
    /// Limits per person are checked once the session is known.
    pub limiter: Arc<Limiter>,
    /// Limits of one FHIR bundle.
    pub bundle: BundleLimits,
    /// What signing in needs of the process; see [`super::identity::shared`].
    pub identity: Shared,
    /// The identity providers of tenants, as last read.
    pub providers: Providers,
    /// When this process started; the date of the CapabilityStatement.
    pub started: Timestamp,
}

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<ApiParts>);

impl Api {
    /// Shares the parts.
    #[must_use]
    pub fn new(parts: ApiParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Api {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0
    }
}
