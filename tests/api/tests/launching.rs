//! I11: an app is opened from a chart ("EHR launch", SMART App Launch 2.2): for the app, the session and the chart that it was
//! opened for, once and for five minutes, and for nobody who may not read the chart.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    support::{Answer, Program},
    ward::{Ward, chart, created, parameter, registration},
};

const LAUNCH: &str = "https://app.example/launch?from=chart";
const SCOPES: &str = "launch patient/*.rs openid";

fn launchable() -> Value {
    let mut app = registration(SCOPES);
    app["initiate_login_uri"] = LAUNCH.into();
    app
}

async fn encounter(program: &mut Program, patient: &str) -> String {
    let subject = json!({"reference": format!("Patient/{patient}")});
    let body = json!({"status": "in-progress", "class": {"code": "AMB"}, "subject": subject});
    created(program, "Encounter", body).await
}

async fn open(program: &mut Program, client: &str, chart: &Value) -> Answer {
    program.post(&format!("/api/v1/apps/{client}/launch"), chart).await
}

impl Ward {
    async fn launchable() -> Self {
        let mut ward = Self::open_with(&launchable()).await;
        ward.approve().await;
        ward
    }

    async fn launch(&mut self, chart: &Value) -> String {
        let opened = open(&mut self.doctor.program, &self.client, chart).await.expect(StatusCode::OK);
        parameter(opened["launch_url"].as_str().unwrap(), "launch").unwrap()
    }

    /// The authorization request that the app makes of a launch.
    fn launched(&self, launch: &str) -> String {
        self.query(&[("scope", SCOPES), ("launch", launch)])
    }
}

#[tokio::test]
async fn i11_an_app_that_is_opened_from_a_chart_gets_that_chart() {
    let mut ward = Ward::launchable().await;
    let visit = encounter(&mut ward.doctor.program, &ward.own.clone()).await;
    let listed = ward.doctor.program.get("/api/v1/launchable-apps").await.expect(StatusCode::OK);
    assert_eq!(listed, json!({"apps": [{"client_id": ward.client, "client_name": "Growth Chart"}]}));
    let open_chart = json!({"patient": ward.own, "encounter": visit});
    let opened = open(&mut ward.doctor.program, &ward.client, &open_chart).await.expect(StatusCode::OK);
    let address = opened["launch_url"].as_str().unwrap();
    assert!(address.starts_with(LAUNCH), "{address}");
    assert_eq!(parameter(address, "iss"), Some(format!("{}/fhir/R4", ward.clinic.origin("acme"))));
    let query = ward.launched(&parameter(address, "launch").unwrap());
    assert_eq!(ward.authorize(&query).await.headers["location"], format!("/consent?{query}").as_str());
    let asked = ward.doctor.program.get(&format!("/api/v1/consent?{query}")).await.expect(StatusCode::OK);
    assert_eq!((&asked["patient"], &asked["launched_for"]), (&json!("known"), &json!(ward.own)));

    // Whoever says another patient than the chart is refused, and has not used the launch up.
    let named = ward.decide(&query, json!({"patient": ward.other})).await;
    assert_eq!(named.code(), "app-request-not-valid");
    let given = ward.decide(&query, json!({})).await.expect(StatusCode::OK);
    let code = parameter(given["redirect_to"].as_str().unwrap(), "code").unwrap();
    let token = ward.exchange(&code).await.expect(StatusCode::OK);
    assert_eq!(
        (&token["patient"], &token["encounter"], &token["need_patient_banner"], &token["scope"]),
        (&json!(ward.own), &json!(visit), &json!(true), &json!(SCOPES))
    );
    let access = token["access_token"].as_str().unwrap();
    let told = [("token", access), ("client_id", ward.client.as_str())];
    let told = ward.form("/oauth/introspect", &told).await.expect(StatusCode::OK);
    assert_eq!((&told["patient"], &told["encounter"]), (&json!(ward.own), &json!(visit)));
    let mut app = ward.app(&token);
    app.get(&format!("/fhir/R4/Patient/{}", ward.own)).await.expect(StatusCode::OK);
    assert_eq!(app.get(&format!("/fhir/R4/Patient/{}", ward.other)).await.status, StatusCode::NOT_FOUND);
    // The app itself opens none.
    assert_eq!(open(&mut app, &ward.client, &open_chart).await.status, StatusCode::FORBIDDEN);
    let entries = ward.clinic.entries().await;
    for action in ["launch_app", "allow_app"] {
        let entries: Vec<_> = entries.iter().filter(|entry| entry.action == action).collect();
        assert_eq!(entries.len(), 1, "{action}");
        assert!(entries[0].detail.is_some(), "which app and which chart");
    }
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_a_launch_that_does_not_count_lets_nobody_in() {
    let mut ward = Ward::launchable().await;
    let own = json!({"patient": ward.own});
    // Launch without the scope, and the scope without a launch: the app is told.
    for changes in [[("scope", SCOPES), ("launch", "")], [("scope", "patient/*.rs"), ("launch", "ckl_x")]] {
        let sent = ward.authorize(&ward.query(&changes)).await;
        let address = sent.headers["location"].to_str().unwrap();
        assert_eq!(parameter(address, "error").as_deref(), Some("invalid_request"), "{changes:?}");
    }
    // Made up; of another app; by somebody else; in another session of the same person.
    let refused = |answer: Answer, about: &str| {
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, "app-request-not-valid"),
            "{about}"
        );
        answer.without_instance()
    };
    let made_up = ward.launched("ckl_madeup");
    let made_up = refused(ward.decide(&made_up, json!({})).await, "made up");
    let launch = ward.launch(&own).await;
    let query = ward.launched(&launch);
    let other = ward.admin.program.post("/api/v1/apps", &launchable()).await.expect(StatusCode::CREATED);
    let (first, other) = (ward.client.clone(), other["client_id"].as_str().unwrap().to_owned());
    ward.client = other;
    ward.approve().await;
    let theirs = ward.launched(&launch);
    assert_eq!(refused(ward.decide(&theirs, json!({})).await, "another app's"), made_up);
    ward.client = first;
    let mut colleague = ward.clinic.member(&mut ward.admin, "dr.far", &["clinician"]).await;
    let yes = json!({"request": query, "allow": true});
    for path in ["/api/v1/consent".to_owned(), format!("/api/v1/consent?{query}")] {
        let method = if path.contains('?') { Method::GET } else { Method::POST };
        let body = if method == Method::POST { yes.clone() } else { Value::Null };
        assert_eq!(refused(colleague.program.send(method, &path, &body).await, "somebody else's"), made_up);
    }
    let mut elsewhere = ward.clinic.sign_in(&ward.doctor).await;
    assert_eq!(refused(elsewhere.post("/api/v1/consent", &yes).await, "another session's"), made_up);
    // None of that used it up; now it is, and comes again.
    ward.decide(&query, json!({})).await.expect(StatusCode::OK);
    assert_eq!(refused(ward.decide(&query, json!({})).await, "used"), made_up);

    let late = ward.launch(&own).await;
    let (late, in_time) = (ward.launched(&late), ward.launch(&own).await);
    ward.decide(&ward.launched(&in_time), json!({})).await.expect(StatusCode::OK);
    ward.clinic.clock.advance(Duration::from_secs(301));
    assert_eq!(refused(ward.decide(&late, json!({})).await, "expired"), made_up);
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_an_app_is_opened_only_from_a_chart_that_the_person_may_read_then_and_later() {
    let mut ward = Ward::launchable().await;
    let program = &mut ward.doctor.program;
    let (mine, theirs) = (encounter(program, &ward.own).await, encounter(program, &ward.other).await);
    let mut stranger = ward.clinic.member(&mut ward.admin, "dr.far", &["clinician"]).await;
    let (_, condition) = chart(&mut stranger.program, "Hidden").await;
    let absent = "0190f0f0-0000-7000-8000-000000000000";
    let opens = async |program: &mut Program, client: &str, patient: &str, visit: Option<&str>| {
        open(program, client, &json!({"patient": patient, "encounter": visit})).await
    };
    // A chart of others, a visit of another patient, what is no patient, and what is not there: one answer.
    let client = ward.client.clone();
    let nothing = opens(&mut stranger.program, &client, absent, None).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    for (client, patient, visit) in
        [(client.as_str(), ward.own.as_str(), None), (&client, "x", None), (&client, &condition, None)]
    {
        let answer = opens(&mut stranger.program, client, patient, visit).await;
        assert_eq!((answer.status, answer.code()), (nothing.status, nothing.code()), "{patient}");
    }
    let plain = ward.admin.program.post("/api/v1/apps", &registration("user/*.rs")).await;
    let plain = plain.expect(StatusCode::CREATED)["client_id"].as_str().unwrap().to_owned();
    let approve = format!("/api/v1/apps/{plain}/approve");
    ward.admin.program.post(&approve, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    let doctor = &mut ward.doctor.program;
    for (client, visit) in
        [(client.as_str(), theirs.as_str()), (&client, absent), (&plain, &mine), (absent, &mine)]
    {
        let answer = opens(doctor, client, &ward.own, Some(visit)).await;
        assert_eq!((answer.status, answer.code()), (nothing.status, nothing.code()), "{client} {visit}");
    }
    opens(doctor, &client, &ward.own, Some(&mine)).await.expect(StatusCode::OK);

    // Whoever may not read the chart any more when they are asked lets nobody in to it.
    let launch = ward.launch(&json!({"patient": ward.own})).await;
    let query = ward.launched(&launch);
    let mut manager = ward.clinic.member(&mut ward.admin, "manager", &["clinic_manager"]).await;
    let team = format!("/api/v1/patients/{}/care-team/{}", ward.own, ward.doctor.id);
    manager.program.send(Method::DELETE, &team, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(ward.decide(&query, json!({})).await.status, StatusCode::NOT_FOUND);
    manager.program.send(Method::PUT, &team, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    ward.decide(&query, json!({})).await.expect(StatusCode::OK);

    // An app that the tenant disabled is opened by nobody.
    let disable = format!("/api/v1/apps/{client}/disable");
    ward.admin.program.post(&disable, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    let answer = opens(&mut ward.doctor.program, &client, &ward.own, None).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let listed = ward.doctor.program.get("/api/v1/launchable-apps").await.expect(StatusCode::OK);
    assert_eq!(listed, json!({"apps": []}));
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_apps_are_listed_page_by_page_however_many_there_are() {
    let mut ward = Ward::launchable().await;
    // So many that none of the lists has them in one piece; those that were not approved are opened from no chart.
    let many = "INSERT INTO {s}.oauth_client
        SELECT (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid(), 'state',
                 CASE WHEN n % 2 = 0 THEN 'approved' ELSE 'pending' END))).*
          FROM {s}.oauth_client c, generate_series(1, 430) n";
    ward.clinic.as_superuser("operations", many).await;
    for (program, path, wanted) in [
        (&mut ward.admin.program, "/api/v1/apps", 431),
        (&mut ward.doctor.program, "/api/v1/launchable-apps", 216),
    ] {
        let (mut read, mut next) = (std::collections::BTreeSet::new(), String::new());
        loop {
            let page = program.get(&format!("{path}?limit=200{next}")).await.expect(StatusCode::OK);
            let apps = page["apps"].as_array().unwrap();
            assert!(apps.len() <= 200);
            read.extend(apps.iter().map(|app| app["client_id"].as_str().unwrap().to_owned()));
            let Some(last) = page["next"].as_str() else { break };
            next = format!("&after={last}");
        }
        assert_eq!(read.len(), wanted, "{path}");
        let short = program.get(path).await.expect(StatusCode::OK);
        assert_eq!(
            short["apps"].as_array().unwrap().len(),
            50,
            "so many in a page of which nobody said more"
        );
        assert_eq!(program.get(&format!("{path}?after=x")).await.status, StatusCode::BAD_REQUEST);
    }
    ward.clinic.close().await;
}
