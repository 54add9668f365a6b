//! How fast an export verifies: `cargo run --release -p carekeep-ledger --example verify_bench [entries]`.
//!
//! Builds one log in memory (a checkpoint every 1,000 entries), then measures encoding, appending and verifying it on one
//! core, best of five each; reading the file from a disk is not measured.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measuring tool for people")]

use std::{hint::black_box, time::Instant};

use carekeep_kernel::{
    EntryId, ManualClock, PersonId, ResourceId, SeededRandom, SessionId, TenantId, Timestamp, random,
};
use carekeep_ledger::{
    Actor, Checkpoint, Ed25519Signer, Entry, Frontier, LeafHash, NoteSigner as _, Outcome, ResourceRef,
    SealedDetail, VerifierSet, export, leaf_hash, origin_of,
    verify::{Trust, verify_export},
};

const EVERY: u64 = 1_000;
const RUNS: usize = 5;

/// A read of one resource, as the gateway writes it.
fn sample(random: &SeededRandom, clock: &ManualClock, tenant: TenantId) -> Entry {
    Entry {
        version: Entry::VERSION,
        tenant,
        index: 0,
        id: EntryId::generate(clock, random),
        at: Timestamp::from_micros(1_790_000_000_000_000),
        request: Some(random::bytes(random)),
        actor: Actor {
            person: Some(PersonId::generate(clock, random)),
            session: Some(SessionId::generate(clock, random)),
            roles: vec!["clinician".to_owned()],
            aal: 2,
            device: None,
        },
        action: "read".to_owned(),
        kind: "Patient".to_owned(),
        resources: vec![ResourceRef { id: ResourceId::generate(clock, random), version: Some(3) }],
        patients: vec![random::bytes(random)],
        purpose: "TREAT".to_owned(),
        consent: None,
        break_glass: false,
        outcome: Outcome::Permitted,
        policies: vec!["clinician-reads-panel".to_owned()],
        policy_digest: random::bytes(random),
        detail: Some(SealedDetail(random::bytes::<96>(random).to_vec())),
    }
}

/// Seconds of the fastest of five runs.
fn best(mut run: impl FnMut()) -> f64 {
    let once = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..RUNS).map(|_| once(&mut run)).fold(f64::INFINITY, f64::min)
}

fn say(what: &str, count: u64, seconds: f64) {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = count as f64 / seconds / 1e6;
    println!("{what:<34} {seconds:>8.3} s   {rate:>6.2} million/s");
}

fn main() {
    let entries: u64 = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number"));
    let (random, clock) =
        (SeededRandom::new(1), ManualClock::at(Timestamp::from_micros(1_790_000_000_000_000)));
    let tenant = TenantId::generate(&clock, &random);
    let signer = Ed25519Signer::from_seed(&origin_of(tenant), &[1; 32]).expect("name");
    let mut entry = sample(&random, &clock, tenant);
    let mut encode = |index: u64| {
        entry.index = index;
        entry.encode()
    };
    let length = encode(0).len();
    println!("{entries} entries of {length} bytes, a checkpoint every {EVERY}");
    say("encode", entries, best(|| (0..entries).for_each(|index| drop(black_box(encode(index))))));
    let rows: Vec<(LeafHash, Vec<u8>)> =
        (0..entries).map(&mut encode).map(|bytes| (leaf_hash(&bytes), bytes)).collect();
    say(
        "leaf hash + frontier push",
        entries,
        best(|| {
            let mut frontier = Frontier::empty();
            frontier.extend(rows.iter().map(|(_, bytes)| leaf_hash(bytes)));
            black_box(frontier.root());
        }),
    );
    let mut notes = Vec::new();
    let mut frontier = Frontier::empty();
    for (leaf, _) in &rows {
        frontier.push(*leaf);
        if frontier.size().is_multiple_of(EVERY) || frontier.size() == entries {
            let checkpoint =
                Checkpoint::new(tenant, frontier.size(), frontier.root(), Timestamp::from_micros(1));
            notes.push(checkpoint.sign(&signer).expect("own key").to_string());
        }
    }
    let mut writer = export::Writer::new(Vec::new()).expect("memory");
    writer.log(tenant).expect("memory");
    notes.iter().for_each(|note| writer.checkpoint(note).expect("memory"));
    for (index, (leaf, bytes)) in (0..).zip(&rows) {
        writer.entry(index, *leaf, bytes).expect("memory");
    }
    let file = writer.finish().expect("memory");
    drop(rows);
    let trust = Trust { log_keys: VerifierSet::new([signer.verifier().clone()]), ..Trust::default() };
    let verified = best(|| {
        let report = verify_export(file.as_slice(), &trust).expect("readable");
        assert!(report.is_clean() && report.logs.iter().all(|log| log.proven == entries));
    });
    say(&format!("verify export ({} MB)", file.len() / 1_000_000), entries, verified);
}
