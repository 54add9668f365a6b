//! Carekeep's policy layer: Cedar policies are loaded, strictly validated, sliced, decided with, explained and proven.
//!
//! Pure: nothing here reads a clock, a socket or a database. The only I/O is reading a policy directory and, in
//! [`prove`], talking to a cvc5 process.
//!
//! Invariants: any error is a refusal; a tenant's own policies go live only with a proof that the platform's
//! invariants still hold.

mod action;
mod active;
pub mod cases;
mod decision;
mod engine;
mod entities;
mod error;
pub mod matrix;
mod memo;
pub mod prove;
mod request;
mod role;
mod rules;
mod sample;
mod scope;
mod slices;
pub mod smart;
mod source;
mod vocabulary;

pub use action::{Action, Class, ResourceKind};
pub use active::ActivePolicy;
pub use decision::{Decision, DenyReason, Explanation, Outcome, PolicyIds, Projection, Verdict};
pub use engine::Engine;
pub use error::{Place, PolicyError};
pub use request::{Aal, AccessRequest, AccountFacts, Context, Principal, Purpose, Relation, Resource};
pub use role::{Role, RoleSet, UnknownName};
pub use smart::ScopeSet;
pub use source::{Part, PolicySource};
