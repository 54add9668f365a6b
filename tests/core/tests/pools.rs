//! T3, T4, F2: connections under cancellation, scarcity and a server that goes away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use carekeep_kernel::{Random, ResourceId, SeededRandom, TenantId, random};
use carekeep_ledger::Outcome;
use carekeep_policy::ResourceKind;
use carekeep_testkit::{PersonSpec, Platform};
use carekeep_vault::{AccessError, Caller, Planned, PoolLimits, Vault, VaultConfig};
use sqlx::{PgPool, Row};

use crate::support::{count, draft, entries, query, read, search, verify_ledger, write};

pub(crate) struct Clinic {
    pub(crate) tenant: TenantId,
    pub(crate) caller: Caller,
    patient: ResourceId,
}

pub(crate) async fn clinic(platform: &Platform, vault: &Vault, slug: &str) -> Clinic {
    let tenant = platform.tenant(slug).await.id;
    vault.directory().refresh().await.unwrap();
    let ann = platform.person(tenant, PersonSpec::default()).await;
    let caller = ann.caller(vault).await.unwrap();
    let draft = draft(platform, ResourceKind::Patient, None, slug);
    let patient = draft.id;
    write(vault, &caller, vec![Planned::Create(draft)]).await.unwrap();
    Clinic { tenant, caller, patient }
}

fn limited(platform: &Platform, total: usize, per_tenant: usize) -> VaultConfig {
    let pool = PoolLimits { total, per_tenant, wait: Duration::from_secs(4), idle: Duration::from_secs(60) };
    VaultConfig { pool, ..platform.vault_config() }
}

/// The clinical connections that tenants' logins have at the moment.
const CONNECTED: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = 'clinical' AND usename LIKE 't\\_%'";
/// Those that are not as a new one: in a transaction, holding a lock, or with something temporary.
const SOILED: &str = "SELECT (SELECT count(*) FROM pg_stat_activity
      WHERE datname = 'clinical' AND usename LIKE 't\\_%' AND state <> 'idle')
    + (SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.usename LIKE 't\\_%')
    + (SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'pg\\_temp%')";

async fn at_rest(platform: &Platform) {
    let started = Instant::now();
    while count(platform, "clinical", SOILED).await > 0 {
        assert!(started.elapsed() < Duration::from_secs(5), "a connection is still busy or soiled");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bar_t3_cancelled_requests_leave_no_trace_on_a_connection_and_no_hole_in_the_pool() {
    const OPERATIONS: u32 = 2_000;
    let platform = Arc::new(Platform::start().await);
    let vault = platform.vault_with(limited(&platform, 6, 4)).await;
    let mut clinics = Vec::new();
    for slug in ["acme", "bolt", "cove"] {
        clinics.push(Arc::new(clinic(&platform, &vault, slug).await));
    }
    let (dice, left) = (Arc::new(SeededRandom::new(7)), Arc::new(AtomicU32::new(OPERATIONS)));
    let cancelled = Arc::new(AtomicU32::new(0));
    let opened = Arc::new(AtomicU32::new(0));
    let workers: Vec<_> = (0..12)
        .map(|_| {
            let (platform, vault, clinics) = (Arc::clone(&platform), Arc::clone(&vault), clinics.clone());
            let (dice, left) = (Arc::clone(&dice), Arc::clone(&left));
            let (cancelled, opened) = (Arc::clone(&cancelled), Arc::clone(&opened));
            tokio::spawn(async move {
                while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                    let [which, what, fate, at] = random::bytes::<4>(&*dice as &dyn Random);
                    let clinic = &clinics[usize::from(which) % 3];
                    let operation = operate(&platform, &vault, clinic, what % 4);
                    let outcome = if fate % 10 < 3 {
                        let limit = Duration::from_micros(u64::from(at) * 20);
                        match tokio::time::timeout(limit, operation).await {
                            Ok(outcome) => outcome,
                            Err(_) => {
                                cancelled.fetch_add(1, Ordering::SeqCst);
                                continue;
                            }
                        }
                    } else {
                        operation.await
                    };
                    // Nobody else suffers from it.
                    opened.fetch_add(outcome.unwrap(), Ordering::SeqCst);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let cancelled = cancelled.load(Ordering::SeqCst);
    println!("{OPERATIONS} operations, {cancelled} cancelled");
    assert!(cancelled > OPERATIONS / 10, "hardly anything was cancelled: {cancelled}");
    at_rest(&platform).await;
    assert!(count(&platform, "clinical", CONNECTED).await <= 6);
    // Every permit is back: as many as the budget has can work at once, for each tenant in turn.
    for clinic in &clinics {
        let started = Instant::now();
        let all = (0..24).map(|_| read_patient(&vault, clinic));
        for outcome in futures(all).await {
            outcome.unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(4));
    }
    let mut recorded = 0;
    for clinic in &clinics {
        let report = verify_ledger(&platform, clinic.tenant, &[]).await;
        assert!(report.entries > 100);
        let entries = entries(&platform, clinic.tenant, 0).await;
        let reads = |action: &str| action == "read" || action == "search";
        recorded += entries
            .iter()
            .filter(|entry| entry.outcome == Outcome::Permitted && reads(&entry.action))
            .map(|entry| entry.resources.len())
            .sum::<usize>();
    }
    // A cancelled request may have its entry without having shown anything; never the other way round.
    assert!(recorded >= opened.load(Ordering::SeqCst) as usize);
}

async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in waiting.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().map(Option::unwrap).collect()
}

pub(crate) async fn read_patient(vault: &Vault, clinic: &Clinic) -> Result<u32, AccessError> {
    read(vault, &clinic.caller, ResourceKind::Patient, clinic.patient).await.map(|_| 1)
}

/// Gives how many bodies were opened.
async fn operate(platform: &Platform, vault: &Vault, clinic: &Clinic, what: u8) -> Result<u32, AccessError> {
    match what {
        0 | 1 => read_patient(vault, clinic).await,
        2 => {
            let mut asked = query(ResourceKind::Patient);
            asked.count = 3;
            search(vault, &clinic.caller, &asked).await.map(|found| found.len() as u32)
        }
        _ => {
            let draft = draft(platform, ResourceKind::Observation, Some(clinic.patient), "pulse");
            write(vault, &clinic.caller, vec![Planned::Create(draft)]).await.map(|()| 0)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bar_t3_five_tenants_share_six_connections_and_everybody_is_served() {
    let platform = Platform::start().await;
    let vault = platform.vault_with(limited(&platform, 6, 6)).await;
    let mut clinics = Vec::new();
    for slug in ["acme", "bolt", "cove", "dune", "echo"] {
        clinics.push(Arc::new(clinic(&platform, &vault, slug).await));
    }
    let (most, over) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
    let watcher = {
        let (pool, most, over): (PgPool, _, _) =
            (platform.superuser("postgres"), Arc::clone(&most), Arc::clone(&over));
        tokio::spawn(async move {
            while !over.load(Ordering::SeqCst) {
                let now: i64 = sqlx::query(CONNECTED).fetch_one(&pool).await.unwrap().get(0);
                most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            pool.close().await;
        })
    };
    // One greedy tenant that never stops, and four that come in bursts.
    let served: Vec<Arc<AtomicU32>> = clinics.iter().map(|_| Arc::default()).collect();
    let refused: Vec<Arc<AtomicU32>> = clinics.iter().map(|_| Arc::default()).collect();
    let until = Instant::now() + Duration::from_secs(6);
    let mut workers = Vec::new();
    for (at, clinic) in clinics.iter().enumerate() {
        for _ in 0..if at == 0 { 24 } else { 6 } {
            let (vault, clinic, served) = (Arc::clone(&vault), Arc::clone(clinic), Arc::clone(&served[at]));
            let refused = Arc::clone(&refused[at]);
            workers.push(tokio::spawn(async move {
                while Instant::now() < until {
                    let found = search(&vault, &clinic.caller, &query(ResourceKind::Patient)).await;
                    match found.and(read_patient(&vault, &clinic).await) {
                        Ok(_) => served.fetch_add(1, Ordering::SeqCst),
                        // Whoever asks for more than there is may be told so; it is no matter of the others.
                        Err(AccessError::Unavailable { .. }) => refused.fetch_add(1, Ordering::SeqCst),
                        Err(other) => panic!("{other:?}"),
                    };
                    if at > 0 {
                        tokio::time::sleep(Duration::from_millis(30)).await;
                    }
                }
            }));
        }
    }
    for worker in workers {
        worker.await.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    watcher.await.unwrap();
    let served: Vec<u32> = served.iter().map(|served| served.load(Ordering::SeqCst)).collect();
    let most = most.load(Ordering::SeqCst);
    let refused: Vec<u32> = refused.iter().map(|refused| refused.load(Ordering::SeqCst)).collect();
    println!("served {served:?}, refused {refused:?}, with at most {most} connections");
    assert!(refused[1..].iter().all(|refused| *refused == 0), "the modest pay for the greedy: {refused:?}");
    assert!(most >= 4, "the watcher saw hardly any connection: {most}");
    assert!(most <= 6, "{most} connections, 6 allowed");
    assert!(served.iter().all(|served| *served >= 12), "somebody starved: {served:?}");
}

fn signal(name: &str, pids: &[i32]) {
    let pids = pids.iter().map(ToString::to_string);
    let done = std::process::Command::new("kill").arg(name).args(pids).status().unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn bar_f2_t4_a_server_that_swallows_everything_is_an_answer_in_time_and_heals_within_five_seconds() {
    let platform = Platform::start().await;
    let vault = platform.vault_with(limited(&platform, 6, 6)).await;
    let clinic = clinic(&platform, &vault, "acme").await;
    for _ in 0..2 {
        for outcome in futures((0..8).map(|_| operate(&platform, &vault, &clinic, 2))).await {
            outcome.unwrap();
        }
        // Not killed: the sockets stay open and nothing answers, as behind a dead network.
        let pool = platform.superuser("postgres");
        let rows = sqlx::query(
            "SELECT pid FROM pg_stat_activity WHERE datname IS NOT NULL AND pid <> pg_backend_pid()",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        let mut stopped: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        let lock = std::fs::read_to_string(platform.folder("pg").join("postmaster.pid")).unwrap();
        stopped.push(lock.lines().next().unwrap().trim().parse().unwrap());
        signal("-STOP", &stopped);
        let started = Instant::now();
        let outcomes = futures((0..12).map(|what| operate(&platform, &vault, &clinic, what % 4))).await;
        let took = started.elapsed();
        signal("-CONT", &stopped);
        for outcome in outcomes {
            assert!(matches!(outcome, Err(AccessError::Unavailable { .. })), "{outcome:?}");
        }
        assert!(took < Duration::from_secs(9), "gave up after {took:?}");
        let healed = Instant::now();
        for what in 0..4 {
            while let Err(error) = operate(&platform, &vault, &clinic, what).await {
                assert!(healed.elapsed() < Duration::from_secs(5), "still refused: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        println!("gave up after {took:?}, healed after {:?}", healed.elapsed());
    }
    at_rest(&platform).await;
    verify_ledger(&platform, clinic.tenant, &[]).await;
}
