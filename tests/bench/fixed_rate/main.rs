//! An open-loop client: requests leave at a fixed rate whether or not earlier ones are answered, and each is timed from
//! the moment at which it was due. (wrk waits for its answers: a slow server gets fewer requests from it, and its p99
//! leaves out those that were never sent.)
//!
//! Targets come from a file, one a line: `host path token`, and a body to post it; `-` is no token. The first is asked for
//! most, by Zipf's law. Connections have no server name (SNI), so each carries requests to all tenants. Prints one line of
//! JSON.

mod connection;
mod targets;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use serde::Serialize;
use tokio::sync::{Mutex, mpsc};

use connection::{Client, Outcome};
use targets::Targets;

/// What ends the program.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What to load, how much and how long.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// Where the gateway listens.
    #[arg(long)]
    address: SocketAddr,
    /// PEM of the authority to trust.
    #[arg(long)]
    authority: PathBuf,
    /// File of targets.
    #[arg(long)]
    targets: PathBuf,
    /// Requests per second.
    #[arg(long)]
    rate: f64,
    /// Seconds that count.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Seconds before, at the same rate, that do not.
    #[arg(long, default_value_t = 1)]
    warm_up: u32,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Exponent of Zipf's law; 0 asks for all alike.
    #[arg(long, default_value_t = 1.0)]
    zipf: f64,
}

/// One request that is due.
struct Job {
    due: Instant,
    counts: bool,
    target: usize,
}

type Queue = Arc<Mutex<mpsc::UnboundedReceiver<Job>>>;

/// What became of the requests that count.
#[derive(Debug, Default, Serialize)]
struct Report {
    rps: f64,
    answered: usize,
    /// Answers other than 200.
    refused: usize,
    /// No answer.
    failed: usize,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let options = Options::parse();
    let targets = Arc::new(Targets::read(&options.targets, options.zipf)?);
    let client = Arc::new(Client::new(options.address, &options.authority)?);
    let (sender, receiver) = mpsc::unbounded_channel();
    let queue: Queue = Arc::new(Mutex::new(receiver));
    let mut workers = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        let mut connection = client.connect().await?;
        let (queue, client, targets) = (Arc::clone(&queue), Arc::clone(&client), Arc::clone(&targets));
        workers.push(tokio::spawn(async move {
            let mut outcomes = Vec::new();
            loop {
                let Some(job) = queue.lock().await.recv().await else { return outcomes };
                let outcome = client.ask(&mut connection, targets.get(job.target)).await;
                if job.counts {
                    outcomes.push((outcome, job.due.elapsed()));
                }
            }
        }));
    }
    let pacer = pace(&options, Arc::clone(&targets), sender)?;
    let mut outcomes = Vec::new();
    for worker in workers {
        outcomes.extend(worker.await?);
    }
    pacer.join().map_err(|_| "the pacer failed")?;
    print(&serde_json::to_string(&report(&outcomes, options.seconds))?);
    Ok(())
}

/// A thread of its own: the runtime's timer has a resolution of a millisecond.
fn pace(
    options: &Options,
    targets: Arc<Targets>,
    queue: mpsc::UnboundedSender<Job>,
) -> std::io::Result<thread::JoinHandle<()>> {
    let gap = Duration::from_secs_f64(1.0 / options.rate.max(0.001));
    let warm_up = Duration::from_secs(u64::from(options.warm_up));
    let total = warm_up + Duration::from_secs(u64::from(options.seconds));
    thread::Builder::new().name("pacer".to_owned()).spawn(move || {
        let begun = Instant::now();
        for number in 0_u32.. {
            let at = gap * number;
            if at >= total {
                return;
            }
            thread::sleep((begun + at).saturating_duration_since(Instant::now()));
            let job = Job { due: begun + at, counts: at >= warm_up, target: targets.pick(u64::from(number)) };
            if queue.send(job).is_err() {
                return;
            }
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts and microseconds of one run are far below 2^52")]
fn report(outcomes: &[(Outcome, Duration)], seconds: u32) -> Report {
    let count = |wanted| outcomes.iter().filter(|(outcome, _)| *outcome == wanted).count();
    // A request without an answer has waited, too.
    let mut times: Vec<u128> = outcomes.iter().map(|(_, took)| took.as_micros()).collect();
    times.sort_unstable();
    let at = |share: usize| {
        let place = (times.len() * share / 100).min(times.len().saturating_sub(1));
        times.get(place).map_or(0.0, |micros| *micros as f64 / 1e3)
    };
    let answered = count(Outcome::Answered);
    Report {
        rps: answered as f64 / f64::from(seconds.max(1)),
        answered,
        refused: count(Outcome::Refused),
        failed: count(Outcome::Failed),
        p50_ms: at(50),
        p99_ms: at(99),
        max_ms: at(100),
    }
}

#[expect(clippy::print_stdout, reason = "the bench reads the figures from here")]
fn print(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_requests_that_were_due_and_rates_of_those_answered() {
        let mut outcomes: Vec<_> =
            (1..=98).map(|ms| (Outcome::Answered, Duration::from_millis(ms))).collect();
        outcomes.push((Outcome::Refused, Duration::from_millis(1)));
        outcomes.push((Outcome::Failed, Duration::from_millis(900)));
        let report = report(&outcomes, 2);
        assert_eq!((report.answered, report.refused, report.failed), (98, 1, 1));
        assert_eq!((report.rps, report.p50_ms, report.p99_ms, report.max_ms), (49.0, 50.0, 900.0, 900.0));
    }
}
