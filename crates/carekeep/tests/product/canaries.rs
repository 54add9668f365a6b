//! BARS A10: forty and more canaries, in every field of every type and in every secret; what a run leaves behind, in the
//! databases, in Redis, in logs, traces, metrics and error bodies, holds none of them.

use std::{
    cell::RefCell,
    collections::HashSet,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::Uri};
use data_encoding::BASE64;
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    cell::Cell,
    http::{Answer, Http, PASSWORD, answer},
    remains::{dump_all, dump_redis, hits},
};

/// Words that stand nowhere but where they were put.
#[derive(Default)]
struct Canaries(RefCell<Vec<String>>);

impl Canaries {
    /// A new one, named after the field that it goes to.
    fn put(&self, field: &str) -> String {
        let mut all = self.0.borrow_mut();
        let canary = format!("{field}kanarie{:02}zq", all.len());
        all.push(canary.clone());
        canary
    }

    /// A new telephone number.
    fn number(&self) -> String {
        let mut all = self.0.borrow_mut();
        let number = format!("+31555017{:06}", 471_100 + all.len());
        all.push(number.clone());
        number
    }

    /// A canary in base64, as attachments are; the canary itself is looked for too.
    fn packed(&self, field: &str) -> String {
        BASE64.encode(self.put(field).as_bytes())
    }

    fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

fn concept(canary: &str) -> Value {
    json!({"coding": [{"system": "http://snomed.info/sct", "code": canary, "display": canary}], "text": canary})
}

fn patient(c: &Canaries) -> Value {
    let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{}</p></div>", c.put("narrative"));
    json!({
        "resourceType": "Patient",
        "text": {"status": "generated", "div": div},
        "extension": [{"url": "urn:example:note", "valueString": c.put("extension")}],
        "identifier": [{"system": "urn:example:mrn", "value": c.put("identifier"), "assigner": {"display": c.put("assigner")}}],
        "name": [
            {"family": c.put("family"), "given": [c.put("given"), c.put("second")], "prefix": [c.put("prefix")], "text": c.put("fullname")},
            {"use": "maiden", "family": c.put("maiden")},
        ],
        "telecom": [{"system": "phone", "value": c.number()}, {"system": "email", "value": format!("{}@example.org", c.put("email"))}],
        "birthDate": "1971-03-09",
        "address": [{"text": c.put("addresstext"), "line": [c.put("street")], "city": c.put("city"), "district": c.put("district"), "state": c.put("state"), "postalCode": c.put("postcode")}],
        "maritalStatus": {"text": c.put("marital")},
        "photo": [{"contentType": "image/png", "data": c.packed("photo"), "title": c.put("phototitle")}],
        "contact": [{"name": {"family": c.put("contact")}, "telecom": [{"system": "phone", "value": c.number()}], "address": {"city": c.put("contactcity")}}],
        "communication": [{"language": {"text": c.put("language")}}],
        "generalPractitioner": [{"display": c.put("practitioner")}],
    })
}

/// One of each clinical type, about a patient.
fn chart(c: &Canaries, patient: &str) -> Vec<Value> {
    let subject = json!({ "reference": patient });
    vec![
        json!({"resourceType": "Condition", "subject": subject, "code": concept(&c.put("diagnosis")),
            "bodySite": [{"text": c.put("bodysite")}], "note": [{"text": c.put("conditionnote")}]}),
        json!({"resourceType": "AllergyIntolerance", "patient": subject,
            "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]},
            "code": concept(&c.put("allergy")),
            "reaction": [{"manifestation": [{"text": c.put("manifestation")}], "description": c.put("reaction")}]}),
        json!({"resourceType": "Observation", "status": "final", "subject": subject, "code": concept(&c.put("observed")),
            "valueString": c.put("value"), "method": {"text": c.put("method")}, "interpretation": [{"text": c.put("interpretation")}],
            "referenceRange": [{"text": c.put("range")}], "note": [{"text": c.put("observationnote")}],
            "component": [{"code": {"text": c.put("component")}, "valueString": c.put("componentvalue")}]}),
        json!({"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": subject,
            "medicationCodeableConcept": concept(&c.put("medication")), "note": [{"text": c.put("prescription")}],
            "dosageInstruction": [{"text": c.put("dosage"), "patientInstruction": c.put("instruction")}]}),
        json!({"resourceType": "Encounter", "status": "finished", "subject": subject, "reasonCode": [concept(&c.put("reason"))],
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "identifier": [{"system": "urn:example:visit", "value": c.put("visit")}]}),
        json!({"resourceType": "Immunization", "status": "completed", "patient": subject, "occurrenceDateTime": "2024-05-06",
            "vaccineCode": concept(&c.put("vaccine")), "lotNumber": c.put("lot"), "note": [{"text": c.put("immunizationnote")}]}),
        json!({"resourceType": "Procedure", "status": "completed", "subject": subject, "code": concept(&c.put("procedure")),
            "complication": [{"text": c.put("complication")}], "followUp": [{"text": c.put("followup")}]}),
        json!({"resourceType": "DiagnosticReport", "status": "final", "subject": subject, "code": concept(&c.put("report")),
            "conclusion": c.put("conclusion"), "presentedForm": [{"contentType": "text/plain", "data": c.packed("form")}]}),
        json!({"resourceType": "DocumentReference", "status": "current", "subject": subject, "description": c.put("description"),
            "type": concept(&c.put("document")),
            "content": [{"attachment": {"contentType": "text/plain", "title": c.put("title"), "data": c.packed("attachment")}}]}),
    ]
}

/// What is nobody's chart.
fn nobodys(c: &Canaries) -> [Value; 2] {
    [
        json!({"resourceType": "Practitioner", "name": [{"family": c.put("doctor")}], "telecom": [{"system": "phone", "value": c.number()}]}),
        json!({"resourceType": "Organization", "name": c.put("organization"), "address": [{"city": c.put("organizationcity")}]}),
    ]
}

/// What a run leaves behind, gathered in one folder.
struct Remains(tempfile::TempDir);

impl Remains {
    fn keep(&self, name: &str, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "{name} is empty: nothing would be found in it");
        fs::write(self.0.path().join(name), bytes).unwrap();
    }
}

type Collected = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// An OpenTelemetry collector that keeps what it gets.
async fn collector() -> (String, Collected) {
    async fn collect(State(seen): State<Collected>, uri: Uri, body: Bytes) {
        seen.lock().unwrap().push((uri.path().to_owned(), body.to_vec()));
    }
    let seen = Collected::default();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    let router = Router::new().fallback(collect).with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(socket, router).await });
    (endpoint, seen)
}

/// Stores one of each, looks at it in every way, and changes it.
async fn at_work(c: &Canaries, doctor: &Http, importer: &Http) -> HashSet<String> {
    let mut read = HashSet::new();
    let first = patient(c);
    let made = doctor.post("/fhir/R4/Patient", &first).await;
    let place = made.created().unwrap();
    let mut places = vec![place.clone()];
    let chart = chart(c, &place);
    let entry = |resource: &Value| json!({"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}});
    let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry": chart.iter().map(entry).collect::<Vec<_>>()});
    let done = doctor.post("/fhir/R4", &transaction).await.expect(200);
    for entry in done["entry"].as_array().unwrap() {
        let parts: Vec<&str> = entry["response"]["location"].as_str().unwrap().rsplit('/').collect();
        places.push(format!("{}/{}", parts[3], parts[2]));
    }
    for resource in nobodys(c) {
        let kind = resource["resourceType"].as_str().unwrap();
        places.push(importer.post(&format!("/fhir/R4/{kind}"), &resource).await.created().unwrap());
    }
    for place in &places {
        for path in [
            format!("/fhir/R4/{place}"),
            format!("/fhir/R4/{place}/_history"),
            format!("/fhir/R4/{place}/_history/1"),
        ] {
            read.insert(doctor.get(&path).await.expect(200).to_string());
        }
    }
    let text = |pointer: &str| first.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let (family, given, id, phone) = (
        text("/name/0/family"),
        text("/name/0/given/0"),
        text("/identifier/0/value"),
        text("/telecom/0/value"),
    );
    let code = chart[0]["code"]["coding"][0]["code"].as_str().unwrap();
    for query in [
        format!("Patient?family={}", &family[..6]),
        format!("Patient?given={given}&birthdate=1971"),
        format!("Patient?identifier=urn:example:mrn|{id}"),
        format!("Patient?phone={}", phone.replace('+', "%2B")),
        format!("Patient?email={}", text("/telecom/1/value")),
        format!("Condition?patient={}&code={code}", place.split_once('/').unwrap().1),
    ] {
        let found = doctor.get(&format!("/fhir/R4/{query}")).await.expect(200);
        assert_eq!(found["entry"].as_array().map(Vec::len), Some(1), "{query}");
        let (kind, form) = query.split_once('?').unwrap();
        let form = doctor
            .request(Method::POST, &format!("/fhir/R4/{kind}/_search"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        answer(form).await.unwrap().expect(200);
    }
    // Old versions and deleted ones are left behind too.
    let (_, id) = place.split_once('/').unwrap();
    let mut next = patient(c);
    next["id"] = json!(id);
    let update = doctor.request(Method::PUT, &format!("/fhir/R4/{place}")).json(&next);
    read.insert(answer(update).await.unwrap().expect(200).to_string());
    answer(doctor.request(Method::DELETE, &format!("/fhir/R4/{}", places[1]))).await.unwrap().expect(204);
    read
}

/// Requests that are refused, with canaries wherever something can be put; gives all that comes back.
async fn refusals(c: &Canaries, doctor: &Http, stranger: &Http) -> Vec<u8> {
    let mut back = Vec::new();
    let mut take = |said: Answer| {
        assert!(said.status >= 400, "{}", said.text());
        back.extend_from_slice(format!("{} {:?}\n", said.status, said.headers).as_bytes());
        back.extend_from_slice(&said.bytes);
        back.push(b'\n');
    };
    for path in [
        format!("/fhir/R4/Patient/{}", c.put("id")),
        format!("/fhir/R4/{}/1", c.put("type")),
        format!("/{}", c.put("path")),
        format!("/fhir/R4/Patient?birthdate={}", c.put("birthdate")),
        format!("/fhir/R4/Patient?shoe-size={}", c.put("parameter")),
        format!("/fhir/R4/Patient?_cursor={}", c.put("cursor")),
        format!("/api/v1/people?after={}", c.put("after")),
    ] {
        take(doctor.get(&path).await);
    }
    let mut odd = patient(c);
    odd["name"][0][c.put("key")] = json!("x");
    let typed = json!({"resourceType": c.put("kind"), "subject": c.put("subject")});
    let unknown = json!({"resourceType": "Condition", "subject": {"reference": format!("Patient/{}", c.put("reference"))}});
    let cut = odd.to_string();
    let twice = cut.replacen('{', &format!("{{\"{0}\":1,\"{0}\":2,", c.put("twice")), 1);
    for body in
        [odd.to_string(), typed.to_string(), unknown.to_string(), cut[..cut.len() / 2].to_owned(), twice]
    {
        for path in ["/fhir/R4/Patient", "/fhir/R4/Condition", "/fhir/R4"] {
            take(doctor.post_fhir(path, body.as_bytes()).await);
        }
    }
    for (method, name, field) in [
        (Method::PUT, "if-match", "ifmatch"),
        (Method::POST, "if-none-exist", "ifnoneexist"),
        (Method::PUT, "content-encoding", "encoding"),
        (Method::PUT, "content-type", "media"),
    ] {
        let request = doctor
            .request(method, "/fhir/R4/Patient")
            .header(name, c.put(field))
            .body(patient(c).to_string());
        take(answer(request).await.unwrap());
    }
    // What browsers and proxies add, and what strangers try.
    let mut headers = HeaderMap::new();
    for (name, field) in [
        ("user-agent", "agent"),
        ("referer", "referer"),
        ("cookie", "cookie"),
        ("x-request-id", "request"),
        ("x-forwarded-for", "forwarded"),
        ("traceparent", "trace"),
        ("baggage", "baggage"),
    ] {
        headers.insert(name, c.put(field).parse().unwrap());
    }
    take(answer(stranger.request(Method::GET, "/fhir/R4/Patient").headers(headers)).await.unwrap());
    for (path, body) in [
        ("/api/v1/sign-in/password", json!({"login": c.put("login"), "password": c.put("guess")})),
        ("/api/v1/sign-in/password", json!({"login": "dr.meyer", "password": c.put("wrong")})),
        (
            "/api/v1/sign-in/password",
            json!({"login": "dr.meyer", "password": c.put("extra"), c.put("field"): 1}),
        ),
        ("/api/v1/invites/accept", json!({"token": c.put("token")})),
    ] {
        take(stranger.post(path, &body).await);
    }
    take(stranger.clone().with_token(Some(&c.put("session"))).get("/fhir/R4/Patient").await);
    take(
        answer(stranger.request(Method::GET, "/api/v1/me").header("authorization", c.put("bearer")))
            .await
            .unwrap(),
    );
    back
}

#[tokio::test(flavor = "multi_thread")]
async fn bar_a10_no_canary_lies_in_what_a_run_leaves_behind() {
    let (endpoint, collected) = collector().await;
    let mut cell = Cell::start().await;
    cell.config.otlp_endpoint = Some(endpoint);
    cell.write(&cell.config, "carekeep.toml");
    let gateway = cell.gateway();
    let c = Canaries::default();
    let admin = cell.tenant(&gateway, "acme").await;
    // Secrets of people are canaries, too; and so are the names of those who work there.
    let body = json!({"login": format!("dr.{}", c.put("username")), "name": c.put("colleague"), "roles": ["clinician"]});
    let invited = admin.post("/api/v1/people", &body).await.expect(201);
    let mut doctor = cell.client(&gateway, "acme");
    let totp = doctor.join(invited["token"].as_str().unwrap()).await;
    let codes = doctor.step("/api/v1/enrol/recovery-codes", json!({})).await;
    let recovery = codes["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned());
    let mut secrets: Vec<String> = recovery.collect();
    assert_eq!(secrets.len(), 10);
    secrets.extend([PASSWORD.to_owned(), totp, doctor.token.clone().unwrap(), admin.token.clone().unwrap()]);
    secrets.push(invited["token"].as_str().unwrap().to_owned());

    let importer = admin.invite("importer", "service_account").await;
    let read = at_work(&c, &doctor, &importer).await;
    let in_fields = c.all();
    let remains = Remains(tempfile::tempdir().unwrap());
    remains.keep("error-bodies", &refusals(&c, &doctor, &cell.client(&gateway, "acme")).await);
    let canaries: Vec<String> = c.all().into_iter().chain(secrets).collect();
    println!("{} canaries, {} of them in fields of records", canaries.len(), in_fields.len());
    front_door(&in_fields, &read);

    let metrics = reqwest::get(format!("{}/metrics", gateway.internal)).await.unwrap().bytes().await.unwrap();
    remains.keep("metrics", &metrics);
    dump_redis(&cell.redis.url()).await;
    let (host, password) = (cell.postgres.socket_dir().to_str().unwrap(), cell.postgres.superuser_password());
    remains.keep("pg_dumpall", &dump_all(host, password));
    remains.keep("log", gateway.stop().as_bytes());
    for (n, (path, body)) in collected.lock().unwrap().iter().enumerate() {
        remains.keep(&format!("otlp-{n}{}", path.replace('/', "-")), body);
    }
    controls(&remains, &cell);
    assert_eq!(hits(&canaries, remains.0.path()), Vec::<String>::new());
    assert_eq!(hits(&canaries, &cell.path("")), Vec::<String>::new());
}

/// By the front door it is all there: each canary of a record was read back by its clinician.
fn front_door(in_fields: &[String], read: &HashSet<String>) {
    assert!(in_fields.len() > 40);
    let all = read.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    // Two belong to the doctor, who is no record.
    for canary in &in_fields[2..] {
        let packed = BASE64.encode(canary.as_bytes());
        assert!(all.contains(canary) || all.contains(&packed), "{canary} was never stored");
    }
}

/// What is searched is what it should be, and a canary in it would be found.
fn controls(remains: &Remains, cell: &Cell) {
    let folder = remains.0.path();
    let holds = |name: &str, words: &[&str]| {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = names.filter(|path| path.file_name().unwrap().to_str().unwrap().contains(name));
        let bytes: Vec<u8> = files.flat_map(|path| fs::read(path).unwrap()).collect();
        let text = String::from_utf8_lossy(&bytes);
        words.iter().for_each(|word| assert!(text.contains(word), "{name} has no {word}"));
    };
    holds("v1-traces", &["carekeep-serve", "/fhir/R4/{type}/{id}", "/fhir/R4/{type}/_search"]);
    holds("v1-metrics", &["carekeep_http_requests", "/fhir/R4/{type}"]);
    holds("metrics", &["carekeep_http_requests_total", "/api/v1/sign-in/password"]);
    holds("log", &["serving"]);
    holds("error-bodies", &["OperationOutcome", "urn:carekeep:problem", "sign-in-refused"]);
    holds("pg_dumpall", &["CREATE TABLE", "audit_entry"]);
    for file in ["postgres/base", "postgres/pg_wal", "redis/dump.rdb", "redis/redis.log"] {
        assert!(cell.path(file).exists(), "{file} should be among the files");
    }
    let planted = Path::new(folder).join("planted");
    fs::write(&planted, "noise kanarie noise").unwrap();
    assert_eq!(hits(&["KANARIE"], folder), [planted.display().to_string()]);
    fs::remove_file(planted).unwrap();
}
