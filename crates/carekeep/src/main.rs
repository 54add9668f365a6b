//! The carekeep binary.

use std::process::ExitCode;

use carekeep::cli::Cli;
use clap::Parser;

/// Requests allocate and free on several threads at once, which this does with less work than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a command belong on standard error")]
fn report(failure: &carekeep::error::Failure) {
    eprintln!("carekeep: {failure}");
}
