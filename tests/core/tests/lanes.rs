//! A1, A3: several processes write one tenant's ledger: no gap, no fork, and checkpoints when they are due.

use std::{sync::Arc, time::Duration};

use carekeep_kernel::{Clock, ManualClock, Timestamp};
use carekeep_ledger::{SignedCheckpoint, verify::Remembered};
use carekeep_policy::ResourceKind;
use carekeep_testkit::{PersonSpec, Platform};
use carekeep_vault::{AccessError, Planned};
use sqlx::{AssertSqlSafe, Row};

use crate::support::{as_superuser, count, draft, entries, read, verify_ledger, write};

async fn checkpoints(platform: &Platform, schema: &str) -> Vec<SignedCheckpointAt> {
    let pool = platform.superuser("clinical");
    let sql = format!("SELECT size, at, note FROM {schema}.audit_checkpoint ORDER BY size, at");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
    pool.close().await;
    rows.iter()
        .map(|row| SignedCheckpointAt {
            size: row.get(0),
            signed: SignedCheckpoint::parse(row.get(2)).unwrap(),
        })
        .collect()
}

struct SignedCheckpointAt {
    size: i64,
    signed: SignedCheckpoint,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bar_a1_processes_that_write_one_ledger_at_once_leave_no_gap_and_no_fork() {
    const READERS: u32 = 8;
    const READS: u32 = 60;
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    // Three vaults: as many processes.
    let vaults = [platform.vault().await, platform.vault().await, platform.vault().await];
    let ann = platform.person(acme, PersonSpec::default()).await;
    let caller = Arc::new(ann.caller(&vaults[0]).await.unwrap());
    let draft = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = draft.id;
    write(&vaults[0], &caller, vec![Planned::Create(draft)]).await.unwrap();
    let before = verify_ledger(&platform, acme, &[]).await;
    // Lost races show as unique violations, which the server counts as rolled back transactions.
    let rolled_back = "SELECT xact_rollback FROM pg_stat_database WHERE datname = 'clinical'";
    let losses = count(&platform, "postgres", rolled_back).await;
    let mut readers = Vec::new();
    for vault in &vaults {
        for _ in 0..READERS {
            let (vault, caller) = (Arc::clone(vault), Arc::clone(&caller));
            readers.push(tokio::spawn(async move {
                for _ in 0..READS {
                    read(&vault, &caller, ResourceKind::Patient, id).await.unwrap();
                }
            }));
        }
    }
    for reader in readers {
        reader.await.unwrap();
    }
    let expected = u64::from(READERS * READS) * vaults.len() as u64 + before.entries;
    let remembered = Remembered { tenant: acme, size: before.entries, root: before.root };
    let after = verify_ledger(&platform, acme, &[remembered]).await;
    assert_eq!(after.entries, expected);
    let mut ids: Vec<_> = entries(&platform, acme, 0).await.iter().map(|entry| entry.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len() as u64, expected, "an entry was written twice");
    // Each process signs 1,000 entries after its own last checkpoint: with the batch that makes it due (at most 256),
    // no more than that are ever unsigned. How near to the end the last one lies depends on who wrote last.
    let unsigned = after.entries - after.proven;
    assert!(
        unsigned <= 1_256 && after.proven > before.entries,
        "{unsigned} entries lie behind the last checkpoint"
    );
    drop(vaults);
    let mut lost = 0;
    for _ in 0..50 {
        lost = count(&platform, "postgres", rolled_back).await - losses;
        if lost >= 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{expected} entries, {lost} races lost and repeated");
    assert!(lost >= 20, "the conflict was hardly ever met: {lost}");
}

#[tokio::test]
async fn bar_a3_checkpoints_are_written_by_number_and_by_age_also_when_idle() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_800_000_000_000_000)));
    let platform = Platform::start_at(Arc::clone(&clock) as Arc<dyn Clock>).await;
    let acme = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let ann = platform.person(acme, PersonSpec::default()).await;
    let caller = ann.caller(&vault).await.unwrap();
    let draft = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = draft.id;
    write(&vault, &caller, vec![Planned::Create(draft)]).await.unwrap();
    let schema = acme.schema();
    assert_eq!(checkpoints(&platform, &schema).await.len(), 1, "the first entry is signed for at once");
    for _ in 0..5 {
        read(&vault, &caller, ResourceKind::Patient, id).await.unwrap();
    }
    assert_eq!(checkpoints(&platform, &schema).await.len(), 1, "not due yet");
    // By age, with the next entry.
    clock.advance(Duration::from_secs(56));
    read(&vault, &caller, ResourceKind::Patient, id).await.unwrap();
    let two = checkpoints(&platform, &schema).await;
    assert_eq!(two.iter().map(|checkpoint| checkpoint.size).collect::<Vec<_>>(), [1, 7]);
    // By age, with nothing going on: the heartbeat.
    clock.advance(Duration::from_secs(56));
    let mut beats = Vec::new();
    for _ in 0..150 {
        beats = checkpoints(&platform, &schema).await;
        if beats.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(beats.iter().map(|checkpoint| checkpoint.size).collect::<Vec<_>>(), [1, 7, 7]);
    let report = verify_ledger(&platform, acme, &[]).await;
    assert_eq!((report.entries, report.proven), (7, 7));
    assert_eq!(report.newest_checkpoint, Some(clock.now()));
    assert!(beats[2].signed.to_string().contains(&acme.to_string()));
}

#[tokio::test]
async fn bar_a1_nothing_is_built_on_a_ledger_with_a_gap() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let ann = platform.person(acme, PersonSpec::default()).await;
    let caller = ann.caller(&vault).await.unwrap();
    let draft = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = draft.id;
    write(&vault, &caller, vec![Planned::Create(draft)]).await.unwrap();
    let schema = acme.schema();
    // What SQL as the tenant's login could do: a row beyond the end, far or one place further than the next.
    for index in ["1000000".to_owned(), format!("(SELECT max(idx) + 2 FROM {schema}.audit_entry)")] {
        let beyond = format!("INSERT INTO {schema}.audit_entry VALUES ({index}, 'x', sha256('x'))");
        as_superuser(&platform, "clinical", beyond).await;
        let fresh = platform.vault().await;
        let refused = read(&fresh, &caller, ResourceKind::Patient, id).await;
        assert!(
            matches!(refused, Err(AccessError::Unavailable { what: "audit", .. })),
            "{index}: {refused:?}"
        );
        let clean = format!("DELETE FROM {schema}.audit_entry WHERE entry = 'x'");
        as_superuser(&platform, "clinical", clean).await;
        assert!(read(&fresh, &caller, ResourceKind::Patient, id).await.is_ok());
    }
    verify_ledger(&platform, acme, &[]).await;
}
