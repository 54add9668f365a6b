//! How long a resource takes: `cargo run --release -p carekeep-fhir --example measure [FOLDER OF *.json.gz BUNDLES]`. Prints, per step, the
//! median of five rounds in microseconds per resource.

use std::{env, fs, io::Read as _, time::Instant};

use carekeep_fhir::{
    bundle::{BundleOptions, Draft, Unsupported},
    json::{Json, Limits},
    search::extract,
    types::ResourceType,
    validate::validate,
};
use carekeep_kernel::{ManualClock, ResourceId, SeededRandom, Timestamp};

type Failure = Box<dyn std::error::Error>;

/// The served resources of all bundles of a folder, each as compact JSON.
fn bodies(folder: &str) -> Result<Vec<(ResourceType, Vec<u8>)>, Failure> {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let random = SeededRandom::new(1);
    let options = BundleOptions {
        max_transaction: 100_000,
        unsupported: Unsupported::Report,
        ..BundleOptions::default()
    };
    let mut out = Vec::new();
    for file in fs::read_dir(folder)? {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(fs::File::open(file?.path())?).read_to_end(&mut text)?;
        let bundle = Json::parse(&text, &Limits::import())?;
        let plan = Draft::read(bundle, &options, &mut || ResourceId::generate(&clock, &random))?.plan()?;
        let of = plan
            .operations
            .into_iter()
            .filter_map(|operation| Some((operation.kind, operation.resource?.to_vec())));
        out.extend(of);
    }
    Ok(out)
}

/// Median of five rounds, microseconds per resource.
fn timed(count: usize, mut round: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "counts of resources are far below 2^52")]
    let count = count as f64;
    rounds[2] / count
}

#[expect(clippy::print_stdout, reason = "it is what the example is for")]
fn main() -> Result<(), Failure> {
    let folder = env::args().nth(1).unwrap_or_else(|| "../shared/data/synthea".to_owned());
    let bodies = bodies(&folder)?;
    let limits = Limits::default();
    let documents: Vec<_> = bodies
        .iter()
        .map(|(kind, body)| Ok((*kind, Json::parse(body, &limits)?)))
        .collect::<Result<_, Failure>>()?;
    let bytes: usize = bodies.iter().map(|(_, body)| body.len()).sum();
    println!("{} resources, {} bytes each on average", bodies.len(), bytes / bodies.len().max(1));
    let mut sum = 0;
    let parse = timed(bodies.len(), || {
        for (_, body) in &bodies {
            sum += usize::from(Json::parse(body, &limits).is_ok());
        }
    });
    let serde = timed(bodies.len(), || {
        for (_, body) in &bodies {
            sum += usize::from(serde_json::from_slice::<serde_json::Value>(body).is_ok());
        }
    });
    let valid = timed(bodies.len(), || {
        sum += documents.iter().filter(|(kind, document)| validate(*kind, document).is_ok()).count();
    });
    let index = timed(bodies.len(), || {
        sum += documents.iter().map(|(kind, document)| extract(*kind, document).values.len()).sum::<usize>();
    });
    let write = timed(bodies.len(), || {
        sum += documents.iter().map(|(_, document)| document.to_vec().len()).sum::<usize>();
    });
    println!(
        "us per resource: parse {parse:.2} (serde_json::Value {serde:.2}), validate {valid:.2}, extract {index:.2}, write {write:.2} [{sum}]"
    );
    Ok(())
}
