//! The policies in force, exchanged without stopping.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::{Engine, PolicyError, prove::ProofReport};

/// The policies in force for one tenant, or for all tenants without policies of their own. Cheap to read from many
/// threads; an exchange is seen by the next decision.
#[derive(Debug)]
pub struct ActivePolicy(ArcSwap<Engine>);

impl ActivePolicy {
    /// Puts policies into force that have no tenant's overlay. (The platform's own are proven by its tests.)
    ///
    /// # Errors
    /// [`PolicyError::Unproven`] if `engine` has an overlay: that needs a proof.
    pub fn new(engine: Arc<Engine>) -> Result<Self, PolicyError> {
        if engine.has_overlay() { Err(PolicyError::Unproven) } else { Ok(Self(ArcSwap::new(engine))) }
    }

    /// Puts other policies into force, on the strength of a proof about exactly these.
    ///
    /// # Errors
    /// [`PolicyError::Unproven`] if the report is about other policies or does not say proven. What was in force stays.
    pub fn replace(&self, engine: Arc<Engine>, proof: &ProofReport) -> Result<(), PolicyError> {
        if proof.is_proven() && proof.digest() == engine.digest() {
            self.0.store(engine);
            Ok(())
        } else {
            Err(PolicyError::Unproven)
        }
    }

    /// The policies in force now.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Engine>> {
        self.0.load()
    }
}
