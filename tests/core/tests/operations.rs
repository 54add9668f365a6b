//! T3: operations connections are a part of the one budget, and a transaction that is given up leaves nothing behind.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use carekeep_kernel::PersonId;
use carekeep_store::{Changed, Store};
use carekeep_testkit::{Person, PersonSpec, Platform};
use carekeep_vault::{OperationsConnections, PoolLimits, Vault, VaultConfig};
use serde_json::json;
use sqlx::{AssertSqlSafe, Row};

use crate::pools::{Clinic, clinic, read_patient};
use crate::support::count;

/// The connections that tenants' logins have at the moment, to whichever database.
const CONNECTED: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 't\\_%'";
const IN_TRANSACTION: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE usename LIKE 't\\_%' AND state LIKE 'idle in transaction%'";

/// As the product has it, but for the total, and for the patience: what is shown is that everybody gets their turn, not how
/// fast a busy machine opens connections.
fn limited(platform: &Platform, total: usize) -> VaultConfig {
    let pool = PoolLimits { total, wait: Duration::from_secs(20), ..PoolLimits::default() };
    VaultConfig { pool, ..platform.vault_config() }
}

/// The most connections that tenants had at once, until stopped.
struct Watcher {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicI64>,
    task: tokio::task::JoinHandle<()>,
}

impl Watcher {
    fn start(platform: &Platform) -> Self {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
        let (pool, until, seen) = (platform.superuser("postgres"), Arc::clone(&stop), Arc::clone(&most));
        let task = tokio::spawn(async move {
            while !until.load(Ordering::SeqCst) {
                let now: i64 = sqlx::query(CONNECTED).fetch_one(&pool).await.unwrap().get(0);
                seen.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            pool.close().await;
        });
        Self { stop, most, task }
    }

    async fn stop(self) -> i64 {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
        self.most.load(Ordering::SeqCst)
    }
}

/// What signing in asks of the operations database: statements of their own, and a transaction.
async fn sign_in_like(platform: &Platform, vault: &Vault, clinic: &Clinic) -> Result<(), String> {
    let text = |error: carekeep_store::StoreError| error.to_string();
    let now = platform.clock.now();
    let store = Store::open(vault, clinic.tenant).await.map_err(|error| error.to_string())?;
    let person = clinic.caller.person();
    let known = store.softlock("password", b"somebody").await.map_err(text)?;
    let version = known.map_or(0, |row| row.version);
    store.save_softlock(("password", b"somebody"), json!({"n": 1}), version, now).await.map_err(text)?;
    store.revoke_role(person, "none", now).await.map_err(text)?;
    match store.sessions(person).await.map_err(text)?.len() {
        1 => Ok(()),
        other => Err(format!("{other} sessions")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bar_t3_ten_tenants_share_four_connections_to_both_databases_and_nobody_is_turned_away() {
    const TENANTS: u32 = 10;
    const CONNECTIONS: i64 = 4;
    const ROUNDS: usize = 6;
    // Each round opens connections anew, which is work for the processors: a pace at which that is not what it waits for.
    const PACE: Duration = Duration::from_millis(1_500);
    let platform = Arc::new(Platform::start().await);
    let vault = platform.vault_with(limited(&platform, CONNECTIONS as usize)).await;
    let mut clinics = Vec::new();
    for number in 0..TENANTS {
        clinics.push(clinic(&platform, &vault, &format!("t{number:02}")).await);
    }
    let watcher = Watcher::start(&platform);
    let workers = (0..).zip(clinics).map(|(number, clinic)| {
        let (platform, vault) = (Arc::clone(&platform), Arc::clone(&vault));
        tokio::spawn(async move {
            let mut took = Vec::new();
            tokio::time::sleep(PACE * number / TENANTS).await;
            let mut pace = tokio::time::interval(PACE);
            for _ in 0..ROUNDS {
                pace.tick().await;
                let started = Instant::now();
                let signed_in = sign_in_like(&platform, &vault, &clinic).await;
                let read = read_patient(&vault, &clinic).await.map_err(|error| format!("{error:?}"));
                took.push((started.elapsed(), signed_in.and(read.map(drop))));
            }
            took
        })
    });
    let workers: Vec<_> = workers.collect();
    let mut took = Vec::new();
    let mut refused = Vec::new();
    for worker in workers {
        for (time, answer) in worker.await.unwrap() {
            took.push(time);
            refused.extend(answer.err());
        }
    }
    let most = watcher.stop().await;
    took.sort();
    let (median, slowest) = (took[took.len() / 2], took[took.len() - 1]);
    println!("{} rounds, p50 {median:?}, slowest {slowest:?}, with at most {most} connections", took.len());
    assert!(refused.is_empty(), "{} were turned away: {:?}", refused.len(), refused[0]);
    assert_eq!(took.len(), TENANTS as usize * ROUNDS);
    assert!(most >= CONNECTIONS - 1, "the watcher saw hardly any connection: {most}");
    // The server notices a closed socket a moment later. With a budget for each database there were dozens more.
    assert!(most <= CONNECTIONS + 2, "{most} connections");
    assert_eq!(count(&platform, "postgres", IN_TRANSACTION).await, 0);
}

#[tokio::test]
async fn one_connection_goes_from_one_database_of_a_tenant_to_the_other_without_waiting_for_its_rest() {
    let platform = Platform::start().await;
    let vault = platform.vault_with(limited(&platform, 1)).await;
    let clinic = clinic(&platform, &vault, "acme").await;
    let started = Instant::now();
    for _ in 0..10 {
        sign_in_like(&platform, &vault, &clinic).await.unwrap();
        read_patient(&vault, &clinic).await.unwrap();
        assert!(count(&platform, "postgres", CONNECTED).await <= 1);
    }
    // Waiting for a rest would take 300 ms each way.
    let took = started.elapsed();
    println!("10 times back and forth took {took:?}");
    assert!(took < Duration::from_millis(5_000), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_fewer_connections_than_tenants_whoever_never_rests_makes_room_when_its_turn_is_over() {
    let platform = Arc::new(Platform::start().await);
    let vault = platform.vault_with(limited(&platform, 1)).await;
    let busy = clinic(&platform, &vault, "acme").await;
    let modest = clinic(&platform, &vault, "bolt").await;
    let over = Arc::new(AtomicBool::new(false));
    let (until, of_busy, platform_) = (Arc::clone(&over), Arc::clone(&vault), Arc::clone(&platform));
    let greed = tokio::spawn(async move {
        let mut served = 0_u32;
        while !until.load(Ordering::SeqCst) {
            sign_in_like(&platform_, &of_busy, &busy).await.unwrap();
            served += 1;
        }
        served
    });
    for _ in 0..5 {
        read_patient(&vault, &modest).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    over.store(true, Ordering::SeqCst);
    assert!(greed.await.unwrap() > 5);
}

#[tokio::test]
async fn a_store_that_gets_no_connection_says_so() {
    let platform = Platform::start().await;
    let pool = PoolLimits { total: 1, wait: Duration::from_secs(1), ..PoolLimits::default() };
    let vault = platform.vault_with(VaultConfig { pool, ..platform.vault_config() }).await;
    let (acme, bolt) = (platform.tenant("acme").await.id, platform.tenant("bolt").await.id);
    vault.directory().refresh().await.unwrap();
    let (held, store) = (vault.operations(acme).await.unwrap(), Store::open(&vault, bolt).await.unwrap());
    let lease = held.lease().await.unwrap();
    assert_eq!(store.has_people().await.unwrap_err().cause, "no free connection");
    lease.give_back();
    assert!(!store.has_people().await.unwrap());
}

async fn backend(operations: &OperationsConnections) -> i32 {
    let mut lease = operations.lease().await.unwrap();
    let row = sqlx::query("SELECT pg_backend_pid()").fetch_one(lease.connection().unwrap()).await.unwrap();
    lease.give_back();
    row.get(0)
}

async fn until(platform: &Platform, sql: String, wanted: i64) {
    let started = Instant::now();
    while count(platform, "postgres", sql.as_str()).await != wanted {
        assert!(started.elapsed() < Duration::from_secs(5), "{sql}: not {wanted}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn bar_t3_a_store_transaction_that_is_dropped_half_way_leaves_nothing_and_its_connection_is_closed() {
    let platform = Platform::start().await;
    let vault = platform.vault().await;
    let tenant = platform.tenant("acme").await.id;
    vault.directory().refresh().await.unwrap();
    let Person { id, .. } = platform.person(tenant, PersonSpec::default()).await;
    let (store, operations) =
        (Store::open(&vault, tenant).await.unwrap(), vault.operations(tenant).await.unwrap());
    let first = backend(&operations).await;
    // Somebody else has the person's sessions: the transaction has changed the person when it comes to wait for them.
    let pool = platform.superuser("operations");
    let schema = tenant.schema();
    let mut other = pool.begin().await.unwrap();
    let lock = format!("SELECT id FROM {schema}.session FOR UPDATE");
    assert_eq!(sqlx::query(AssertSqlSafe(lock)).fetch_all(&mut *other).await.unwrap().len(), 1);
    let of = |condition: &str| {
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {first} AND {condition}")
    };
    {
        let call = store.suspend(id, id, platform.clock.now());
        tokio::select! {
            answer = call => panic!("not half way: {answer:?}"),
            () = until(&platform, of("wait_event_type = 'Lock'"), 1) => {}
        }
    }
    other.rollback().await.unwrap();
    until(&platform, of("true"), 0).await;
    let suspended = async |id: PersonId| {
        let id = id.as_uuid();
        let sql =
            format!("SELECT count(*) FROM {schema}.person WHERE id = '{id}' AND suspended_at IS NOT NULL");
        count(&platform, "operations", sql).await
    };
    assert_eq!(suspended(id).await, 0, "half a transaction was kept");
    assert_eq!(count(&platform, "postgres", IN_TRANSACTION).await, 0);
    let second = backend(&operations).await;
    assert_ne!(second, first);
    // The positive control: what is not dropped is done, and its connection is lent again.
    assert_eq!(store.suspend(id, id, platform.clock.now()).await.unwrap(), Changed::Done);
    assert_eq!(suspended(id).await, 1);
    assert_eq!(backend(&operations).await, second);
    assert!(store.sessions(id).await.unwrap().is_empty());
}
