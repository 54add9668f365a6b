//! Passwords: what may be one ([`policy`]) and how it is kept and checked ([`hasher`]).

pub mod hasher;
pub mod policy;

pub use hasher::{ChooseError, HashSettings, PasswordError, PasswordHashes, StoredPassword, Verdict};
pub use policy::{PasswordUse, PlainPassword, PolicyError};
