//! F2, K6: database, Redis or key service gone: 503 with what to do, nothing lost, healthy again within 5 s of their return.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use carekeep::config::KeysConfig;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    cell::Cell,
    crash::verify,
    fault::{Proxy, Way},
    gateway::Gateway,
    http::{Answer, Http, answer},
    moto::Moto,
};

/// Within this everything is healthy again, and no refusal takes longer (BARS F2, A1).
const LIMIT: Duration = Duration::from_secs(5);

/// What the load does, each in lanes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Read,
    Search,
    Write,
    Transaction,
    Me,
}

const DOINGS: [Doing; 5] = [Doing::Read, Doing::Search, Doing::Write, Doing::Transaction, Doing::Me];

/// One answer.
struct Seen {
    doing: Doing,
    began: Instant,
    ended: Instant,
    status: u16,
}

/// People at work, and what became of each request.
struct Load {
    client: Http,
    patient: String,
    seen: Mutex<Vec<Seen>>,
    /// Id and key of each write that was acknowledged.
    acked: Mutex<Vec<String>>,
    stop: AtomicBool,
}

fn observation(patient: &str, key: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "subject": {"reference": format!("Patient/{patient}")},
        "identifier": [{"system": "urn:example:outage", "value": key}], "code": {"text": "Pulse"}})
}

/// A refusal for now: 503, says so in the form of the route, what to do and when.
#[track_caller]
fn is_for_now(said: &Answer) {
    assert_eq!(said.status, 503, "{}", said.text());
    assert!(said.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1), "no Retry-After");
    assert!(said.advice().to_lowercase().contains("again"), "what to do is missing: {}", said.text());
}

impl Load {
    async fn ask(&self, doing: Doing, key: &str) -> Answer {
        let patient = &self.patient;
        let request = match doing {
            Doing::Read => self.client.request(Method::GET, &format!("/fhir/R4/Patient/{patient}")),
            Doing::Search => {
                self.client.request(Method::GET, &format!("/fhir/R4/Observation?patient={patient}&_count=2"))
            }
            Doing::Write => {
                self.client.request(Method::POST, "/fhir/R4/Observation").json(&observation(patient, key))
            }
            Doing::Transaction => {
                let entry = json!({"resource": observation(patient, key), "request": {"method": "POST", "url": "Observation"}});
                let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
                self.client.request(Method::POST, "/fhir/R4").json(&bundle)
            }
            Doing::Me => self.client.request(Method::GET, "/api/v1/me"),
        };
        answer(request).await.unwrap_or_else(|error| panic!("{doing:?}: no answer at all: {error}"))
    }

    async fn lane(self: Arc<Self>, doing: Doing, lane: usize) {
        for n in 0.. {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let (key, began) = (format!("{doing:?}-{lane}-{n}"), Instant::now());
            let said = self.ask(doing, &key).await;
            let seen = Seen { doing, began, ended: Instant::now(), status: said.status };
            if matches!(said.status, 200 | 201) {
                self.acknowledged(doing, &key, &said);
            } else {
                is_for_now(&said);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            self.seen.lock().unwrap().push(seen);
        }
    }

    fn acknowledged(&self, doing: Doing, key: &str, said: &Answer) {
        let place = match doing {
            Doing::Write => said.created(),
            Doing::Transaction => {
                let said = said.json();
                let parts: Vec<&str> =
                    said["entry"][0]["response"]["location"].as_str().unwrap().rsplit('/').collect();
                Some(format!("{}/{}", parts[3], parts[2]))
            }
            _ => return,
        };
        let place = place.expect("a write that is acknowledged says where it went");
        self.acked.lock().unwrap().push(format!("{} {key}", place.rsplit('/').next().unwrap()));
    }

    /// How many answers of this kind there are.
    fn count(&self, wanted: impl Fn(&Seen) -> bool) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| wanted(seen)).count()
    }

    /// Waits until every kind of request that began after `since` was answered well.
    async fn healthy_after(&self, since: Instant) -> Duration {
        loop {
            let well = |doing| {
                self.count(|seen| seen.doing == doing && seen.began >= since && seen.status < 300) > 0
            };
            match DOINGS.into_iter().find(|doing| !well(*doing)) {
                None => return since.elapsed(),
                Some(doing) => assert!(since.elapsed() < LIMIT, "{doing:?} is still refused"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A cell with a tenant, a clinician and a patient.
struct Scene {
    cell: Cell,
    gateway: Gateway,
    load: Arc<Load>,
}

impl Scene {
    async fn set(mut cell: Cell) -> Self {
        // The limits stay in the path, and out of the way.
        cell.config.limit_factor = 1_000;
        cell.write(&cell.config, "carekeep.toml");
        let gateway = cell.gateway();
        let admin = cell.tenant(&gateway, "acme").await;
        let client = admin.invite("dr.meyer", "clinician").await;
        let patient = json!({"resourceType": "Patient", "name": [{"family": "Outage"}]});
        let patient = client.post("/fhir/R4/Patient", &patient).await.expect(201);
        let patient = patient["id"].as_str().unwrap().to_owned();
        Self { cell, gateway, load: Arc::new(Load::of(client, patient)) }
    }

    /// Everybody at work.
    fn at_work(&self) -> Vec<JoinHandle<()>> {
        let lanes = DOINGS.into_iter().flat_map(|doing| [(doing, 0), (doing, 1)]);
        lanes.map(|(doing, lane)| tokio::spawn(Arc::clone(&self.load).lane(doing, lane))).collect()
    }
}

impl Load {
    fn of(client: Http, patient: String) -> Self {
        let (seen, acked, stop) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Self { client, patient, seen, acked, stop }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_database_and_redis_gone_under_load_is_503_and_nothing_is_lost() {
    let mut scene = Scene::set(Cell::start().await).await;
    let load = Arc::clone(&scene.load);
    let lanes = scene.at_work();
    load.healthy_after(Instant::now()).await;
    let mut outages = Vec::new();
    for round in 0..3 {
        let gone = Instant::now();
        scene.cell.postgres.kill().await;
        let refused =
            |doing| load.count(|seen| seen.doing == doing && seen.began >= gone && seen.status == 503) > 1;
        load.until("everybody was refused", || DOINGS.into_iter().all(refused)).await;
        scene.cell.postgres.start_again().await.unwrap();
        let back = Instant::now();
        println!(
            "database, round {round}: away {:.1?}, healthy {:.1?} after it was back",
            back - gone,
            load.healthy_after(back).await
        );
        outages.push((gone, back));
        // Long enough that whoever is still refused afterwards is seen.
        load.until("it has been back for a while", || back.elapsed() > LIMIT + Duration::from_secs(1)).await;
    }
    redis_comes_and_goes(&mut scene).await;
    load.stop.store(true, Ordering::SeqCst);
    for lane in lanes {
        lane.await.unwrap();
    }
    judge(&load, &outages);
    nothing_is_lost(&scene).await;
}

/// Whether the gateway says that limits are not shared.
async fn degraded(gateway: &Gateway) -> bool {
    let metrics = reqwest::get(format!("{}/metrics", gateway.internal)).await.unwrap().text().await.unwrap();
    let line = metrics.lines().find(|line| line.starts_with("carekeep_limit_degraded")).unwrap();
    line.ends_with(" 1")
}

/// Nobody waits for Redis: without it limits are stricter, and everything else goes on.
async fn redis_comes_and_goes(scene: &mut Scene) {
    for round in 0..2 {
        assert!(!degraded(&scene.gateway).await);
        let (gone, before) = (Instant::now(), scene.load.count(|_| true));
        scene.cell.redis.kill().await;
        while !degraded(&scene.gateway).await {
            assert!(gone.elapsed() < LIMIT, "it should be noticed");
        }
        scene.load.healthy_after(Instant::now()).await;
        scene.cell.redis.start_again().await.unwrap();
        let back = Instant::now();
        while degraded(&scene.gateway).await {
            assert!(back.elapsed() < LIMIT, "limits should be shared again");
        }
        let answers = scene.load.count(|_| true) - before;
        println!(
            "Redis, round {round}: shared {:.1?} after it was back; {answers} answers meanwhile",
            back.elapsed()
        );
    }
}

/// No refusal outside of the outages and the five seconds after them, and none that took long.
fn judge(load: &Load, outages: &[(Instant, Instant)]) {
    let seen = load.seen.lock().unwrap();
    let excused =
        |seen: &Seen| outages.iter().any(|(gone, back)| seen.ended >= *gone && seen.began <= *back + LIMIT);
    let refused: Vec<&Seen> = seen.iter().filter(|seen| seen.status >= 300).collect();
    for refused in &refused {
        assert!(excused(refused), "{:?} was refused although nothing was away", refused.doing);
    }
    let slowest = seen.iter().map(|seen| seen.ended - seen.began).max().unwrap();
    println!("{} answers, {} of them 503, the slowest after {slowest:.1?}", seen.len(), refused.len());
    assert!(slowest < LIMIT, "an answer took {slowest:.1?}");
}

async fn nothing_is_lost(scene: &Scene) {
    let acked: HashSet<String> = scene.load.acked.lock().unwrap().iter().cloned().collect();
    let stored = scene.load.client.observations(&scene.load.patient).await;
    println!("{} writes acknowledged, {} stored", acked.len(), stored.len());
    assert!(acked.len() > 100);
    let keys: HashSet<&str> = stored.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(keys.len(), stored.len(), "a write is there twice");
    assert_eq!(acked.difference(&stored).next(), None, "acknowledged and lost");
    verify(&scene.cell.config_file(), "acme", &scene.cell.path("ledger.export"));
}

/// Each kind of request, all at once.
async fn each(load: &Load, key: &str) -> Vec<(Doing, Duration, Answer)> {
    let one = async |doing| {
        let began = Instant::now();
        let said = load.ask(doing, &format!("{key}-{doing:?}")).await;
        (doing, began.elapsed(), said)
    };
    join_all(DOINGS.map(one)).await
}

/// Everything is refused for now, quickly, and works within the limit once the key service is back.
async fn without_keys(scene: &Scene, how: &str, back: impl AsyncFnOnce()) {
    for (doing, took, said) in each(&scene.load, how).await {
        println!("{how}: {doing:?} answered {} after {took:.1?}", said.status);
        is_for_now(&said);
        assert!(took < LIMIT, "{how}: {doing:?} took {took:.1?}");
        assert!(!said.text().contains("Outage"));
    }
    back().await;
    let since = Instant::now();
    for doing in DOINGS {
        while scene.load.ask(doing, &format!("{how}-again-{doing:?}")).await.status >= 300 {
            assert!(since.elapsed() < LIMIT, "{how}: {doing:?} is still refused");
        }
    }
    println!("{how}: healthy {:.1?} after it was back", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn k6_without_the_key_service_open_tenants_go_on_and_others_are_503() {
    let mut scene = Scene::set(Cell::start().await).await;
    let (keys, away) = (scene.cell.path("keys"), scene.cell.path("keys.away"));
    // Who has been at work lately is served from memory, for minutes (BARS K2).
    std::fs::rename(&keys, &away).unwrap();
    each(&scene.load, "cached")
        .await
        .iter()
        .for_each(|(doing, _, said)| assert!(said.status < 300, "{doing:?}"));
    std::fs::rename(&away, &keys).unwrap();
    // A process that has no key in memory yet.
    scene.new_gateway();
    std::fs::rename(&keys, &away).unwrap();
    without_keys(&scene, "gone", async || std::fs::rename(&away, &keys).unwrap()).await;
    // One that does not answer.
    scene.new_gateway();
    let lock = std::fs::File::open(keys.join("lock")).unwrap();
    lock.lock().unwrap();
    without_keys(&scene, "hanging", async || lock.unlock().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn k6_aws_kms_that_refuses_or_hangs_is_503_and_works_again_when_it_is_back() {
    let moto = Moto::start();
    let port = moto.url().rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::before(port).await;
    let mut cell = Cell::start().await;
    let endpoint = Some(format!("http://127.0.0.1:{}", proxy.port));
    cell.config.keys = KeysConfig::Aws { region: "eu-central-1".to_owned(), endpoint };
    let mut scene = Scene::set(cell).await;
    for way in [Way::Shut, Way::Hanging] {
        scene.new_gateway();
        proxy.set(way);
        without_keys(&scene, &format!("AWS KMS {way:?}"), async || proxy.set(Way::Open)).await;
    }
    assert!(!scene.cell.path("keys").exists(), "no local key was made in passing");
}

impl Scene {
    /// Kills the gateway and starts another one, for the same people.
    fn new_gateway(&mut self) {
        let gateway = self.cell.gateway();
        let client = self.cell.client(&gateway, "acme").with_token(self.load.client.token.as_deref());
        std::mem::replace(&mut self.gateway, gateway).kill();
        self.load = Arc::new(Load::of(client, self.load.patient.clone()));
    }
}
