//! I12: a tenant's own identity provider keeps the accounts of staff by SCIM 2.0, as Entra ID and Okta do it.

use std::time::Duration;

use carekeep_kernel::TenantId;
use carekeep_policy::Role;
use carekeep_testkit::{Person, PersonSpec};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Clinic, Member, Program};

const NONE: Value = Value::Null;
const USERS: &str = "/scim/v2/Users";
const TOKENS: &str = "/api/v1/provisioning-tokens";
const NURSES: &str = "/scim/v2/Groups/nurse";

/// A clinic whose identity provider has a token.
struct Site {
    clinic: Clinic,
    admin: Member,
    /// The id of the token, and of the account that it acts as.
    token: String,
    account: String,
    idp: Program,
}

impl Site {
    async fn open() -> Self {
        let clinic = Clinic::open().await;
        let mut admin = clinic.admin().await;
        let made = token(&mut admin, json!({"name": "Entra ID"})).await;
        let idp = Program { token: Some(text(&made["token"])), ..clinic.program("acme") };
        Self { token: text(&made["id"]), account: text(&made["person"]), idp, admin, clinic }
    }

    async fn scim(&mut self, method: Method, path: &str, body: &Value) -> Answer {
        scim(&self.idp, method, path, body, &[]).await
    }

    async fn get(&mut self, path: &str) -> Value {
        self.scim(Method::GET, path, &NONE).await.expect(StatusCode::OK)
    }

    /// Adds somebody with the least that a client says.
    async fn add(&mut self, login: &str) -> String {
        let body = json!({"schemas": [USER], "userName": login, "displayName": format!("Name of {login}")});
        text(&self.scim(Method::POST, USERS, &body).await.expect(StatusCode::CREATED)["id"])
    }

    async fn patch(&mut self, path: &str, operations: Value) -> Answer {
        self.scim(Method::PATCH, path, &patch(&operations)).await
    }

    /// How many match a filter.
    async fn count(&mut self, filter: &str) -> u64 {
        let found = self.get(&filtered(USERS, filter)).await;
        found["totalResults"].as_u64().unwrap()
    }
}

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

fn patch(operations: &Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

fn filtered(path: &str, filter: &str) -> String {
    let mut url = reqwest::Url::parse("https://x.example").unwrap();
    url.query_pairs_mut().append_pair("filter", filter);
    format!("{path}?{}", url.query().unwrap())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn token(admin: &mut Member, body: Value) -> Value {
    admin.program.post(TOKENS, &body).await.expect(StatusCode::CREATED)
}

async fn hire(clinic: &Clinic, tenant: TenantId, login: &str, spec: PersonSpec<'_>) -> Person {
    let person = clinic.platform.person(tenant, spec).await;
    clinic.platform.name(&clinic.vault, &person, login, "Somebody").await;
    person
}

/// As identity providers send it.
async fn scim(
    program: &Program,
    method: Method,
    path: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = program.http.request(method, format!("{}{path}", program.base));
    if let Some(token) = &program.token {
        request = request.bearer_auth(token);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_null() {
        request = request.header("content-type", "application/scim+json").body(body.to_string());
    }
    Answer::of(request).await
}

/// An error as RFC 7644 section 3.12 has it.
#[track_caller]
fn refused(answer: &Answer, status: StatusCode, scim_type: Option<&str>) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/scim+json");
    assert_eq!(answer.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
    assert_eq!(answer.body["status"], status.as_str());
    assert_eq!(answer.body["scimType"].as_str(), scim_type, "{}", answer.text);
    assert!(answer.body["detail"].is_string());
}

#[tokio::test]
async fn i12_entra_adds_changes_suspends_and_removes_somebody_who_joins_in_between() {
    let mut site = Site::open().await;
    // The test of the connection, then the search before each new one.
    let guid = "6c75de36-30fa-4d2d-a196-6bdcdb6b6539";
    let found = site.get(&filtered(USERS, &format!("userName eq \"{guid}\""))).await;
    assert_eq!((&found["totalResults"], &found["Resources"]), (&json!(0), &json!([])));
    let body = json!({
        "schemas": [USER, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": "Amina.Diallo@acme.example",
        "active": true,
        "displayName": "Amina Diallo",
        "emails": [{"primary": true, "type": "work", "value": "amina.diallo@acme.example"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "givenName familyName", "familyName": "Diallo", "givenName": "Amina"},
        "roles": [],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Ward 3"},
    });
    let created = site.scim(Method::POST, USERS, &body).await;
    assert_eq!(created.headers["content-type"], "application/scim+json");
    let (location, tag) = (created.headers["location"].clone(), created.headers["etag"].clone());
    let user = created.expect(StatusCode::CREATED);
    let id = text(&user["id"]);
    let place = format!("{USERS}/{id}");
    assert_eq!(location, format!("{}{place}", site.clinic.origin("acme")).as_str());
    assert_eq!(user["meta"]["version"], tag.to_str().unwrap());
    assert_eq!(user["userName"], "amina.diallo@acme.example");
    assert_eq!((&user["active"], &user["externalId"]), (&json!(true), &body["externalId"]));
    assert!(user["emails"].is_null() && user["roles"].is_null(), "what is not kept is not shown: {user}");
    assert!(!user.to_string().contains("cki_") && !user.to_string().contains("/join#"), "no link: {user}");

    // She waits until an administrator gives her a link; a role that came by a group is hers then.
    let added = json!([{"op": "Add", "path": "members", "value": [{"$ref": null, "value": id}]}]);
    site.patch(NURSES, added).await.expect(StatusCode::OK);
    let people = site.admin.program.get("/api/v1/people").await.expect(StatusCode::OK);
    let waiting = people["people"].as_array().unwrap().iter().find(|one| one["id"] == id.as_str()).unwrap();
    assert_eq!((&waiting["status"], &waiting["roles"]), (&json!("invited"), &json!(["nurse"])));
    let invited =
        site.admin.program.post(&format!("/api/v1/people/{id}/invite"), &json!({"roles": []})).await;
    let invited = invited.expect(StatusCode::CREATED);
    let mut nurse = site.clinic.join("amina.diallo@acme.example", invited["token"].as_str().unwrap()).await;
    let me = nurse.program.get("/api/v1/me").await.expect(StatusCode::OK);
    assert_eq!((&me["roles"], &me["person"]), (&json!(["nurse"]), &json!(id)));

    let changes = json!([
        {"op": "Replace", "path": "displayName", "value": "Amina Diallo-Weiss"},
        {"op": "Replace", "path": "name.familyName", "value": "Diallo-Weiss"},
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "a.d@acme.example"},
    ]);
    let changed = site.patch(&place, changes).await.expect(StatusCode::OK);
    assert_eq!(changed["displayName"], "Amina Diallo-Weiss");
    assert_eq!(changed["name"]["familyName"], "Diallo-Weiss");
    assert_ne!(changed["meta"]["version"], user["meta"]["version"]);
    assert_eq!(changed["groups"][0]["value"], "nurse");

    let off = json!([{"op": "Replace", "path": "active", "value": "False"}]);
    let off = site.patch(&place, off).await.expect(StatusCode::OK);
    assert_eq!(off["active"], false);
    nurse.program.within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    let on = json!([{"op": "Replace", "path": "active", "value": "True"}]);
    assert_eq!(site.patch(&place, on).await.expect(StatusCode::OK)["active"], true);
    let mut again = site.clinic.sign_in(&nurse).await;
    again.get("/api/v1/me").await.expect(StatusCode::OK);

    site.scim(Method::DELETE, &place, &NONE).await.expect(StatusCode::NO_CONTENT);
    again.within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    refused(&site.scim(Method::GET, &place, &NONE).await, StatusCode::NOT_FOUND, None);
    refused(&site.scim(Method::DELETE, &place, &NONE).await, StatusCode::NOT_FOUND, None);
    // Whoever comes back is somebody new (RFC 7644 section 3.6).
    let back = site.scim(Method::POST, USERS, &body).await.expect(StatusCode::CREATED);
    assert_ne!(back["id"], id.as_str());
    site.clinic.close().await;
}

#[tokio::test]
async fn i12_okta_matches_replaces_and_pushes_groups() {
    let mut site = Site::open().await;
    let mut doctor = site.clinic.member(&mut site.admin, "dr.meyer", &["clinician"]).await;
    let found =
        site.get(&format!("{}&startIndex=1&count=100", filtered(USERS, "userName eq \"dr.meyer\""))).await;
    assert_eq!((&found["totalResults"], &found["itemsPerPage"]), (&json!(1), &json!(1)));
    let user = &found["Resources"][0];
    assert_eq!((&user["id"], &user["displayName"]), (&json!(doctor.id), &json!("Name of dr.meyer")));
    let place = format!("{USERS}/{}", doctor.id);
    let body = json!({
        "schemas": [USER], "id": doctor.id, "userName": "dr.meyer", "externalId": "00ujl29u0le5T6Aj10h7",
        "name": {"givenName": "Karl", "familyName": "Meyer"}, "active": true, "groups": [{"value": "auditor"}],
        "meta": {"resourceType": "User"},
    });
    let put = site.scim(Method::PUT, &place, &body).await.expect(StatusCode::OK);
    assert_eq!((&put["name"]["familyName"], &put["displayName"]), (&json!("Meyer"), &NONE));
    assert_eq!(put["groups"].as_array().unwrap().len(), 1, "groups are not changed here: {put}");
    let me = site.admin.program.get("/api/v1/people").await.expect(StatusCode::OK).to_string();
    assert!(me.contains("Karl Meyer"), "colleagues see the name: {me}");
    assert_eq!(site.count("externalId eq \"00ujl29u0le5T6Aj10h7\"").await, 1);

    let groups = site.get("/scim/v2/Groups?startIndex=1&count=100").await;
    let names: Vec<_> =
        groups["Resources"].as_array().unwrap().iter().map(|one| &one["displayName"]).collect();
    let roles = ["clinician", "nurse", "reception", "billing", "clinic_manager", "auditor", "support"];
    assert_eq!(json!(names), json!(roles));
    let pushed = json!([
        {"op": "remove", "path": "members[value eq \"nobody\"]"},
        {"op": "add", "path": "members", "value": [{"value": doctor.id, "display": "dr.meyer"}]},
    ]);
    let nurses = site.patch(NURSES, pushed).await.expect(StatusCode::OK);
    assert_eq!(nurses["members"][0]["value"], doctor.id.as_str());
    let named = json!([{"op": "replace", "value": {"id": "nurse", "displayName": "nurse"}}]);
    site.patch(NURSES, named).await.expect(StatusCode::OK);
    let me = |body: Value| body["roles"].as_array().unwrap().len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(me(doctor.program.get("/api/v1/me").await.expect(StatusCode::OK)), 2);
    let only = json!({"schemas": [], "displayName": "nurse", "members": []});
    site.scim(Method::PUT, NURSES, &only).await.expect(StatusCode::OK);
    assert_eq!(site.get(NURSES).await["members"], json!([]));
    assert!(site.get(&format!("{NURSES}?excludedAttributes=members")).await["members"].is_null());

    let off = json!([{"op": "replace", "value": {"active": false}}]);
    assert_eq!(site.patch(&place, off).await.expect(StatusCode::OK)["active"], false);
    doctor.program.within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    site.clinic.close().await;
}

#[tokio::test]
async fn i12_staff_are_found_by_filters_and_in_pages() {
    let mut site = Site::open().await;
    let mut ids = Vec::new();
    for login in ["a.one", "b.two", "c.three"] {
        ids.push(site.add(login).await);
    }
    site.clinic.clock.advance(Duration::from_secs(60));
    let (second, noon) = (format!("{USERS}/{}", ids[1]), site.clinic.platform.clock.now().to_string());
    site.patch(&second, json!([{"op": "replace", "path": "active", "value": false}]))
        .await
        .expect(StatusCode::OK);
    for (filter, matching) in [
        ("userName eq \"B.TWO\"".to_owned(), 1),
        ("active eq false".to_owned(), 1),
        ("active eq true".to_owned(), 3),
        ("userName eq \"a.one\" or userName eq \"b.two\" and active eq true".to_owned(), 1),
        ("(userName eq \"a.one\" or userName eq \"b.two\") and active eq false".to_owned(), 1),
        (format!("meta.lastModified ge \"{noon}\""), 1),
        (format!("meta.lastModified lt \"{noon}\""), 3),
        (format!("meta.lastModified gt \"{noon}\""), 0),
        (format!("id eq \"{}\"", ids[2]), 1),
        ("id eq \"rubbish\"".to_owned(), 0),
        ("externalId eq \"none\"".to_owned(), 0),
    ] {
        assert_eq!(site.count(&filter).await, matching, "{filter}");
    }
    for filter in ["displayName eq \"x\"", "userName co \"a\"", "active gt true", "userName pr", "("] {
        let answer = site.scim(Method::GET, &filtered(USERS, filter), &NONE).await;
        refused(&answer, StatusCode::BAD_REQUEST, Some("invalidFilter"));
    }
    let mut seen = Vec::new();
    for start in [1, 3] {
        let page = site.get(&format!("{USERS}?startIndex={start}&count=2&attributes=userName")).await;
        assert_eq!(
            (&page["totalResults"], &page["startIndex"], &page["itemsPerPage"]),
            (&json!(4), &json!(start), &json!(2))
        );
        assert!(page["Resources"][0]["active"].is_null(), "{page}");
        seen.extend(page["Resources"].as_array().unwrap().iter().map(|one| text(&one["userName"])));
    }
    seen.sort_unstable();
    assert_eq!(seen, ["a.one", "ada.admin", "b.two", "c.three"]);
    let none = site.get(&format!("{USERS}?count=0")).await;
    assert_eq!((&none["totalResults"], &none["Resources"]), (&json!(4), &json!([])));
    site.clinic.close().await;
}

#[tokio::test]
async fn i12_what_cannot_be_is_refused_in_the_words_of_the_rfc_and_changes_nothing() {
    let mut site = Site::open().await;
    let (one, other) = (site.add("a.one").await, site.add("b.two").await);
    let place = format!("{USERS}/{one}");
    let before = site.get(&place).await;
    let bad = StatusCode::BAD_REQUEST;
    let taken = site.scim(Method::POST, USERS, &json!({"userName": "B.Two"})).await;
    refused(&taken, StatusCode::CONFLICT, Some("uniqueness"));
    let taken = json!([
        {"op": "replace", "path": "active", "value": false},
        {"op": "replace", "path": "userName", "value": "b.two"},
    ]);
    refused(&site.patch(&place, taken).await, StatusCode::CONFLICT, Some("uniqueness"));
    for (operation, scim_type) in [
        (json!({"op": "replace", "path": "active", "value": "maybe"}), "invalidValue"),
        (json!({"op": "replace", "path": "userName", "value": "a b"}), "invalidValue"),
        (json!({"op": "replace", "path": "name.[", "value": "x"}), "invalidPath"),
        (json!({"op": "remove"}), "noTarget"),
        (json!({"op": "replace", "path": "id", "value": other}), "mutability"),
        (json!({"op": "copy"}), "invalidSyntax"),
    ] {
        let both = json!([{"op": "replace", "path": "active", "value": false}, operation]);
        refused(&site.patch(&place, both).await, bad, Some(scim_type));
    }
    let nobody = json!([{"op": "add", "path": "members", "value": [{"value": "nobody"}]}]);
    refused(&site.patch(NURSES, nobody).await, bad, Some("invalidValue"));
    let renamed = json!([{"op": "replace", "path": "displayName", "value": "Schwestern"}]);
    refused(&site.patch(NURSES, renamed).await, bad, Some("mutability"));
    for role in ["tenant_admin", "privacy_officer", "patient", "proxy", "service_account", "provisioner", "x"]
    {
        let group = format!("/scim/v2/Groups/{role}");
        let add = json!([{"op": "add", "path": "members", "value": [{"value": one}]}]);
        refused(&site.patch(&group, add).await, StatusCode::NOT_FOUND, None);
    }
    refused(
        &site.scim(Method::POST, "/scim/v2/Groups", &json!({})).await,
        StatusCode::METHOD_NOT_ALLOWED,
        None,
    );
    refused(&site.scim(Method::POST, USERS, &json!({"displayName": "x"})).await, bad, Some("invalidValue"));
    let old = site.get(&place).await;
    assert_eq!(old, before);

    // What is at another version is not changed; what is not is not sent again.
    let change = patch(&json!([{"op": "replace", "path": "displayName", "value": "New"}]));
    let tag = text(&before["meta"]["version"]);
    let stale = scim(&site.idp, Method::PATCH, &place, &change, &[("if-match", "W/\"0\"")]).await;
    refused(&stale, StatusCode::PRECONDITION_FAILED, None);
    let stale = scim(&site.idp, Method::DELETE, &place, &NONE, &[("if-match", "W/\"0\"")]).await;
    refused(&stale, StatusCode::PRECONDITION_FAILED, None);
    let known = scim(&site.idp, Method::GET, &place, &NONE, &[("if-none-match", &tag)]).await;
    assert_eq!((known.status, known.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    scim(&site.idp, Method::PATCH, &place, &change, &[("if-match", &tag)]).await.expect(StatusCode::OK);

    // Bodies: the media type, and the size.
    let form = site.idp.http.post(format!("{}{USERS}", site.idp.base)).header("content-type", "text/plain");
    let form = Answer::of(form.bearer_auth(site.idp.token.as_deref().unwrap()).body("{}")).await;
    refused(&form, StatusCode::UNSUPPORTED_MEDIA_TYPE, None);
    let long = json!({"userName": "z", "x": "x".repeat(300 << 10)});
    refused(&site.scim(Method::POST, USERS, &long).await, StatusCode::PAYLOAD_TOO_LARGE, None);
    let broken =
        site.idp.http.post(format!("{}{USERS}", site.idp.base)).header("content-type", "application/json");
    let broken = Answer::of(broken.bearer_auth(site.idp.token.as_deref().unwrap()).body("{")).await;
    refused(&broken, bad, Some("invalidSyntax"));
    site.clinic.close().await;
}

#[tokio::test]
async fn i12_nobody_but_staff_is_there_and_those_in_charge_stay() {
    let mut site = Site::open().await;
    let hiring = |roles: &'static [Role]| PersonSpec { roles, ..PersonSpec::default() };
    let platform = &site.clinic.platform;
    let chart = carekeep_kernel::ResourceId::generate(&*platform.clock, &*platform.random);
    let acme = site.clinic.acme.id;
    let patient = PersonSpec { patient: Some(chart), ..hiring(&[Role::Patient]) };
    let patient = hire(&site.clinic, acme, "patient", patient).await;
    let robot = hire(&site.clinic, acme, "robot", hiring(&[Role::ServiceAccount])).await;
    let foreign = hire(&site.clinic, site.clinic.bolt.id, "nurse", hiring(&[Role::Nurse])).await;
    let nurse = hire(&site.clinic, acme, "nurse", hiring(&[Role::Nurse])).await;
    let absent = carekeep_kernel::PersonId::generate(&*platform.clock, &*platform.random).to_string();
    let hidden = [patient.id, robot.id, foreign.id].map(|id| id.to_string());
    let own = site.account.clone();
    let add = |id: &str| json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
    let off = json!([{"op": "replace", "path": "active", "value": false}]);
    for id in hidden.iter().chain([&own, &absent]) {
        let place = format!("{USERS}/{id}");
        refused(&site.scim(Method::GET, &place, &NONE).await, StatusCode::NOT_FOUND, None);
        refused(&site.patch(&place, off.clone()).await, StatusCode::NOT_FOUND, None);
        refused(
            &site.scim(Method::PUT, &place, &json!({"userName": "x"})).await,
            StatusCode::NOT_FOUND,
            None,
        );
        refused(&site.scim(Method::DELETE, &place, &NONE).await, StatusCode::NOT_FOUND, None);
        refused(&site.patch(NURSES, add(id)).await, StatusCode::NOT_FOUND, None);
        assert_eq!(site.count(&format!("id eq \"{id}\"")).await, 0, "{id}");
    }
    let all = site.get(USERS).await.to_string();
    assert!(hidden.iter().chain([&own]).all(|id| !all.contains(id.as_str())), "{all}");
    // The positive control: the same with a nurse.
    let place = format!("{USERS}/{}", nurse.id);
    assert_eq!(site.get(NURSES).await["members"][0]["value"], nurse.id.to_string());
    site.patch(&place, off.clone()).await.expect(StatusCode::OK);

    let admin = format!("{USERS}/{}", site.admin.id);
    refused(&site.patch(&admin, off.clone()).await, StatusCode::FORBIDDEN, None);
    refused(&site.scim(Method::DELETE, &admin, &NONE).await, StatusCode::FORBIDDEN, None);
    assert_eq!(site.get(&admin).await["active"], true);
    let officer = hire(&site.clinic, acme, "officer", hiring(&[Role::PrivacyOfficer])).await;
    let officer = format!("{USERS}/{}", officer.id);
    refused(&site.patch(&officer, off.clone()).await, StatusCode::FORBIDDEN, None);
    refused(&site.scim(Method::DELETE, &officer, &NONE).await, StatusCode::FORBIDDEN, None);
    // With others there, both may go.
    hire(&site.clinic, acme, "second", hiring(&[Role::TenantAdmin, Role::PrivacyOfficer])).await;
    site.patch(&officer, off.clone()).await.expect(StatusCode::OK);
    site.patch(&admin, off).await.expect(StatusCode::OK);
    site.clinic.close().await;
}

#[tokio::test]
async fn i12_a_suspension_by_an_administrator_is_an_administrators_to_end() {
    let mut site = Site::open().await;
    let nurse = site.clinic.member(&mut site.admin, "nurse.costa", &["nurse"]).await;
    let place = format!("{USERS}/{}", nurse.id);
    let person = format!("/api/v1/people/{}", nurse.id);
    let active = |is: bool| json!([{"op": "replace", "path": "active", "value": is}]);
    site.admin.program.post(&format!("{person}/suspend"), &NONE).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(site.get(&place).await["active"], false);
    refused(&site.patch(&place, active(true)).await, StatusCode::FORBIDDEN, None);
    assert_eq!(site.get(&place).await["active"], false);
    site.admin.program.post(&format!("{person}/reinstate"), &NONE).await.expect(StatusCode::NO_CONTENT);
    site.patch(&place, active(false)).await.expect(StatusCode::OK);
    assert_eq!(site.patch(&place, active(true)).await.expect(StatusCode::OK)["active"], true);
    // Also one on top of the provider's own.
    site.patch(&place, active(false)).await.expect(StatusCode::OK);
    site.admin.program.post(&format!("{person}/suspend"), &NONE).await.expect(StatusCode::NO_CONTENT);
    refused(&site.patch(&place, active(true)).await, StatusCode::FORBIDDEN, None);
    site.clinic.close().await;
}

#[tokio::test]
async fn i12_a_token_is_good_here_for_scim_until_it_is_revoked_or_expires() {
    let mut site = Site::open().await;
    site.get(USERS).await;
    // Nowhere else: not at another tenant, and for nothing but SCIM.
    let elsewhere = Program {
        base: site.clinic.origin("bolt"),
        http: site.clinic.http(&["bolt"]).build().unwrap(),
        ..site.idp.clone()
    };
    let answer = scim(&elsewhere, Method::GET, USERS, &NONE, &[]).await;
    refused(&answer, StatusCode::UNAUTHORIZED, None);
    for path in [
        "/api/v1/me",
        "/api/v1/people",
        "/api/v1/sessions",
        "/fhir/R4/Patient",
        "/fhir/R4/Practitioner",
        TOKENS,
    ] {
        assert_eq!(site.idp.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    // And nobody else's session is one.
    let session = site.admin.program.clone();
    refused(&scim(&session, Method::GET, USERS, &NONE, &[]).await, StatusCode::FORBIDDEN, None);
    refused(
        &scim(&site.clinic.program("acme"), Method::GET, USERS, &NONE, &[]).await,
        StatusCode::UNAUTHORIZED,
        None,
    );

    let listed = site.admin.program.get(TOKENS).await.expect(StatusCode::OK);
    let entry = &listed["tokens"][0];
    assert_eq!(
        (&entry["id"], &entry["name"], &entry["token"]),
        (&json!(site.token), &json!("Entra ID"), &NONE)
    );
    let used = tokio::time::timeout(Duration::from_secs(2), async {
        while site.admin.program.get(TOKENS).await.expect(StatusCode::OK)["tokens"][0]["last_used"].is_null()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    used.await.expect("the last use is noted");

    let short = token(&mut site.admin, json!({"name": "Short", "days": 1})).await;
    token(&mut site.admin, json!({"name": "Third"})).await;
    let fourth = site.admin.program.post(TOKENS, &json!({"name": "Fourth"})).await;
    assert_eq!((fourth.status, fourth.code()), (StatusCode::CONFLICT, "too-many-tokens"));
    let long = site.admin.program.post(TOKENS, &json!({"name": "Long", "days": 366})).await;
    assert_eq!((long.status, long.code()), (StatusCode::UNPROCESSABLE_ENTITY, "token-life-not-allowed"));
    let revoke = format!("{TOKENS}/{}", site.token);
    site.admin.program.send(Method::DELETE, &revoke, &NONE).await.expect(StatusCode::NO_CONTENT);
    site.idp.within_a_second(USERS, StatusCode::UNAUTHORIZED).await;
    assert_eq!(site.admin.program.send(Method::DELETE, &revoke, &NONE).await.status, StatusCode::NOT_FOUND);

    let mut short = Program { token: Some(text(&short["token"])), ..site.idp.clone() };
    site.clinic.clock.advance(Duration::from_secs(24 * 60 * 60 - 1));
    short.get(USERS).await.expect(StatusCode::OK);
    site.clinic.clock.advance(Duration::from_secs(1));
    assert_eq!(short.get(USERS).await.status, StatusCode::UNAUTHORIZED);
    site.clinic.close().await;
}

#[tokio::test]
async fn i12_a_token_needs_an_administrator_with_a_fresh_factor_and_its_role_is_nobodys_to_give() {
    let mut site = Site::open().await;
    let mut nurse = site.clinic.member(&mut site.admin, "nurse.costa", &["nurse"]).await;
    let body = json!({"name": "x"});
    assert_eq!(nurse.program.post(TOKENS, &body).await.status, StatusCode::FORBIDDEN);
    let role = format!("/api/v1/people/{}/roles/provisioner", nurse.id);
    let given = site.admin.program.send(Method::PUT, &role, &NONE).await;
    assert_eq!(given.code(), "roles-not-allowed");
    let invited = json!({"login": "x", "name": "X", "roles": ["provisioner"]});
    assert_eq!(site.admin.program.post("/api/v1/people", &invited).await.code(), "roles-not-allowed");
    // Nor does anybody come in as the account that a token acts as.
    let begin = |id: &str| format!("/api/v1/people/{id}/recovery");
    let program = site.admin.program.post(&begin(&site.account), &NONE).await;
    assert_eq!((program.status, program.code()), (StatusCode::CONFLICT, "not-joined"));
    let again = format!("/api/v1/people/{}/invite", site.account);
    assert_eq!(site.admin.program.post(&again, &json!({"roles": []})).await.status, StatusCode::CONFLICT);
    site.admin.program.post(&begin(&nurse.id.to_string()), &NONE).await.expect(StatusCode::CREATED);
    token(&mut site.admin, body.clone()).await;
    site.clinic.clock.advance(Duration::from_secs(5 * 60));
    let stale = site.admin.program.post(TOKENS, &body).await;
    assert_eq!(stale.code(), "fresh-factor-needed");
    site.clinic.close().await;
}

#[tokio::test]
async fn i12_whoever_made_a_token_gives_themselves_no_role_by_it() {
    let mut site = Site::open().await;
    let mut second = site.clinic.member(&mut site.admin, "second", &["tenant_admin"]).await;
    let own = token(&mut second, json!({"name": "Second"})).await;
    let own = Program { token: Some(text(&own["token"])), ..site.idp.clone() };
    let add = |id: &str| {
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "add", "path": "members", "value": [{"value": id}]}]})
    };
    let members = |id: &str| json!({"displayName": "nurse", "members": [{"value": id}]});
    refused(&scim(&own, Method::PATCH, NURSES, &add(&second.id), &[]).await, StatusCode::FORBIDDEN, None);
    refused(&scim(&own, Method::PUT, NURSES, &members(&second.id), &[]).await, StatusCode::FORBIDDEN, None);
    assert_eq!(
        second.program.get("/api/v1/me").await.expect(StatusCode::OK)["roles"],
        json!(["tenant_admin"])
    );
    // The control: by the token of the other one, who answers for it.
    let given = scim(&site.idp, Method::PATCH, NURSES, &add(&second.id), &[]).await;
    assert!(given.status.is_success(), "{}", given.body);
    site.clinic.close().await;
}

#[tokio::test]
async fn i12_a_token_works_while_whoever_made_it_runs_the_tenant_and_the_others_are_told() {
    let mut site = Site::open().await;
    let mut second = site.clinic.member(&mut site.admin, "second", &["tenant_admin"]).await;
    let mut officer = site.clinic.member(&mut site.admin, "officer", &["privacy_officer"]).await;
    let made = token(&mut second, json!({"name": "Second"})).await;
    let mut own = Program { token: Some(text(&made["token"])), ..site.idp.clone() };
    let works = async |site: &mut Site| {
        let listed = site.admin.program.get(TOKENS).await.expect(StatusCode::OK);
        let is = |token: &&Value| token["id"] == made["id"];
        listed["tokens"].as_array().unwrap().iter().find(is).unwrap()["works"].clone()
    };
    let told = async |member: &mut Member, kind: &str| {
        let notices = member.program.get("/api/v1/notices").await.expect(StatusCode::OK);
        notices["notices"].as_array().unwrap().iter().filter(|notice| notice["kind"] == kind).count()
    };
    assert_eq!(told(&mut officer, "provisioning_token_made").await, 1);
    assert_eq!(told(&mut second, "provisioning_token_made").await, 1);
    own.get(USERS).await.expect(StatusCode::OK);

    let person = format!("/api/v1/people/{}", second.id);
    let role = format!("{person}/roles/tenant_admin");
    site.admin.program.post(&format!("{person}/suspend"), &NONE).await.expect(StatusCode::NO_CONTENT);
    own.within_a_second(USERS, StatusCode::UNAUTHORIZED).await;
    assert_eq!(
        (works(&mut site).await, told(&mut officer, "provisioning_token_stopped").await),
        (json!(false), 1)
    );
    site.admin.program.post(&format!("{person}/reinstate"), &NONE).await.expect(StatusCode::NO_CONTENT);
    own.within_a_second(USERS, StatusCode::OK).await;
    assert_eq!(works(&mut site).await, json!(true));
    site.admin.program.send(Method::DELETE, &role, &NONE).await.expect(StatusCode::NO_CONTENT);
    own.within_a_second(USERS, StatusCode::UNAUTHORIZED).await;
    assert_eq!(told(&mut officer, "provisioning_token_stopped").await, 2);
    // The control: the token of somebody who does.
    site.get(USERS).await;
    site.clinic.close().await;
}

#[tokio::test]
async fn i12_a_token_does_not_survive_a_recovery_of_whoever_made_it() {
    let mut site = Site::open().await;
    let mut robbed = site.clinic.member(&mut site.admin, "robbed", &["tenant_admin"]).await;
    let mut third = site.clinic.member(&mut site.admin, "third", &["tenant_admin"]).await;
    let made = token(&mut robbed, json!({"name": "A thief's"})).await;
    let mut stolen = Program { token: Some(text(&made["token"])), ..site.idp.clone() };
    let path = format!("/api/v1/people/{}/recovery", robbed.id);
    let begun = site.admin.program.post(&path, &NONE).await.expect(StatusCode::CREATED);
    let approve = format!("/api/v1/recoveries/{}/approve", text(&begun["recovery"]["id"]));
    let approved = third.program.post(&approve, &NONE).await.expect(StatusCode::OK);
    let open = "UPDATE {s}.account_recovery SET opens_at = approved_at";
    site.clinic.as_superuser("operations", open).await;
    stolen.get(USERS).await.expect(StatusCode::OK);
    let both = json!({"token": approved["token"], "code": begun["code"]});
    site.clinic.program("acme").post("/api/v1/recovery/redeem", &both).await.expect(StatusCode::OK);
    stolen.within_a_second(USERS, StatusCode::UNAUTHORIZED).await;
    let listed = site.admin.program.get(TOKENS).await.expect(StatusCode::OK);
    let ids: Vec<_> = listed["tokens"].as_array().unwrap().iter().map(|token| token["id"].clone()).collect();
    assert_eq!(ids, [json!(site.token)], "the control: the others' stay");
    site.clinic.close().await;
}

#[tokio::test]
async fn i12_every_step_is_in_the_ledger_with_the_token_as_actor() {
    let mut site = Site::open().await;
    let before = site.clinic.entries().await.len();
    let id = site.add("a.one").await;
    let place = format!("{USERS}/{id}");
    site.patch(&place, json!([{"op": "replace", "path": "displayName", "value": "New"}, {"op": "replace", "path": "active", "value": false}]))
        .await
        .expect(StatusCode::OK);
    site.patch(NURSES, json!([{"op": "add", "path": "members", "value": [{"value": id}]}]))
        .await
        .expect(StatusCode::OK);
    site.scim(Method::DELETE, &place, &NONE).await.expect(StatusCode::NO_CONTENT);
    refused(&site.scim(Method::GET, &place, &NONE).await, StatusCode::NOT_FOUND, None);
    let entries = site.clinic.entries().await.split_off(before);
    let actions: Vec<String> =
        entries.iter().map(|entry| format!("{} {:?}", entry.action, entry.outcome)).collect();
    assert_eq!(
        actions,
        [
            "provision_person Permitted",
            "provision_list Permitted",
            "provision_person Permitted",
            "provision_suspend Permitted",
            "provision_list Permitted",
            "provision_role Permitted",
            "provision_list Permitted",
            "provision_end Permitted",
            "provision_list NotFound",
        ]
    );
    for entry in &entries {
        assert!(format!("{entry:?}").contains(&site.account), "the actor is the token's account: {entry:?}");
    }
    site.clinic.close().await;
}
