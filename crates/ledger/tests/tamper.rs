//! The fourteen attacks of bar A5, each run on a copy of the database by somebody who may change every row and knows how
//! entries are encoded and hashed, but has neither the log's nor the witness's key (unless said otherwise).
//!
//! Each attack stands beside its control: the same cell, untouched, verifies clean under the same trust.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod common;

use carekeep_kernel::SeededRandom;
use carekeep_ledger::{
    Checkpoint, CheckpointError, Cosigner, Ed25519Signer, Entry, EntryError, NoteError, Outcome,
    SignedCheckpoint, VerifierSet, leaf_hash, origin_of,
    proof::consistency,
    verify::{Place, Report, Source, Trust, What, verify_export},
    witness::{AddCheckpoint, Refusal},
};
use common::{Cell, Log, Row, START, entry, export, frontier, number, verify};

/// Three tenants; the second one is attacked. Checkpoints every 100 entries.
const SIZES: [usize; 3] = [150, 2_500, 20];
const EVERY: usize = 100;
const VICTIM: usize = 1;

/// Runs an attack on a copy, after the control; the finding must be for the victim and nobody else.
fn attack(trust: impl Fn(&Cell) -> Trust, tamper: impl FnOnce(&Cell, &mut Vec<Log>)) -> (Cell, Report) {
    let cell = Cell::new(7, &SIZES, EVERY);
    let trust = trust(&cell);
    let control = verify(&cell.logs, &trust);
    assert!(control.is_clean(), "control: {:?}", control.findings);
    assert_eq!(control.entries, SIZES.iter().sum::<usize>() as u64, "control: everything was looked at");
    assert!(control.logs.iter().all(|log| log.proven == log.entries), "control: everything is proven");
    let mut logs = cell.logs.clone();
    tamper(&cell, &mut logs);
    let report = verify(&logs, &trust);
    assert!(!report.is_clean(), "the attack was not found");
    let victim = cell.logs[VICTIM].tenant;
    assert!(report.findings.iter().all(|finding| finding.tenant == victim), "{:?}", report.findings);
    (cell, report)
}

fn found(report: &Report, wanted: impl Fn(&What) -> bool) -> Place {
    let finding = report.findings.iter().find(|finding| wanted(&finding.what));
    finding.unwrap_or_else(|| panic!("not among {:?}", report.findings)).place
}

fn first_bad(cell: &Cell, report: &Report) -> Option<u64> {
    report.first_bad(cell.logs[VICTIM].tenant)
}

/// Puts every row back in its place: rows, hashed indexes and leaf hashes all fit again.
fn renumber(log: &mut Log, from: usize) {
    for (idx, row) in log.rows.iter_mut().enumerate().skip(from) {
        row.idx = idx as u64;
        row.forge(|entry| entry.index = idx as u64);
    }
}

#[test]
fn bar_a5_01_edit_field() {
    // Only the bytes: the stored leaf hash tells which entry.
    let (cell, report) = attack(Cell::trust, |_, logs| {
        let row = &mut logs[VICTIM].rows[1_234];
        let mut entry = Entry::decode(&row.bytes).expect("good");
        entry.outcome = Outcome::Denied;
        row.bytes = entry.encode();
    });
    assert_eq!(found(&report, |what| *what == What::Leaf), Place::At(1_234));
    // The root is made of the bytes, whatever the stored leaf hash says.
    found(&report, |what| *what == What::Root { size: 1_300, by: Source::Signed });
    assert_eq!(report.logs[VICTIM].proven, 1_200);
    assert_eq!(first_bad(&cell, &report), Some(1_234));
    // With the leaf hash recomputed: the signed root at the next checkpoint.
    let (cell, report) =
        attack(Cell::trust, |_, logs| logs[VICTIM].rows[1_234].forge(|entry| entry.break_glass ^= true));
    let place = found(&report, |what| *what == What::Root { size: 1_300, by: Source::Signed });
    assert_eq!(place, Place::Within { start: 1_200, end: 1_300 });
    assert_eq!(first_bad(&cell, &report), Some(1_200));
    // Any single bit of any row, entry or leaf.
    let random = SeededRandom::new(3);
    for _ in 0..20 {
        let at = usize::try_from(number(&random)).expect("64 bits") % SIZES[VICTIM];
        let (cell, report) = attack(Cell::trust, |_, logs| {
            let bytes = &mut logs[VICTIM].rows[at].bytes;
            let bit = usize::try_from(number(&random)).expect("64 bits") % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        });
        assert_eq!(first_bad(&cell, &report), Some(at as u64));
    }
}

#[test]
fn bar_a5_02_edit_tenant() {
    let (cell, report) = attack(Cell::trust, |cell, logs| {
        let other = cell.logs[0].tenant;
        logs[VICTIM].rows[777].forge(|entry| entry.tenant = other);
    });
    let place = found(&report, |what| *what == What::ForeignTenant(cell.logs[0].tenant));
    assert_eq!((place, first_bad(&cell, &report)), (Place::At(777), Some(777)));
    found(&report, |what| matches!(what, What::Root { size: 800, .. }));
}

#[test]
fn bar_a5_03_edit_time() {
    let (cell, report) = attack(Cell::trust, |_, logs| {
        logs[VICTIM].rows[555].forge(|entry| entry.at = START);
    });
    let place = found(&report, |what| matches!(what, What::Root { size: 600, .. }));
    assert_eq!((place, first_bad(&cell, &report)), (Place::Within { start: 500, end: 600 }, Some(500)));
}

#[test]
fn bar_a5_04_delete_middle() {
    let (cell, report) = attack(Cell::trust, |_, logs| drop(logs[VICTIM].rows.remove(1_000)));
    let place = found(&report, |what| *what == What::OutOfPlace { row: 1_001, entry: 1_001 });
    assert_eq!((place, first_bad(&cell, &report)), (Place::At(1_000), Some(1_000)));
    // With everything behind it renumbered.
    let (cell, report) = attack(Cell::trust, |_, logs| {
        logs[VICTIM].rows.remove(1_000);
        renumber(&mut logs[VICTIM], 1_000);
    });
    found(&report, |what| matches!(what, What::Root { size: 1_100, .. }));
    found(&report, |what| *what == What::Truncated { expected: 2_500 });
    assert_eq!(first_bad(&cell, &report), Some(1_000));
}

#[test]
fn bar_a5_05_delete_tail_1() {
    truncate(2_499);
}

#[test]
fn bar_a5_06_delete_tail_1000() {
    truncate(1_500);
}

fn truncate(keep: usize) {
    // The checkpoints are still there.
    let (cell, report) = attack(Cell::trust, |_, logs| logs[VICTIM].rows.truncate(keep));
    found(&report, |what| *what == What::Truncated { expected: 2_500 });
    assert_eq!(first_bad(&cell, &report), Some(keep as u64));
    // They are cut off as well: only memory can know.
    let cut = |_: &Cell, logs: &mut Vec<Log>| {
        logs[VICTIM].rows.truncate(keep);
        logs[VICTIM].checkpoints.retain(|note| size_of(note) <= keep as u64);
    };
    let (cell, report) = attack(Cell::witnessed_trust, cut);
    found(&report, |what| *what == What::Rollback { expected: 2_500 });
    assert_eq!(first_bad(&cell, &report), Some(keep as u64));
    let mut logs = cell.logs.clone();
    cut(&cell, &mut logs);
    assert!(
        verify(&logs, &cell.trust()).is_clean(),
        "without memory nobody can: that is what the witness is for"
    );
}

fn size_of(note: &str) -> u64 {
    SignedCheckpoint::parse(note).expect("own").claimed().size
}

#[test]
fn bar_a5_07_delete_whole_tenant_log() {
    let (cell, report) = attack(Cell::witnessed_trust, |_, logs| drop(logs.remove(VICTIM)));
    assert_eq!(found(&report, |what| *what == What::MissingLog), Place::At(0));
    assert_eq!(first_bad(&cell, &report), Some(0));
    // The log's key alone says that there is a log.
    let (_, report) = attack(Cell::trust, |_, logs| drop(logs.remove(VICTIM)));
    found(&report, |what| *what == What::MissingLog);
    // Emptied instead of removed.
    let (cell, report) = attack(Cell::witnessed_trust, |_, logs| {
        logs[VICTIM].rows.clear();
        logs[VICTIM].checkpoints.truncate(1);
    });
    found(&report, |what| *what == What::Rollback { expected: 2_500 });
    assert_eq!(first_bad(&cell, &report), Some(0));
}

#[test]
fn bar_a5_08_swap_two() {
    let (cell, report) = attack(Cell::trust, |_, logs| {
        logs[VICTIM].rows.swap(310, 340);
        logs[VICTIM].rows[310].idx = 310;
        logs[VICTIM].rows[340].idx = 340;
    });
    let place = found(&report, |what| *what == What::OutOfPlace { row: 310, entry: 340 });
    assert_eq!((place, first_bad(&cell, &report)), (Place::At(310), Some(310)));
    // With the hashed indexes swapped back as well.
    let (cell, report) = attack(Cell::trust, |_, logs| {
        logs[VICTIM].rows.swap(310, 340);
        renumber(&mut logs[VICTIM], 310);
    });
    found(&report, |what| matches!(what, What::Root { size: 400, .. }));
    assert_eq!(first_bad(&cell, &report), Some(300));
}

#[test]
fn bar_a5_09_insert_forged() {
    let forged = |cell: &Cell| Row::of(&entry(&cell.random, cell.logs[VICTIM].tenant, 2_000));
    let (cell, report) = attack(Cell::trust, |cell, logs| logs[VICTIM].rows.insert(2_000, forged(cell)));
    let place = found(&report, |what| *what == What::OutOfPlace { row: 2_000, entry: 2_000 });
    assert_eq!(place, Place::Within { start: 2_000, end: 2_002 });
    assert_eq!(first_bad(&cell, &report), Some(2_000));
    // With everything behind it renumbered.
    let (cell, report) = attack(Cell::trust, |cell, logs| {
        logs[VICTIM].rows.insert(2_000, forged(cell));
        renumber(&mut logs[VICTIM], 2_000);
    });
    found(&report, |what| matches!(what, What::Root { size: 2_100, .. }));
    assert_eq!(first_bad(&cell, &report), Some(2_000));
}

#[test]
fn bar_a5_10_fork_at_n() {
    // The worst case: the attacker has the log's own key and signs another history from entry 2,200 on.
    let fork = |cell: &Cell, logs: &mut Vec<Log>| {
        let (log, signer) = (&mut logs[VICTIM], &cell.signers[VICTIM]);
        log.rows[2_200..].iter_mut().for_each(|row| row.forge(|entry| entry.patients = vec![[0; 16]]));
        log.checkpoints.retain(|note| size_of(note) <= 2_200);
        for size in (2_300..=2_500).step_by(EVERY) {
            let note = log.sign(size, signer);
            log.checkpoints.push(note);
        }
    };
    let (cell, report) = attack(Cell::witnessed_trust, fork);
    found(&report, |what| *what == What::Fork { size: 2_500 });
    found(&report, |what| *what == What::Root { size: 2_500, by: Source::Remembered });
    assert!(first_bad(&cell, &report).is_some_and(|index| index <= 2_200));
    // The witness itself refuses to go along.
    let mut logs = cell.logs.clone();
    fork(&cell, &mut logs);
    logs[VICTIM].rows.push(Row::of(&entry(&cell.random, cell.logs[VICTIM].tenant, 2_500)));
    let newest = logs[VICTIM].sign(2_501, &cell.signers[VICTIM]);
    let request = AddCheckpoint {
        old_size: 2_500,
        proof: consistency(&logs[VICTIM].leaves(), 2_500, 2_501).expect("growth of the fork"),
        checkpoint: SignedCheckpoint::parse(&newest).expect("own"),
    };
    let cosigner = Cosigner::from_seed("witness.example/w1", &[9; 32]).expect("name");
    let refusal = cell.witness().update(&request, &cosigner, START).expect_err("a fork");
    assert_eq!(refusal, Refusal::Inconsistent { latest: 2_500 });
    // Two signed histories in one export betray each other without any memory.
    let (_, report) = attack(Cell::trust, |cell, logs| {
        let honest = logs[VICTIM].checkpoints.clone();
        fork(cell, logs);
        logs[VICTIM].checkpoints.extend(honest);
    });
    found(&report, |what| *what == What::Fork { size: 2_300 });
}

#[test]
fn bar_a5_11_same_length_suffix_rewrite_with_recomputed_hashes() {
    let (cell, report) = attack(Cell::trust, |_, logs| {
        logs[VICTIM].rows[1_800..].iter_mut().for_each(|row| row.forge(|entry| entry.patients.clear()));
    });
    let place = found(&report, |what| *what == What::Root { size: 1_900, by: Source::Signed });
    assert_eq!((place, first_bad(&cell, &report)), (Place::Within { start: 1_800, end: 1_900 }, Some(1_800)));
    assert_eq!(report.logs[VICTIM].proven, 1_800, "a claim that is not met proves nothing");
    // The signed checkpoints over the suffix are dropped too: the same size, but not the remembered root.
    let (cell, report) = attack(Cell::witnessed_trust, |_, logs| {
        logs[VICTIM].rows[1_800..].iter_mut().for_each(|row| row.forge(|entry| entry.patients.clear()));
        logs[VICTIM].checkpoints.retain(|note| size_of(note) <= 1_800);
    });
    found(&report, |what| *what == What::Root { size: 2_500, by: Source::Remembered });
    assert_eq!(first_bad(&cell, &report), Some(1_800));
}

#[test]
fn bar_a5_12_replay_old_backup() {
    let yesterday = |cell: &Cell, logs: &mut Vec<Log>| {
        let backup = &mut logs[VICTIM];
        backup.rows.truncate(2_050);
        backup.checkpoints.retain(|note| size_of(note) <= 2_000);
        let at_backup = backup.sign(2_050, &cell.signers[VICTIM]);
        backup.checkpoints.push(at_backup);
    };
    let (cell, report) = attack(Cell::witnessed_trust, yesterday);
    found(&report, |what| *what == What::Rollback { expected: 2_500 });
    assert_eq!(first_bad(&cell, &report), Some(2_050));
    assert!(report.findings.iter().any(|finding| finding.to_string().contains("ROLLBACK")), "bar A6");
    // Life goes on after the restore, past the old size: still not the same log.
    let (_, report) = attack(Cell::witnessed_trust, |cell, logs| {
        yesterday(cell, logs);
        let log = &mut logs[VICTIM];
        log.rows.extend((2_050..2_600).map(|index| Row::of(&entry(&cell.random, log.tenant, index))));
        let note = log.sign(2_600, &cell.signers[VICTIM]);
        log.checkpoints.push(note);
    });
    found(&report, |what| *what == What::Root { size: 2_500, by: Source::Remembered });
}

#[test]
fn bar_a5_13_replace_checkpoint_key() {
    // Entries rewritten, and every checkpoint signed again with a key of the attacker's under the log's name.
    let (cell, report) = attack(Cell::trust, |cell, logs| {
        let thief = Ed25519Signer::from_seed(&origin_of(cell.logs[VICTIM].tenant), &[66; 32]).expect("name");
        let log = &mut logs[VICTIM];
        log.rows[100..].iter_mut().for_each(|row| row.forge(|entry| entry.patients.clear()));
        log.checkpoints = (0..=2_500).step_by(EVERY).map(|size| log.sign(size, &thief)).collect();
    });
    found(&report, |what| *what == What::Checkpoint(CheckpointError::Note(NoteError::Untrusted)));
    found(&report, |what| *what == What::Unsigned);
    assert_eq!(report.logs[VICTIM].proven, 0);
    assert_eq!(first_bad(&cell, &report), Some(0), "nothing is proven");
    // Another tenant's key, known and trusted, does not speak for this log.
    let (_, report) = attack(Cell::trust, |cell, logs| {
        logs[VICTIM].checkpoints = cell.logs[0].checkpoints.clone();
    });
    found(&report, |what| matches!(what, What::Checkpoint(CheckpointError::Malformed(_))));
    // A changed signature under the right key.
    let (_, report) = attack(Cell::trust, |_, logs| {
        let note = logs[VICTIM].checkpoints[3].replace("\n300\n", "\n301\n");
        logs[VICTIM].checkpoints[3] = note;
    });
    found(&report, |what| {
        matches!(what, What::Checkpoint(CheckpointError::Note(NoteError::BadSignature(_))))
    });
}

#[test]
fn bar_a5_14_downgrade_entry_version() {
    let (cell, report) = attack(Cell::trust, |_, logs| {
        let row = &mut logs[VICTIM].rows[900];
        row.bytes[0] = 0;
        row.leaf = leaf_hash(&row.bytes);
    });
    let place = found(&report, |what| *what == What::Entry(EntryError::Version(0)));
    assert_eq!((place, first_bad(&cell, &report)), (Place::At(900), Some(900)));
    found(&report, |what| matches!(what, What::Root { size: 1_000, .. }));
}

#[test]
fn a_log_key_holder_cannot_sign_malformed_or_foreign_entries_into_a_log() {
    // With the log's own key everything is signed again: the entries themselves still give it away.
    let (cell, report) = attack(Cell::trust, |cell, logs| {
        let log = &mut logs[VICTIM];
        log.rows[40].forge(|entry| entry.index = 41);
        log.rows[50].bytes.push(0);
        log.rows[50].leaf = leaf_hash(&log.rows[50].bytes);
        log.checkpoints =
            (0..=2_500).step_by(EVERY).map(|size| log.sign(size, &cell.signers[VICTIM])).collect();
    });
    assert_eq!(found(&report, |what| *what == What::OutOfPlace { row: 40, entry: 41 }), Place::At(40));
    assert_eq!(found(&report, |what| matches!(what, What::Entry(EntryError::Trailing(_)))), Place::At(50));
    assert_eq!(first_bad(&cell, &report), Some(40));
}

#[test]
fn bar_a5_clean_logs_raise_no_alarm_in_1000_runs() {
    let random = SeededRandom::new(11);
    for seed in 0..1_000 {
        let pick = |below: u64| usize::try_from(number(&random) % below).expect("small");
        let sizes: Vec<usize> = (0..=pick(3)).map(|_| pick(40)).collect();
        let mut cell = Cell::new(seed, &sizes, 1 + pick(9));
        let trust = cell.witnessed_trust();
        // Entries behind the newest checkpoint and heartbeats of an idle log are normal.
        let (tail, beats) = (pick(5) as u64, pick(3));
        let log = &mut cell.logs[0];
        for _ in 0..beats {
            let beat = log.sign(log.rows.len(), &cell.signers[0]);
            log.checkpoints.push(beat);
        }
        let next = log.rows.len() as u64;
        log.rows.extend((next..next + tail).map(|index| Row::of(&entry(&cell.random, log.tenant, index))));
        let report = verify(&cell.logs, &trust);
        assert!(report.is_clean(), "seed {seed}: {:?}", report.findings);
        assert_eq!(report.logs[0].proven, next, "seed {seed}");
        assert_eq!(report.logs[0].root, frontier(&cell.logs[0].rows).root(), "seed {seed}");
    }
}

#[test]
fn bar_a11_the_log_verifies_when_every_key_to_its_sealed_parts_is_gone() {
    // Verification is given public keys only; the sealed parts are random bytes here, which no key opens at all.
    let cell = Cell::new(21, &[300], 50);
    let mut sealed = 0;
    for row in &cell.logs[0].rows {
        let entry = Entry::decode(&row.bytes).expect("good");
        assert_eq!(entry.actor.aal, 2, "who, when and what stay readable");
        sealed += usize::from(entry.detail.is_some());
    }
    assert!(sealed > 100, "control: there are sealed parts");
    let report = verify(&cell.logs, &cell.trust());
    assert!(report.is_clean() && report.logs[0].proven == 300, "{:?}", report.findings);
    // They are hashed nevertheless: one changed bit of one of them is found.
    let mut logs = cell.logs.clone();
    let at = logs[0].rows.iter().position(|row| Entry::decode(&row.bytes).expect("good").detail.is_some());
    let at = at.expect("there are sealed parts");
    *logs[0].rows[at].bytes.last_mut().expect("the detail is last") ^= 1;
    assert_eq!(verify(&logs, &cell.trust()).first_bad(logs[0].tenant), Some(at as u64));
}

#[test]
fn witnesses_are_counted_and_missing_ones_found() {
    let mut cell = Cell::new(5, &[30], 10);
    let cosigner = Cosigner::from_seed("witness.example/w1", &[9; 32]).expect("name");
    let asking =
        Trust { witness_keys: VerifierSet::new([cosigner.verifier().clone()]), quorum: 1, ..cell.trust() };
    found(&verify(&cell.logs, &asking), |what| *what == What::Unwitnessed);
    let mut witness = carekeep_ledger::witness::WitnessState::new();
    witness.trust(&origin_of(cell.logs[0].tenant), &cell.keys(), None);
    let mut checkpoint = SignedCheckpoint::parse(&cell.logs[0].checkpoints[2]).expect("own");
    let request = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: checkpoint.clone() };
    checkpoint.add_signature(witness.update(&request, &cosigner, START).expect("growth").signature);
    cell.logs[0].checkpoints[2] = checkpoint.to_string();
    let report = verify(&cell.logs, &asking);
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!((report.logs[0].proven, report.logs[0].witnessed), (30, 20));
    let two = Trust { quorum: 2, ..asking };
    found(&verify(&cell.logs, &two), |what| *what == What::Unwitnessed);
}

#[test]
fn one_tenants_export_is_verified_with_that_tenants_part_of_the_trust() {
    let cell = Cell::new(5, &[30, 40], 10);
    let (own, trust) = (&cell.logs[1..], cell.witnessed_trust());
    found(&verify(own, &trust), |what| *what == What::MissingLog);
    assert!(verify(own, &trust.only(cell.logs[1].tenant)).is_clean());
}

#[test]
fn a_cut_off_or_damaged_export_is_an_error_not_a_clean_report() {
    let cell = Cell::new(5, &[2, 1], 2);
    let (good, trust) = (export(&cell.logs), cell.trust());
    assert!(verify_export(good.as_slice(), &trust).expect("control").is_clean(), "control");
    for length in 0..good.len() {
        assert!(verify_export(&good[..length], &trust).is_err(), "cut to {length}");
    }
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x55;
        let result = verify_export(changed.as_slice(), &trust);
        assert!(!result.is_ok_and(|report| report.is_clean()), "changed at {at}");
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert!(verify_export(longer.as_slice(), &trust).is_err());
}

#[test]
fn a_late_checkpoint_and_a_repeated_log_are_found() {
    let cell = Cell::new(5, &[30], 10);
    let log = &cell.logs[0];
    let mut writer = carekeep_ledger::export::Writer::new(Vec::new()).expect("memory");
    writer.log(log.tenant).expect("memory");
    log.rows.iter().for_each(|row| writer.entry(row.idx, row.leaf, &row.bytes).expect("memory"));
    log.checkpoints.iter().for_each(|note| writer.checkpoint(note).expect("memory"));
    let late = verify_export(writer.finish().expect("memory").as_slice(), &cell.trust()).expect("readable");
    found(&late, |what| *what == What::LateCheckpoint { size: 0 });
    let twice = [log.clone(), log.clone()];
    found(&verify(&twice, &cell.trust()), |what| *what == What::RepeatedLog);
}

#[test]
fn a_remembered_foreign_log_is_ignored_and_an_own_one_kept() {
    let cell = Cell::new(5, &[4], 10);
    let mut trust = Trust::default();
    let mut checkpoint = Checkpoint::new(cell.logs[0].tenant, 4, frontier(&cell.logs[0].rows).root(), START);
    trust.remember(&checkpoint);
    checkpoint.origin = "example.com/other".to_owned();
    trust.remember(&checkpoint);
    assert_eq!(trust.remembered.len(), 1);
}
