//! Two figures of identity: how long the server takes for a sign-in by passkey, and how long a session is checked.
//!
//! `carekeep-sign-in passkey` registers a passkey of its own for whoever holds a token, and signs in by it again and again over
//! one connection. `carekeep-sign-in session` checks one session in this process, as every request does.

#![expect(clippy::print_stdout, reason = "what it finds out")]
#![expect(clippy::unwrap_used, reason = "a bench stops where something is not as it should be")]

#[path = "../../../crates/identity/src/passkey/tests/authenticator.rs"]
#[expect(dead_code, reason = "most of what it can do is for the vectors of the identity crate")]
mod authenticator;
mod passkey;
mod session;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;

#[derive(Parser)]
#[command(about = "How long signing in by passkey and checking a session take.")]
enum Command {
    /// Signs in by passkey; prints medians of both requests, in milliseconds.
    Passkey(Gateway),
    /// Checks a session; prints median and 99th percentile, in microseconds.
    Session,
}

/// Where to sign in.
#[derive(Parser)]
pub(crate) struct Gateway {
    /// Where the gateway listens.
    #[arg(long)]
    address: SocketAddr,
    /// The authority of its certificate, PEM.
    #[arg(long)]
    authority: PathBuf,
    /// The tenant's host.
    #[arg(long)]
    host: String,
    /// The session of whoever gets the passkey, fresh.
    #[arg(long)]
    token: String,
    /// How many sign-ins are measured.
    #[arg(long, default_value_t = 300)]
    times: usize,
}

/// Prints `name p50 p99` in a unit of so many nanoseconds.
pub(crate) fn print(name: &str, mut took: Vec<Duration>, unit: u32) {
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100].as_nanos() as f64 / f64::from(unit);
    println!("{name} {:.3} {:.3}", at(50), at(99));
}

#[tokio::main]
async fn main() {
    match Command::parse() {
        Command::Passkey(gateway) => passkey::run(&gateway).await,
        Command::Session => session::run().await,
    }
}
