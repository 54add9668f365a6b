//! The carekeep binary.

use std::process::ExitCode;

use carekeep::cli::Cli;
use clap::Parser;

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
