//! Bad input through the real FHIR routes: each is a clear 4xx within its limits, nothing panics, nothing is stored, and
//! nothing of what was sent is repeated.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use carekeep_testkit::PersonSpec;
use flate2::{Compression, write::GzEncoder};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::{Answer, Clinic, Member, Program};

/// No refusal takes longer.
const LIMIT: Duration = Duration::from_secs(5);
/// Stands in everything that is sent, and in no answer to it.
const CANARY: &str = "Zyxwvandermolen";
const FHIR: &str = "application/fhir+json";

/// A clinician of acme with a patient, and somebody else's patient.
pub(crate) struct Scene {
    pub(crate) clinic: Clinic,
    pub(crate) doctor: Member,
    pub(crate) patient: String,
    foreign: String,
}

fn patient(id: Option<&str>) -> Value {
    let mut patient = json!({"resourceType": "Patient", "name": [{"family": CANARY}]});
    if let Some(id) = id {
        patient["id"] = json!(id);
    }
    patient
}

pub(crate) fn observation(patient: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"text": CANARY},
        "subject": {"reference": format!("Patient/{patient}")}})
}

fn bundle(kind: &str, resource: &Value, (method, url): (&str, &str)) -> Value {
    json!({"resourceType": "Bundle", "type": kind,
        "entry": [{"resource": resource, "request": {"method": method, "url": url}}]})
}

/// What is sent with which body; each is taken when the body is as it should be.
struct Route {
    method: Method,
    path: String,
    valid: String,
    /// Largest body.
    limit: usize,
}

impl Scene {
    pub(crate) async fn set() -> Self {
        let clinic = Clinic::open().await;
        let mut admin = clinic.admin().await;
        let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
        let made = doctor.program.post("/fhir/R4/Patient", &patient(None)).await.expect(StatusCode::CREATED);
        let mut stranger = clinic.stranger().await;
        let theirs = stranger.post("/fhir/R4/Patient", &patient(None)).await.expect(StatusCode::CREATED);
        let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
        Self { clinic, doctor, patient: id(&made), foreign: id(&theirs) }
    }

    fn routes(&self) -> Vec<Route> {
        let observation = observation(&self.patient);
        let update = format!("/fhir/R4/Patient/{}", self.patient);
        let bundle =
            |kind| (Method::POST, "/fhir/R4", bundle(kind, &observation, ("POST", "Observation")), 64 << 20);
        [
            (Method::POST, "/fhir/R4/Observation", observation.clone(), 1 << 20),
            (Method::PUT, update.as_str(), patient(Some(&self.patient)), 1 << 20),
            bundle("transaction"),
            bundle("batch"),
        ]
        .map(|(method, path, valid, limit)| Route {
            method,
            path: path.to_owned(),
            valid: valid.to_string(),
            limit,
        })
        .into()
    }

    /// Sends a body as it is, with the doctor's session.
    async fn send(&self, route: &Route, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        let program = &self.doctor.program;
        let url = format!("{}{}", program.base, route.path);
        let request =
            program.http.request(route.method.clone(), url).bearer_auth(program.token.as_ref().unwrap());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(request.body(body)).await
    }

    /// The control: the same as it should be is taken.
    async fn takes(&self, route: &Route) {
        let taken = self.send(route, &[("content-type", FHIR)], route.valid.clone()).await;
        assert!(taken.status.is_success(), "{}: {}", route.path, taken.text);
    }
}

impl Clinic {
    /// A clinician of the other tenant.
    pub(crate) async fn stranger(&self) -> Program {
        let bolt = self.platform.control.show("bolt").await.unwrap();
        let person = self.platform.person(bolt.id, PersonSpec::default()).await;
        Program { token: Some(person.token), ..self.program("bolt") }
    }
}

/// A refusal as it should be: of these statuses, in FHIR's form, with a reason, in time, and without what was sent.
#[track_caller]
fn refused(answer: &Answer, statuses: &[u16], about: &str) {
    let status = answer.status.as_u16();
    assert!(statuses.contains(&status), "{about}: {status} {}", answer.text);
    let media = answer.headers["content-type"].to_str().unwrap();
    assert!(media.starts_with(FHIR), "{about}: {media}");
    let issue = &answer.body["issue"][0];
    assert_eq!(answer.body["resourceType"], "OperationOutcome", "{about}: {}", answer.text);
    assert!(issue["diagnostics"].as_str().is_some_and(|text| text.len() > 10), "{about}: {}", answer.text);
    assert!(!answer.text.contains(&CANARY[..6]), "{about} repeats what was sent: {}", answer.text);
}

/// The bodies that no route should take, made out of one that it would, and what the refusal says.
fn bad_bodies(valid: &str) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let text = |text: String| text.into_bytes();
    let front = |front: &str| text(valid.replacen('{', &format!("{{{front},"), 1));
    let inside = |word: &str| text(valid.replacen(CANARY, word, 1));
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        front(&format!("\"extension\":{open}{close}"))
    };
    let mut not_utf8 = valid.to_owned().into_bytes();
    let at = valid.find(CANARY).unwrap();
    not_utf8[at] = 0xff;
    let utf16: Vec<u8> = valid.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        ("half of it", "ends too early", text(valid[..valid.len() / 2].to_owned())),
        ("all but the last byte", "ends too early", text(valid[..valid.len() - 1].to_owned())),
        ("nothing", "ends too early", Vec::new()),
        ("a key twice", "names a key twice", front("\"resourceType\":\"Patient\"")),
        ("a key twice, once escaped", "names a key twice", front("\"resource\\u0054ype\":\"Patient\"")),
        (
            "a key twice further in",
            "names a key twice",
            text(valid.replacen(":{", ":{\"a\":1,\"a\":1,", 1).replacen("[{", "[{\"a\":1,\"a\":1,", 1)),
        ),
        ("not UTF-8", "not UTF-8", not_utf8),
        ("UTF-16", "", utf16),
        ("a byte order mark", "byte order mark", [b"\xef\xbb\xbf", valid.as_bytes()].concat()),
        ("half a surrogate pair", "surrogate", inside("\\ud800")),
        ("a zero", "control character", inside("\\u0000")),
        ("a bare control character", "control character", inside("\u{1}")),
        ("65 levels", "nested too deeply", nested(65)),
        ("50,000 levels", "nested too deeply", nested(50_000)),
        ("two documents", "follows the document", text(format!("{valid}{valid}"))),
        ("a long number", "too many digits", front(&format!("\"extension\":{}", "9".repeat(200)))),
        ("no number", "not JSON", front("\"extension\":NaN")),
        ("null", "", text("null".to_owned())),
        ("a list", "", text("[]".to_owned())),
        ("a text", "", text(format!("\"{CANARY}\""))),
        ("XML", "not JSON", text(format!("<Patient><name value=\"{CANARY}\"/></Patient>"))),
        ("another type", "", text(valid.replacen("\"resourceType\":\"", "\"resourceType\":\"X", 1))),
    ]
}

#[tokio::test]
async fn bar_f9_bodies_that_are_no_document_are_400_at_every_route_and_leave_nothing() {
    let scene = Scene::set().await;
    for route in scene.routes() {
        scene.takes(&route).await;
        let before = scene.clinic.written().await;
        let mut sent = 0;
        for (what, said, body) in bad_bodies(&route.valid) {
            let began = Instant::now();
            let answer = scene.send(&route, &[("content-type", FHIR)], body).await;
            refused(&answer, &[400], &format!("{} {}: {what}", route.method, route.path));
            assert!(answer.text.contains(said), "{what} is refused for another reason: {}", answer.text);
            assert!(began.elapsed() < LIMIT, "{what}: {:?}", began.elapsed());
            sent += 1;
        }
        for media in
            ["text/plain", "application/xml", "application/json; charset=utf-16", "multipart/form-data"]
        {
            let answer = scene.send(&route, &[("content-type", media)], route.valid.clone()).await;
            refused(&answer, &[415], media);
        }
        refused(&scene.send(&route, &[], route.valid.clone()).await, &[415], "no media type");
        assert_eq!(scene.clinic.written().await, before, "{}: something was stored", route.path);
        scene.takes(&route).await;
        println!("{} {}: {sent} bodies refused", route.method, route.path);
    }
    scene.clinic.close().await;
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A document with a gigabyte of blanks in it, in about a megabyte.
fn bomb(valid: &str) -> Vec<u8> {
    let mut raw = flate2::Compress::new(Compression::best(), false);
    let mut begin = Vec::with_capacity(64 * 1024);
    raw.compress_vec(&valid.as_bytes()[..1], &mut begin, flate2::FlushCompress::Full).unwrap();
    let mut block = Vec::with_capacity(8 * 1024);
    raw.compress_vec(&vec![b' '; 1 << 20], &mut block, flate2::FlushCompress::Full).unwrap();
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255][..], &begin, &block.repeat(1024)].concat()
}

#[tokio::test]
async fn bar_f9_too_much_is_413_however_it_is_packed_and_leaves_nothing() {
    let scene = Scene::set().await;
    for route in scene.routes() {
        let before = scene.clinic.written().await;
        let about = |what: &str| format!("{} {}: {what}", route.method, route.path);
        let json = [("content-type", FHIR)];
        let packed = [("content-type", FHIR), ("content-encoding", "gzip")];
        if route.limit == 1 << 20 {
            let long = route.valid.replacen(CANARY, &CANARY.repeat(80_000), 1);
            refused(&scene.send(&route, &json, long.clone()).await, &[413], &about("announced"));
            let pieces: Vec<_> = long
                .into_bytes()
                .chunks(65_536)
                .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
                .collect();
            let streamed = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
            refused(&scene.send(&route, &json, streamed).await, &[413], &about("not announced"));
            let keys: Vec<String> = (0..10_001).map(|n| format!("\"a{n}\":0")).collect();
            let keys = route.valid.replacen('{', &format!("{{{},", keys.join(",")), 1);
            refused(&scene.send(&route, &json, keys).await, &[400], &about("many members"));
        } else {
            // More entries than are taken here.
            let mut many: Value = serde_json::from_str(&route.valid).unwrap();
            let entry = many["entry"][0].clone();
            many["entry"] = vec![entry; 101].into();
            refused(&scene.send(&route, &json, many.to_string()).await, &[400], &about("many entries"));
        }
        let bomb = bomb(&route.valid);
        for length in [10 * 1024, 200 * 1024, bomb.len()] {
            let began = Instant::now();
            let answer = scene.send(&route, &packed, bomb[..length].to_vec()).await;
            refused(&answer, &[413], &about(&format!("a bomb of {length} bytes")));
            assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
        }
        let good = gzip(route.valid.as_bytes());
        refused(
            &scene.send(&route, &packed, good[..good.len() - 3].to_vec()).await,
            &[400],
            &about("cut gzip"),
        );
        refused(&scene.send(&route, &packed, route.valid.clone()).await, &[400], &about("no gzip"));
        refused(&scene.send(&route, &packed, gzip(&good)).await, &[400], &about("packed twice"));
        for coding in ["br", "zstd", "deflate", "gzip, gzip"] {
            let headers = [("content-type", FHIR), ("content-encoding", coding)];
            refused(&scene.send(&route, &headers, good.clone()).await, &[415], &about(coding));
        }
        assert_eq!(scene.clinic.written().await, before, "{}: something was stored", route.path);
        let taken = scene.send(&route, &packed, good).await;
        assert!(taken.status.is_success(), "{}: {}", route.path, taken.text);
    }
    scene.clinic.close().await;
}

#[tokio::test]
async fn bar_f9_bad_forms_and_queries_are_4xx() {
    let scene = Scene::set().await;
    let form = "application/x-www-form-urlencoded";
    let search = |valid: &str| Route {
        method: Method::POST,
        path: "/fhir/R4/Patient/_search".to_owned(),
        valid: valid.to_owned(),
        limit: 64 << 10,
    };
    let route = search("family=zyxw");
    let found = scene.send(&route, &[("content-type", form)], route.valid.clone()).await;
    assert_eq!(found.body["entry"].as_array().map(Vec::len), Some(1), "the control: {}", found.text);
    for (statuses, what, media, body) in [
        (413, "too long", form, format!("family={}", CANARY.repeat(5_000)).into_bytes()),
        (400, "not UTF-8", form, [b"family=".as_slice(), &[0xff, 0xfe]].concat()),
        (415, "JSON", FHIR, patient(None).to_string().into_bytes()),
        (415, "text", "text/plain", b"family=x".to_vec()),
        (400, "unknown parameter", form, format!("shoe-size={CANARY}").into_bytes()),
        (400, "no date", form, format!("birthdate={CANARY}").into_bytes()),
    ] {
        let answer = scene.send(&route, &[("content-type", media)], body).await;
        refused(&answer, &[statuses], what);
    }
    let mut program = scene.doctor.program.clone();
    for query in [
        "_count=abc",
        "_count=-1",
        "_cursor=%00",
        "_cursor=Zyxwvandermolen",
        "birthdate=ge1980-13-45",
        "family:contains=Zyxwvandermolen",
        "_sort=Zyxwvandermolen",
        "family=%ff%fe&x=1",
        "general-practitioner.name=Zyxwvandermolen",
        "%zz=1",
    ] {
        refused(&program.get(&format!("/fhir/R4/Patient?{query}")).await, &[400], query);
    }
    let long = format!("/fhir/R4/Patient?family={}", "a".repeat(9_000));
    refused(&program.get(&long).await, &[414], "a long address");
    scene.clinic.close().await;
}

/// Ids that are nothing here: of another tenant, of another type, and no ids at all.
fn strange_ids(scene: &Scene) -> Vec<String> {
    let mut ids = vec![scene.foreign.clone(), scene.patient.to_uppercase().replace('-', "")];
    let odd = [
        "0",
        "example",
        "%00",
        "%2e%2e%2f",
        "%27%3B--",
        "00000000-0000-0000-0000-000000000000",
        "Zyxwvandermolen",
    ];
    ids.extend(odd.map(str::to_owned));
    ids.push("a".repeat(4_000));
    ids
}

#[tokio::test]
async fn bar_z4_foreign_and_malformed_ids_are_not_found_and_nothing_is_stored() {
    let scene = Scene::set().await;
    let mut program = scene.doctor.program.clone();
    let before = scene.clinic.written().await;
    let absent = program.get(&format!("/fhir/R4/Patient/{}", "0".repeat(32))).await;
    for id in strange_ids(&scene) {
        let path = format!("/fhir/R4/Patient/{id}");
        for path in [path.clone(), format!("{path}/_history"), format!("{path}/_history/1")] {
            let answer = program.get(&path).await;
            refused(&answer, &[404], &path);
            assert_eq!(answer.text, absent.text, "{path}");
        }
        let spare = format!("/fhir/R4/Observation/{id}");
        refused(&program.send(Method::DELETE, &spare, &Value::Null).await, &[404], &spare);
        let body = patient(Some(&id));
        // The id in the body is the one in the address, as long as it has one to be the same as.
        refused(&program.send(Method::PUT, &path, &body).await, &[400, 404], &path);
        refused(&program.post("/fhir/R4/Observation", &observation(&id)).await, &[404, 422], &id);
        for (method, url, resource) in [
            ("POST", "Observation".to_owned(), observation(&id)),
            ("PUT", format!("Patient/{id}"), patient(Some(&id))),
        ] {
            let transaction = bundle("transaction", &resource, (method, &url));
            refused(&program.post("/fhir/R4", &transaction).await, &[400, 404, 422], &url);
            let batch = bundle("batch", &resource, (method, &url));
            let answer = program.post("/fhir/R4", &batch).await;
            let status = answer.body["entry"][0]["response"]["status"].as_str().unwrap_or("400");
            assert!(status.starts_with('4'), "{url}: {}", answer.text);
        }
    }
    for version in ["0", "99", "-1", "abc", "99999999999999999999", "%00"] {
        let path = format!("/fhir/R4/Patient/{}/_history/{version}", scene.patient);
        assert_eq!(program.get(&path).await.text, absent.text, "{path}");
    }
    for tag in ["3", "W/\"\"", "W/\"x\"", "*", "\"1\", \"2\"", "W/\"99\""] {
        let path = format!("/fhir/R4/Patient/{}", scene.patient);
        let route =
            Route { method: Method::PUT, path, valid: patient(Some(&scene.patient)).to_string(), limit: 0 };
        let answer =
            scene.send(&route, &[("content-type", FHIR), ("if-match", tag)], route.valid.clone()).await;
        refused(&answer, &[412], tag);
    }
    assert_eq!(scene.clinic.written().await, before, "something was stored");
    // The control: the right id is there, to its own tenant's people only.
    program.get(&format!("/fhir/R4/Patient/{}", scene.patient)).await.expect(StatusCode::OK);
    scene.clinic.close().await;
}

/// What is no session, made out of one.
fn bad_tokens(token: &str, foreign: &str) -> Vec<String> {
    let mut flipped = token.to_owned().into_bytes();
    let last = flipped.last_mut().unwrap();
    *last = if *last == b'a' { b'b' } else { b'a' };
    let with = |text: &str| format!("Bearer {text}");
    vec![
        with(""),
        with("cks_"),
        with(&token[4..]),
        with(&token[..token.len() - 1]),
        with(&format!("{token}a")),
        with(&String::from_utf8(flipped).unwrap()),
        with(&token.to_uppercase()),
        with(&format!("{token},{token}")),
        with(&format!("{token} {token}")),
        with(&token.replacen("cks_", "cki_", 1)),
        with(foreign),
        with("null"),
        with(CANARY),
        with(&"a".repeat(8_000)),
        with("eyJhbGciOiJub25lIn0.eyJzdWIiOiJkci5tZXllciJ9."),
        with("' OR 1=1 --"),
        format!("Basic {token}"),
        format!("Token {token}"),
        token.to_owned(),
        format!("Bearer{token}"),
    ]
}

#[tokio::test]
async fn bar_i7_malformed_tokens_are_401_at_every_route_and_leave_nothing() {
    let scene = Scene::set().await;
    let (program, stranger) = (&scene.doctor.program, scene.clinic.stranger().await);
    let token = program.token.clone().unwrap();
    let before = scene.clinic.written().await;
    let patient = &scene.patient;
    let requests = [
        (Method::GET, format!("/fhir/R4/Patient/{patient}"), None),
        (Method::GET, format!("/fhir/R4/Patient/{patient}/_history"), None),
        (Method::GET, "/fhir/R4/Patient?family=zyxw".to_owned(), None),
        (Method::POST, "/fhir/R4/Observation".to_owned(), Some(observation(patient))),
        (Method::PUT, format!("/fhir/R4/Patient/{patient}"), Some(self::patient(Some(patient)))),
        (Method::DELETE, format!("/fhir/R4/Patient/{patient}"), None),
        (
            Method::POST,
            "/fhir/R4".to_owned(),
            Some(bundle("batch", &observation(patient), ("POST", "Observation"))),
        ),
    ];
    let send = async |headers: HeaderMap, (method, path, body): &(Method, String, Option<Value>)| {
        let request =
            program.http.request(method.clone(), format!("{}{path}", program.base)).headers(headers);
        Answer::of(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    };
    let mut sets: Vec<HeaderMap> = vec![HeaderMap::new()];
    for value in bad_tokens(&token, stranger.token.as_ref().unwrap()) {
        sets.push(HeaderMap::from_iter([("authorization".parse().unwrap(), value.parse().unwrap())]));
    }
    // Two at once are nobody's: twice, beside a cookie, in two cookies.
    let right = format!("Bearer {token}");
    for (first, second) in [
        (("authorization", right.clone()), ("authorization", right.clone())),
        (("authorization", right.clone()), ("cookie", format!("__Host-carekeep={token}"))),
        (("cookie", format!("__Host-carekeep={token}; __Host-carekeep=x")), ("x-other", String::new())),
        (("cookie", format!("carekeep={token}")), ("x-authorization", right.clone())),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in [first, second] {
            headers.append(name, value.parse().unwrap());
        }
        sets.push(headers);
    }
    for headers in &sets {
        for request in &requests {
            let answer = send(headers.clone(), request).await;
            // With a cookie, a request that changes something must also come from the site's own pages.
            let statuses: &[u16] = if headers.contains_key("cookie") { &[401, 403] } else { &[401] };
            refused(&answer, statuses, &format!("{headers:?} at {} {}", request.0, request.1));
            assert!(!answer.text.contains(&token), "the token is repeated");
        }
    }
    println!("{} ways to be nobody at {} routes", sets.len(), requests.len());
    assert_eq!(scene.clinic.written().await, before, "something was stored");
    let whole = HeaderMap::from_iter([("authorization".parse().unwrap(), right.parse().unwrap())]);
    assert_eq!(send(whole, &requests[0]).await.status, StatusCode::OK, "the control");
    scene.clinic.close().await;
}
