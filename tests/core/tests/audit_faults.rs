//! A1, A2: while an entry cannot be made durable nothing is opened and nothing is changed, and the answer comes in time.
//! With the production roles and grants.

use std::time::{Duration, Instant};

use carekeep_kernel::{ResourceId, TenantId};
use carekeep_ledger::Outcome;
use carekeep_policy::ResourceKind;
use carekeep_testkit::{PersonSpec, Platform};
use carekeep_vault::{AccessError, Caller, Planned, Vault};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{
    as_superuser, count, draft, entries, history, query, read, search, verify_ledger, version_read, write,
};

/// The longest that a refusal may take, and the longest until the service works again (BARS A1).
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
enum Operation {
    Read,
    VersionRead,
    Search,
    History,
    Create,
}

const OPERATIONS: [Operation; 5] =
    [Operation::Read, Operation::VersionRead, Operation::Search, Operation::History, Operation::Create];

struct Scene {
    platform: Platform,
    vault: std::sync::Arc<Vault>,
    tenant: TenantId,
    caller: Caller,
    patient: ResourceId,
}

impl Scene {
    async fn set() -> Self {
        let platform = Platform::start().await;
        let tenant = platform.tenant("acme").await.id;
        let vault = platform.vault().await;
        let ann = platform.person(tenant, PersonSpec::default()).await;
        let caller = ann.caller(&vault).await.unwrap();
        let draft = draft(&platform, ResourceKind::Patient, None, "Gertrude");
        let patient = draft.id;
        write(&vault, &caller, vec![Planned::Create(draft)]).await.unwrap();
        Self { platform, vault, tenant, caller, patient }
    }

    /// How many bytes of health data come out, and whether something was written.
    async fn attempt(&self, operation: Operation) -> Result<usize, AccessError> {
        let (vault, caller) = (&*self.vault, &self.caller);
        let about = (ResourceKind::Patient, self.patient);
        match operation {
            Operation::Read => read(vault, caller, about.0, about.1).await.map(|text| text.len()),
            Operation::VersionRead => version_read(vault, caller, about, 1).await.map(|text| text.len()),
            Operation::Search => {
                search(vault, caller, &query(ResourceKind::Patient)).await.map(|found| found[0].2.len())
            }
            Operation::History => history(vault, caller, about).await.map(|versions| versions[0].1.len()),
            Operation::Create => {
                let draft = draft(&self.platform, ResourceKind::Observation, Some(self.patient), "pulse");
                write(vault, caller, vec![Planned::Create(draft)]).await.map(|()| 0)
            }
        }
    }

    /// All operations at once.
    async fn attempt_all(&self) -> Vec<(Operation, Result<usize, AccessError>, Duration)> {
        let one = async |operation| {
            let started = Instant::now();
            (operation, self.attempt(operation).await, started.elapsed())
        };
        let (a, b, c, d, e) = tokio::join!(
            one(OPERATIONS[0]),
            one(OPERATIONS[1]),
            one(OPERATIONS[2]),
            one(OPERATIONS[3]),
            one(OPERATIONS[4])
        );
        vec![a, b, c, d, e]
    }

    async fn all_refused(&self, fault: &str) {
        for (operation, outcome, took) in self.attempt_all().await {
            assert!(
                matches!(outcome, Err(AccessError::Unavailable { .. })),
                "{fault}: {operation:?} gave {outcome:?}"
            );
            assert!(took < LIMIT, "{fault}: {operation:?} took {took:?}");
        }
    }

    async fn all_work_again(&self, fault: &str) {
        let back = Instant::now();
        for operation in OPERATIONS {
            while let Err(error) = self.attempt(operation).await {
                assert!(back.elapsed() < LIMIT, "{fault}: {operation:?} still refused: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        println!("{fault}: works again after {:?}", back.elapsed());
    }

    async fn written(&self) -> i64 {
        let sql = format!("SELECT count(*) FROM {}.resource", self.tenant.schema());
        count(&self.platform, "clinical", sql).await
    }

    /// A fault that SQL makes and SQL takes back.
    async fn with_fault(&self, fault: &str, make: &str, undo: &str) {
        let schema = self.tenant.schema();
        let fill = |sql: &str| sql.replace("{s}", &schema);
        let before = self.written().await;
        as_superuser(&self.platform, "clinical", fill(make)).await;
        self.all_refused(fault).await;
        assert_eq!(self.written().await, before, "{fault}: something was written");
        as_superuser(&self.platform, "clinical", fill(undo)).await;
        self.all_work_again(fault).await;
    }

    /// What was opened has an entry each, and the whole ledger verifies from outside.
    async fn ledger_is_whole(&self) {
        let report = verify_ledger(&self.platform, self.tenant, &[]).await;
        let entries = entries(&self.platform, self.tenant, 0).await;
        assert_eq!(report.entries, entries.len() as u64);
        assert!(report.proven > 0);
        assert!(entries.iter().any(|entry| entry.action == "history" && entry.outcome == Outcome::Permitted));
    }
}

const RAISE: &str = "CREATE FUNCTION {s}.broken() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = '{code}'; END $$;
    GRANT EXECUTE ON FUNCTION {s}.broken() TO PUBLIC;
    CREATE TRIGGER broken BEFORE INSERT ON {s}.audit_entry FOR EACH ROW EXECUTE FUNCTION {s}.broken()";
const NO_RAISE: &str = "DROP TRIGGER broken ON {s}.audit_entry; DROP FUNCTION {s}.broken()";

#[tokio::test]
async fn bar_a1_an_audit_insert_that_fails_shows_nothing_and_changes_nothing() {
    let scene = Scene::set().await;
    assert!(scene.attempt_all().await.iter().all(|(_, outcome, _)| outcome.is_ok()), "the control");
    // An error, and the error of a full disk.
    for code in ["P0001", "53100"] {
        scene.with_fault(code, &RAISE.replace("{code}", code), NO_RAISE).await;
    }
    scene
        .with_fault(
            "privilege taken away",
            "REVOKE INSERT ON {s}.audit_entry FROM {s}_c",
            "GRANT INSERT ON {s}.audit_entry TO {s}_c",
        )
        .await;
    // A deferred failure: the statement succeeds and the commit does not.
    scene
        .with_fault(
            "commit fails",
            &RAISE
                .replace("{code}", "40001")
                .replace(
                    "CREATE TRIGGER broken BEFORE INSERT",
                    "CREATE CONSTRAINT TRIGGER broken AFTER INSERT",
                )
                .replace("FOR EACH ROW", "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"),
            NO_RAISE,
        )
        .await;
    scene.ledger_is_whole().await;
}

#[tokio::test]
async fn bar_a1_an_audit_insert_that_hangs_is_given_up_within_five_seconds() {
    let scene = Scene::set().await;
    let before = scene.written().await;
    let mut blocker = scene.platform.superuser("clinical").acquire().await.unwrap().detach();
    let lock = format!("BEGIN; LOCK TABLE {}.audit_entry IN ACCESS EXCLUSIVE MODE", scene.tenant.schema());
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut blocker).await.unwrap();
    scene.all_refused("hang").await;
    assert_eq!(scene.written().await, before);
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
    scene.all_work_again("hang").await;
    scene.ledger_is_whole().await;
}

#[tokio::test]
async fn bar_a1_a_backend_killed_in_mid_commit_shows_nothing_and_the_ledger_goes_on() {
    let scene = Scene::set().await;
    let (schema, tenant) = (scene.tenant.schema(), scene.tenant);
    let login = format!("{}_c", tenant.schema());
    let before = scene.written().await;
    for operation in OPERATIONS {
        let mut blocker: PgConnection =
            scene.platform.superuser("clinical").acquire().await.unwrap().detach();
        let lock = format!("BEGIN; LOCK TABLE {schema}.audit_entry IN ACCESS EXCLUSIVE MODE");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut blocker).await.unwrap();
        let kill = async {
            // In the middle of it: the insert has begun and waits.
            let waiting = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = '{login}' AND wait_event_type = 'Lock'"
            );
            while count(&scene.platform, "clinical", waiting.clone()).await == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let kill =
                format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'");
            as_superuser(&scene.platform, "clinical", kill).await;
        };
        let started = Instant::now();
        let (outcome, ()) = tokio::join!(scene.attempt(operation), kill);
        assert!(matches!(outcome, Err(AccessError::Unavailable { .. })), "{operation:?}: {outcome:?}");
        assert!(started.elapsed() < LIMIT);
        sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
        blocker.close().await.unwrap();
    }
    assert_eq!(scene.written().await, before);
    scene.all_work_again("killed").await;
    scene.ledger_is_whole().await;
}

#[tokio::test]
async fn bar_a1_f2_postgres_killed_and_started_again_is_an_answer_in_time_and_then_works() {
    let mut scene = Scene::set().await;
    // Several connections are open and idle when it happens.
    for _ in 0..3 {
        assert!(scene.attempt_all().await.iter().all(|(_, outcome, _)| outcome.is_ok()));
    }
    for _ in 0..2 {
        let before = scene.written().await;
        scene.platform.postgres.kill().await;
        scene.all_refused("dead server").await;
        scene.platform.postgres.start_again().await.unwrap();
        scene.all_work_again("dead server").await;
        assert_eq!(scene.written().await, before + 1);
        // Nobody pays for connections that died with the old server later on.
        for _ in 0..4 {
            assert!(scene.attempt_all().await.iter().all(|(_, outcome, _)| outcome.is_ok()));
        }
        assert!(scene.written().await == before + 5);
    }
    // Many connections at rest, and nobody asks while the server is away: that costs a request, not each connection one.
    let (a, b) = tokio::join!(scene.attempt_all(), scene.attempt_all());
    assert!(a.iter().chain(&b).all(|(_, outcome, _)| outcome.is_ok()));
    scene.platform.postgres.kill().await;
    scene.platform.postgres.start_again().await.unwrap();
    let mut refused = 0;
    for _ in 0..12 {
        refused += u32::from(scene.attempt(Operation::Search).await.is_err());
    }
    assert!(refused <= 2, "{refused} requests paid for connections that had died");
    scene.ledger_is_whole().await;
}
