//! BARS Z4 in small: ids of the other tenant and of charts that the caller has nothing to do with, real ones, are played in
//! wherever an id can be said. Each answer must be that for an id that nobody has, to the byte, and nothing may change.

mod probes;

use std::collections::BTreeMap;

use carekeep_kernel::{PersonId, ResourceId, SessionId};
use carekeep_testkit::AppSpec;
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::Answer;

use super::{
    apps::App,
    cast::{Credential, State},
    stage::{Body, Call, Chart, KINDS, Stage},
    table::code,
};

/// Ids of one origin, by what they are of.
pub(super) struct Ids {
    /// Whose they are: for messages.
    origin: &'static str,
    of: BTreeMap<&'static str, String>,
}

impl Ids {
    fn get(&self, what: &str) -> &str {
        &self.of[what]
    }

    /// Ids that nobody has, made as real ones are.
    fn absent(stage: &Stage) -> Self {
        let (clock, random) = (&*stage.clinic.platform.clock, &*stage.clinic.platform.random);
        let mut of: BTreeMap<_, _> =
            KINDS.iter().map(|kind| (*kind, ResourceId::generate(clock, random).to_string())).collect();
        of.insert("Person", PersonId::generate(clock, random).to_string());
        of.insert("Session", SessionId::generate(clock, random).to_string());
        of.insert("RoleRequest", ResourceId::generate(clock, random).to_string());
        of.insert("Passkey", ResourceId::generate(clock, random).to_string());
        of.insert("Recovery", ResourceId::generate(clock, random).to_string());
        of.insert("Device", ResourceId::generate(clock, random).to_string());
        of.insert("Grant", ResourceId::generate(clock, random).to_string());
        of.insert("App", ResourceId::generate(clock, random).to_string());
        of.insert("Token", ResourceId::generate(clock, random).to_string());
        Self { origin: "absent", of }
    }

    fn real(origin: &'static str, chart: &Chart, owner: &Credential, made: [String; 7]) -> Self {
        let mut of: BTreeMap<_, _> = KINDS.iter().map(|kind| (*kind, chart.id(kind).to_owned())).collect();
        of.insert("Person", owner.person.as_ref().unwrap().id.to_string());
        of.insert("Session", owner.session.unwrap().to_string());
        let [request, passkey, grant, app, device, recovery, token] = made;
        of.insert("Token", token);
        of.insert("Recovery", recovery);
        of.insert("Device", device);
        of.insert("Grant", grant);
        of.insert("App", app);
        of.insert("RoleRequest", request);
        of.insert("Passkey", passkey);
        Self { origin, of }
    }

    /// What was said, with a word in the place of each id, so that two answers can be compared.
    fn without(&self, text: &str, request: &str) -> String {
        let named = self.of.iter().fold(text.to_owned(), |text, (what, id)| text.replace(id.as_str(), what));
        named.replace(request, "request")
    }
}

/// What differs from answer to answer by design: the request's id, the time, and what is left of a rate limit.
const OF_THE_MOMENT: &[&str] = &["x-request-id", "date", "ratelimit"];

/// An answer as an attacker can compare it.
fn comparable(answer: &Answer, ids: &Ids) -> (StatusCode, Vec<(String, String)>, String) {
    let request = answer.headers["x-request-id"].to_str().unwrap();
    let plain = |headers: &HeaderMap| {
        let kept = headers.iter().filter(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str()));
        let text = |value: &reqwest::header::HeaderValue| ids.without(value.to_str().unwrap(), request);
        let mut pairs: Vec<_> = kept.map(|(name, value)| (name.to_string(), text(value))).collect();
        pairs.sort();
        pairs
    };
    (answer.status, plain(&answer.headers), ids.without(&answer.text, request))
}

/// A request that names something by its id.
pub(super) struct Probe {
    /// What it tries, for messages.
    what: String,
    call: Call,
}

/// Plays the same probes with ids of each origin; each must answer as with ids that nobody has, and change nothing.
async fn sweep(stage: &Stage, who: &str, origins: &[&Ids], probes: impl Fn(&Ids) -> Vec<Probe>) -> usize {
    let caller = stage.credential(stage.actor(who)).await;
    let absent = Ids::absent(stage);
    let tenants = [stage.clinic.acme.id, stage.clinic.bolt.id];
    let before = stage.onlooker.tenants(&tenants).await;
    let mut played = 0;
    for (index, probe) in probes(&absent).into_iter().enumerate() {
        let expected = stage.send(&caller, &probe.call).await;
        let about = format!("{who}: {}", probe.what);
        discloses_nothing(&expected, &about);
        for ids in origins {
            let Probe { call, what } = probes(ids).swap_remove(index);
            let answer = stage.send(&caller, &call).await;
            let about = format!("{who}, {} id: {what}", ids.origin);
            assert_eq!(comparable(&answer, ids), comparable(&expected, &absent), "{about}");
            played += 1;
        }
    }
    assert!(stage.onlooker.tenants(&tenants).await == before, "something that {who} was refused was done");
    played
}

/// No success but that of a search which finds nothing.
#[track_caller]
fn discloses_nothing(answer: &Answer, about: &str) {
    let found = answer.body["type"] == "searchset";
    let empty = (found && answer.body["entry"].as_array().is_none_or(Vec::is_empty))
        || answer.body["people"].as_array().is_some_and(Vec::is_empty);
    // A batch succeeds as such, and says of each entry that it was refused.
    let refused = |entry: &Value| entry["response"]["status"].as_str().is_some_and(|s| s.starts_with('4'));
    let batch = answer.body["type"] == "batch-response"
        && answer.body["entry"].as_array().is_some_and(|entries| entries.iter().all(refused));
    // `HEAD` of a search has no body to look at.
    let success = answer.status.is_success() && !answer.text.is_empty();
    assert!(!success || empty || batch, "{about}: {} {}", answer.status, answer.text);
}

/// The ids of the other tenant, and those of acme that only the scribe and one patient know.
async fn origins(stage: &Stage) -> (Ids, Ids) {
    let stranger = stage.credential(&stage.stranger).await;
    let scribe = stage.credential(&stage.scribe).await;
    let asked = async |owner: &Credential| {
        let person = owner.person.as_ref().unwrap();
        let app = stage.clinic.platform.app(person, AppSpec::default()).await;
        let (request, passkey) = (stage.role_request(person).await, stage.passkey(person).await);
        let (device, _) = stage.device(person, owner.session.unwrap()).await;
        let recovery = stage.clinic.platform.recovery(person).await.to_string();
        let (_, token, _) = stage.identity_provider(person.tenant).await;
        [request, passkey, app.grant.to_string(), app.client.to_string(), device.to_string(), recovery, token]
    };
    let (theirs, ours) = (asked(&stranger).await, asked(&scribe).await);
    (
        Ids::real("foreign", &stage.foreign, &stranger, theirs),
        Ids::real("hidden", &stage.other, &scribe, ours),
    )
}

#[tokio::test]
async fn bar_z4_charts_of_others_are_not_there_wherever_their_ids_are_said() {
    let stage = Stage::open().await;
    let (foreign, hidden) = origins(&stage).await;
    let entries = stage.onlooker.audit_entries(stage.clinic.bolt.id).await;
    let both = [&foreign, &hidden];
    let mut played = 0;
    for kind in KINDS.iter().filter(|kind| **kind != "Practitioner") {
        for who in ["clinician", "nurse", "patient", "proxy"] {
            played += sweep(&stage, who, &both, |ids| probes::reads(kind, ids.get(kind))).await;
        }
        for who in ["clinician", "nurse"] {
            played += sweep(&stage, who, &both, |ids| probes::writes(&stage, kind, ids)).await;
            played += sweep(&stage, who, &both, |ids| probes::bundles(&stage, kind, ids)).await;
        }
    }
    for who in ["clinician", "nurse", "patient"] {
        played += sweep(&stage, who, &both, |ids| probes::about(&stage, ids)).await;
    }
    let app = App::launchable(&stage).await;
    for who in ["clinician", "nurse", "patient"] {
        played += sweep(&stage, who, &both, |ids| probes::launches(&stage, ids, &app)).await;
    }
    // Who sees every chart of acme, or everybody's directory, still sees nothing of bolt.
    for kind in KINDS {
        for who in ["reception", "clinic manager"] {
            played += sweep(&stage, who, &[&foreign], |ids| probes::reads(kind, ids.get(kind))).await;
        }
        for who in ["clinic manager", "privacy officer", "service account"] {
            played += sweep(&stage, who, &[&foreign], |ids| probes::writes(&stage, kind, ids)).await;
        }
    }
    played += sweep(&stage, "service account", &[&foreign], |ids| probes::about(&stage, ids)).await;
    assert!(played > 1_000, "{played}");
    assert_eq!(
        stage.onlooker.audit_entries(stage.clinic.bolt.id).await,
        entries,
        "bolt's ledger knows nothing of it"
    );
    positive_controls(&stage).await;
    stage.close().await;
}

/// The ids are real: their own people read them, and the same requests about one's own chart succeed.
async fn positive_controls(stage: &Stage) {
    for (actor, chart) in [
        (&stage.stranger, &stage.foreign),
        (&stage.scribe, &stage.other),
        (stage.actor("clinician"), &stage.own),
    ] {
        let credential = stage.credential(actor).await;
        for kind in KINDS {
            for probe in probes::reads(kind, chart.id(kind)) {
                let answer = stage.send(&credential, &probe.call).await;
                let known = answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED;
                // There is one version only, and nobody looks the second up.
                assert!(known || probe.what.contains("second version"), "{}: {}", probe.what, answer.text);
            }
        }
    }
}

#[tokio::test]
async fn bar_z4_people_sessions_and_charts_of_others_are_not_there_for_identity_either() {
    let stage = Stage::open().await;
    let (foreign, hidden) = origins(&stage).await;
    for who in ["clinician", "tenant admin", "patient"] {
        assert!(sweep(&stage, who, &[&foreign, &hidden], probes::sessions).await > 0);
    }
    for who in ["tenant admin", "clinic manager", "clinician"] {
        assert!(sweep(&stage, who, &[&foreign], |ids| probes::members(&stage, ids)).await > 0);
    }
    assert!(sweep(&stage, "identity provider", &[&foreign], probes::staff).await > 0);
    stage.close().await;
}

/// A credential that no authenticator made, well-formed.
fn credential() -> Value {
    let text = data_encoding::BASE64URL_NOPAD.encode(&[7; 64]);
    json!({
        "id": text, "rawId": text, "type": "public-key", "clientExtensionResults": {},
        "response": {"authenticatorData": text, "clientDataJSON": text, "signature": text},
    })
}

#[tokio::test]
async fn bar_z4_a_ceremony_of_somebody_else_is_not_there_and_is_not_used_up() {
    let stage = Stage::open().await;
    let begin = Call::post("/api/v1/enrol/passkey/begin", Value::Null);
    let mut begun = Vec::new();
    for actor in [&stage.stranger, &stage.scribe] {
        begun.push(stage.done(actor, begin.clone()).await["ceremony"].as_str().unwrap().to_owned());
    }
    let clinician = stage.session(stage.actor("clinician").person(), State::Live).await;
    let tenants = [stage.clinic.acme.id, stage.clinic.bolt.id];
    let mut answers = Vec::new();
    for ceremony in [&uuid::Uuid::from_u128(7).to_string(), &begun[0], &begun[1]] {
        let body = json!({"ceremony": ceremony, "credential": credential()});
        let answer = stage.send(&clinician, &Call::post("/api/v1/step-up/passkey/finish", body)).await;
        assert_eq!(code(&answer.body), "passkey-attempt-expired", "{}", answer.text);
        answers.push(comparable(&answer, &Ids { origin: "", of: BTreeMap::new() }));
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
    for tenant in tenants {
        assert_eq!(stage.onlooker.ceremonies(tenant).await, 1, "whoever began it can still finish it");
    }
    stage.close().await;
}

#[tokio::test]
async fn bar_z4_a_cursor_is_good_for_whom_it_was_given_to_and_for_nobody_else() {
    let stage = Stage::open().await;
    for (actor, chart) in [(&stage.scribe, &stage.own), (&stage.stranger, &stage.foreign)] {
        for _ in 0..2 {
            stage.create(actor, "Condition", chart.id("Patient")).await;
            stage.create(actor, "Observation", chart.id("Patient")).await;
        }
    }
    let page = |kind: &str, cursor: &str| Call::get(format!("/fhir/R4/{kind}?_count=1{cursor}"));
    let cursor = |body: &Value| {
        let link = body["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();
        let link = link["url"].as_str().unwrap();
        link[link.find("&_cursor=").unwrap()..].to_owned()
    };
    let clinician = stage.credential(stage.actor("clinician")).await;
    let first = stage.send(&clinician, &page("Condition", "")).await.expect(StatusCode::OK);
    let own = cursor(&first);
    let second = stage.send(&clinician, &page("Condition", &own)).await.expect(StatusCode::OK);
    assert_ne!(first["entry"][0]["resource"]["id"], second["entry"][0]["resource"]["id"]);

    let foreign = cursor(&stage.done(&stage.stranger, page("Condition", "")).await);
    let of_a_colleague = cursor(&stage.done(&stage.scribe, page("Condition", "")).await);
    let of_another_type = cursor(&stage.send(&clinician, &page("Observation", "")).await.body);
    let last = own.chars().last().unwrap();
    let changed = format!("{}{}", &own[..own.len() - 1], if last == 'A' { 'B' } else { 'A' });
    let made_up = format!("&_cursor={}", data_encoding::BASE64URL_NOPAD.encode(&[1; 120]));
    let mut answers = Vec::new();
    for cursor in
        [&foreign, &of_a_colleague, &of_another_type, &changed, &made_up, &"&_cursor=AAAA".to_owned()]
    {
        let answer = stage.send(&clinician, &page("Condition", cursor)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{cursor}: {}", answer.text);
        answers.push(comparable(&answer, &Ids { origin: "", of: BTreeMap::new() }));
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
    // What a cursor says is sealed: it may be the place of a row that the searcher may not see.
    let bytes =
        data_encoding::BASE64URL_NOPAD.decode(own.trim_start_matches("&_cursor=").as_bytes()).unwrap();
    let shown = first["entry"][0]["resource"]["id"].as_str().unwrap().parse::<ResourceId>().unwrap();
    assert!(!bytes.windows(16).any(|window| window == shown.as_bytes()));
    stage.close().await;
}

#[tokio::test]
async fn bar_z4_an_invitation_of_another_tenant_is_like_one_that_never_was() {
    let stage = Stage::open().await;
    let admin = stage.credential(stage.actor("foreign admin")).await;
    let at_home = Credential { slug: "bolt", ..admin };
    let body = json!({"login": "newcomer", "name": "New Comer", "roles": ["nurse"]});
    let invited = stage.send(&at_home, &Call::post("/api/v1/people", body)).await.expect(StatusCode::CREATED);
    let token = invited["token"].as_str().unwrap();
    let accept = |token: &str| Call::post("/api/v1/invites/accept", json!({ "token": token }));
    let invented = format!("cki_{}", data_encoding::BASE64URL_NOPAD.encode(&[7; 32]));
    let refused = stage.send(&Stage::nobody(), &accept(token)).await;
    let never = stage.send(&Stage::nobody(), &accept(&invented)).await;
    assert_eq!((refused.status, code(&refused.body)), (StatusCode::GONE, "invitation-not-valid"));
    let nothing = Ids { origin: "", of: BTreeMap::new() };
    assert_eq!(comparable(&refused, &nothing), comparable(&never, &nothing));
    let there = Credential { slug: "bolt", ..Stage::nobody() };
    assert_eq!(stage.send(&there, &accept(token)).await.status, StatusCode::OK, "it was good at home");
    stage.close().await;
}

#[tokio::test]
async fn bar_z4_a_reference_to_what_is_not_there_leads_nowhere() {
    let stage = Stage::open().await;
    let (foreign, hidden) = origins(&stage).await;
    let clinician = stage.credential(stage.actor("clinician")).await;
    for ids in [&foreign, &hidden, &Ids::absent(&stage)] {
        // Only the patient decides who sees a record; other references are kept as they are written, whatever they name.
        let mut body = super::stage::resource("Observation", stage.own.id("Patient"));
        body["encounter"] = json!({"reference": format!("Encounter/{}", ids.get("Encounter"))});
        let create = Call::new(Method::POST, "/fhir/R4/Observation", Body::Fhir(body));
        let made = stage.send(&clinician, &create).await.expect(StatusCode::CREATED);
        assert_eq!(made["subject"]["reference"], stage.own.reference("Patient"), "{}", ids.origin);
        let there = format!("/fhir/R4/{}", made["encounter"]["reference"].as_str().unwrap());
        assert_eq!(
            stage.send(&clinician, &Call::get(there)).await.status,
            StatusCode::NOT_FOUND,
            "{}",
            ids.origin
        );
        // A condition that only others meet is met by nothing.
        let condition = format!("_id={}", ids.get("Observation"));
        let body = super::stage::resource("Observation", stage.own.id("Patient"));
        let create = Call::new(Method::POST, "/fhir/R4/Observation", Body::Fhir(body));
        let made = stage.send(&clinician, &create.with("if-none-exist", condition)).await;
        assert_ne!(made.expect(StatusCode::CREATED)["id"], ids.get("Observation"), "{}", ids.origin);
    }
    stage.close().await;
}
