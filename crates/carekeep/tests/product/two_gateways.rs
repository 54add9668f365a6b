//! I7, I10, BARS I7: what is taken from somebody at one gateway is taken at every other within a second, with Redis and without.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    cell::Cell,
    gateway::Gateway,
    http::{Http, answer},
};

/// Within this it holds everywhere.
const LIMIT: Duration = Duration::from_secs(1);
/// How long people are watched afterwards: longer than any process trusts what it knows.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// Two gateways of one cell, a tenant's administrator at the first.
struct Scene {
    cell: Cell,
    gateways: [Gateway; 2],
    admin: Http,
}

/// A clinician with a chart.
struct Member {
    id: String,
    login: String,
    secret: String,
    patient: String,
    http: Http,
}

/// What is done, by whom, and what the member's chart answers before and after.
struct Change<'a> {
    by: &'a Http,
    method: Method,
    path: String,
    statuses: [u16; 2],
}

/// When a request began, and the status of its answer.
type Seen = Arc<Mutex<Vec<(Instant, u16)>>>;

/// Asks one gateway all the time.
struct Watch {
    seen: Seen,
    lane: JoinHandle<()>,
}

impl Watch {
    fn start(http: Http, path: String) -> Self {
        let seen = Seen::default();
        let kept = Arc::clone(&seen);
        let lane = tokio::spawn(async move {
            loop {
                let began = Instant::now();
                let status = http.get(&path).await.status;
                kept.lock().unwrap().push((began, status));
            }
        });
        Self { seen, lane }
    }

    async fn until(&self, enough: impl Fn(&[(Instant, u16)]) -> bool) {
        let began = Instant::now();
        while !enough(&self.seen.lock().unwrap()) {
            assert!(began.elapsed() < Duration::from_secs(10), "no answers");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn end(self) -> Vec<(Instant, u16)> {
        self.lane.abort();
        assert!(self.lane.await.unwrap_err().is_cancelled());
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Scene {
    async fn set() -> Self {
        let mut cell = Cell::start().await;
        // The limits stay in the path, and out of the way.
        cell.config.limit_factor = 1_000;
        cell.write(&cell.config, "carekeep.toml");
        let gateways = [cell.gateway(), cell.gateway()];
        let admin = cell.tenant(&gateways[0], "acme").await;
        Self { cell, gateways, admin }
    }

    async fn member(&self, login: &str) -> Member {
        let body = json!({"login": login, "name": format!("Name of {login}"), "roles": ["clinician"]});
        let invited = self.admin.post("/api/v1/people", &body).await.expect(201);
        let mut http = self.admin.clone().with_token(None);
        let secret = http.join(invited["token"].as_str().unwrap()).await;
        let patient = json!({"resourceType": "Patient", "name": [{"family": "Twofold"}]});
        let patient = http.post("/fhir/R4/Patient", &patient).await.expect(201);
        let patient = patient["id"].as_str().unwrap().to_owned();
        let id = invited["person"].as_str().unwrap().to_owned();
        Member { id, login: login.to_owned(), secret, patient, http }
    }

    /// Somebody who asks for the member's chart at each gateway, one request after another.
    fn watch(&self, member: &Member) -> [Watch; 2] {
        [0, 1].map(|at| {
            let http = self.cell.client(&self.gateways[at], "acme").with_token(member.http.token.as_deref());
            Watch::start(http, format!("/fhir/R4/Patient/{}", member.patient))
        })
    }

    /// Does something about a member whose session is in use at both gateways, and gives how long after its acknowledgement the
    /// last request began that was still answered as before.
    async fn holds(&self, what: &str, member: &Member, change: Change<'_>) -> Duration {
        let (watches, [before, after]) = (self.watch(member), change.statuses);
        for watch in &watches {
            watch.until(|seen| seen.len() > 3).await;
        }
        let asked = answer(change.by.request(change.method, &change.path)).await.unwrap();
        assert!(asked.status < 300, "{what}: {}", asked.text());
        let acknowledged = Instant::now();
        tokio::time::sleep(LIMIT + AFTERWARDS).await;
        let mut latest = Duration::ZERO;
        for (gateway, watch) in watches.into_iter().enumerate() {
            let seen = watch.end().await;
            assert_eq!((seen[0].1, seen[3].1), (before, before), "{what}: no control");
            assert_eq!(seen.last().unwrap().1, after, "{what}");
            let old = seen.iter().rfind(|(_, status)| *status == before).unwrap().0;
            let lag = old.saturating_duration_since(acknowledged);
            assert!(lag < LIMIT, "{what}: gateway {gateway} went on for {lag:.2?}");
            latest = latest.max(lag);
        }
        println!("{what}: everywhere within {latest:.2?}");
        latest
    }

    /// Five people, the second of them signed in twice.
    async fn cast(&self, round: &str) -> (Vec<Member>, Http) {
        let mut members = Vec::new();
        for name in ["leaving", "others", "roles", "suspended", "removed"] {
            members.push(self.member(&format!("{name}.{round}")).await);
        }
        let mut second = members[1].http.clone().with_token(None);
        second.sign_in(&members[1].login, &members[1].secret).await;
        (members, second)
    }

    /// Everything that takes something from somebody, one after another; gives the latest.
    async fn play(&self, round: &str, (members, second): &(Vec<Member>, Http)) -> Duration {
        let [leaving, others, roles, suspended, removed] = &members[..] else { panic!("five") };
        let person = |member: &Member, rest: &str| format!("/api/v1/people/{}{rest}", member.id);
        let role = person(roles, "/roles/clinician");
        let admin = |method, path, statuses| Change { by: &self.admin, method, path, statuses };
        let own =
            |by, path: &str| Change { by, method: Method::POST, path: path.to_owned(), statuses: [200, 401] };
        let changes = [
            ("signing out", leaving, own(&leaving.http, "/api/v1/sign-out")),
            ("ending other sessions", others, own(second, "/api/v1/sessions/revoke-others")),
            ("taking a role", roles, admin(Method::DELETE, role.clone(), [200, 403])),
            ("giving it back", roles, admin(Method::PUT, role, [403, 200])),
            ("suspending", suspended, admin(Method::POST, person(suspended, "/suspend"), [200, 401])),
            ("letting go", removed, admin(Method::DELETE, person(removed, ""), [200, 401])),
        ];
        let mut latest = Duration::ZERO;
        for (what, member, change) in changes {
            latest = latest.max(self.holds(&format!("{round}: {what}"), member, change).await);
        }
        // Who signed in anew goes on at both.
        for gateway in &self.gateways {
            let again = self.cell.client(gateway, "acme").with_token(second.token.as_deref());
            again.get("/api/v1/me").await.expect(200);
        }
        latest
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i7_what_ends_at_one_gateway_ends_at_the_other_within_a_second_also_without_redis() {
    let mut scene = Scene::set().await;
    // Side by side, as a second sign-in waits for the next code.
    let (first, other) = tokio::join!(scene.cast("shared"), scene.cast("alone"));
    let with = scene.play("shared", &first).await;
    scene.cell.redis.kill().await;
    let without = scene.play("alone", &other).await;
    println!("the latest: {with:.2?} with Redis, {without:.2?} without");
}
