//! The carekeep binary, as a library: configuration, roles of a process, commands. Tests start the same product.

pub mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod dev;
pub mod error;
pub mod import;
pub mod internal;
pub mod pages;
pub mod serve;
