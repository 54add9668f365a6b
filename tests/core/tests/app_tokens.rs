//! I11: codes, refresh tokens, secrets and assertions, over the tenant's own tables. What works once works once, and a second
//! use ends all that came of the first.

use std::{sync::Arc, time::Duration};

use carekeep_identity::{
    PlainToken,
    oauth::{Authentication, Challenge, ClientState, Registration},
    storage::{AppError, Chart, Client, Consent, Issued, PgRepository, Proof},
};
use carekeep_kernel::{ManualClock, ResourceId, SessionId, Timestamp};
use carekeep_policy::Role;
use carekeep_testkit::{Person, PersonSpec, Platform};
use carekeep_vault::{
    Caller, Vault,
    catalogue::{ManageTenant, ReadSettings},
};

use sqlx::Row as _;

use crate::support::as_superuser;

const REDIRECT: &str = "https://app.example/cb";
// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Desk {
    clock: Arc<ManualClock>,
    platform: Platform,
    vault: Arc<Vault>,
    people: PgRepository,
    boss: Person,
    ann: Person,
}

fn app() -> Registration {
    Registration {
        name: "Growth Chart".to_owned(),
        authentication: Authentication::Public,
        keys: None,
        redirect_uris: vec![REDIRECT.to_owned()],
        launch_uri: None,
        scopes: "patient/*.rs openid offline_access online_access".to_owned(),
        backend: false,
    }
}

fn consent<'a>(client: &'a Client, scopes: &'a str, chart: Option<Chart>) -> Consent<'a> {
    Consent {
        client,
        scopes,
        patient: chart.map(|chart| chart.patient),
        encounter: chart.and_then(|chart| chart.encounter),
        launch: None,
        offline: scopes.contains("offline_access"),
        redirect_uri: REDIRECT,
        challenge: Challenge::parse(Some(CHALLENGE), Some("S256")).unwrap(),
        nonce: Some("n"),
    }
}

impl Desk {
    async fn open() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000)));
        let platform = Platform::start_at(clock.clone()).await;
        let acme = platform.tenant("acme").await;
        let vault = platform.vault().await;
        let people = PgRepository::open(&vault, acme.id).await.unwrap();
        let boss = platform
            .person(acme.id, PersonSpec { roles: &[Role::TenantAdmin], ..PersonSpec::default() })
            .await;
        let ann = platform.person(acme.id, PersonSpec::default()).await;
        Self { clock, platform, vault, people, boss, ann }
    }

    async fn leave(&self) -> carekeep_vault::Authorized<ManageTenant> {
        let boss = self.boss.caller(&self.vault).await.unwrap();
        self.vault.authorize::<ManageTenant>(&boss, None).await.unwrap()
    }

    async fn registered(&self, registration: &Registration) -> (Client, Option<PlainToken>) {
        let (client, secret) = self.people.register_app(self.leave().await, registration).await.unwrap();
        assert!(
            self.people.approved_app(&client.id.to_string()).await.unwrap().is_none(),
            "nobody looked at it yet"
        );
        self.people.decide_app(self.leave().await, client.id, ClientState::Approved).await.unwrap();
        let client = self.people.approved_app(&client.id.to_string()).await.unwrap().unwrap();
        (client, secret)
    }

    async fn code(&self, client: &Client, scopes: &str) -> PlainToken {
        let consent = consent(client, scopes, None);
        let prepared = self.people.prepare_consent(&self.ann.caller(&self.vault).await.unwrap(), &consent);
        self.people.consent(prepared.unwrap()).await.unwrap()
    }

    async fn exchange(&self, client: &Client, code: &str) -> Result<Issued, AppError> {
        self.exchange_with(client, code, (REDIRECT, VERIFIER)).await
    }

    async fn exchange_with(
        &self,
        client: &Client,
        code: &str,
        proof: (&str, &str),
    ) -> Result<Issued, AppError> {
        self.people.give_tokens(self.people.exchange_code(client, code, proof).await?).await
    }

    async fn refresh(&self, client: &Client, issued: &Issued) -> Result<Issued, AppError> {
        let token = issued.refresh.as_ref().unwrap().reveal().to_owned();
        let prepared = self.people.refresh(client, &token, &|granted| Some(granted.to_owned())).await?;
        self.people.give_tokens(prepared).await
    }

    async fn opens(&self, issued: &Issued) -> bool {
        let person = Person { token: issued.access.reveal().to_owned(), ..self.ann.clone() };
        // Longer than a row is trusted.
        tokio::time::sleep(Duration::from_millis(950)).await;
        person.caller(&self.vault).await.is_ok()
    }
}

fn refused<T>(result: Result<T, AppError>) -> &'static str {
    match result {
        Err(AppError::Refused(error)) => error.code,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("accepted"),
    }
}

#[tokio::test]
async fn i11_a_code_works_once_and_its_second_use_ends_what_the_first_gave() {
    let desk = Desk::open().await;
    let (client, _) = desk.registered(&app()).await;
    let code = desk.code(&client, "patient/*.rs offline_access").await;
    let issued = desk.exchange(&client, code.reveal()).await.unwrap();
    assert_eq!((issued.nonce.as_deref(), issued.person), (Some("n"), desk.ann.id));
    assert!(desk.opens(&issued).await);
    assert_eq!(refused(desk.exchange(&client, code.reveal()).await), "invalid_grant");
    assert!(!desk.opens(&issued).await);
    assert_eq!(refused(desk.refresh(&client, &issued).await), "invalid_grant");
}

#[tokio::test]
async fn i11_a_used_code_and_a_used_refresh_token_end_the_family_however_late_they_come_again() {
    for of_code in [true, false] {
        let desk = Desk::open().await;
        let (client, _) = desk.registered(&app()).await;
        let code = desk.code(&client, "patient/*.rs offline_access").await;
        let first = desk.exchange(&client, code.reveal()).await.unwrap();
        let mut last = desk.refresh(&client, &first).await.unwrap();
        // Another consent makes what is over be forgotten, and each refresh what is over of the family, which lives on long after
        // both have lapsed.
        desk.clock.advance(Duration::from_secs(301));
        desk.code(&client, "openid").await;
        for _ in 0..3 {
            desk.clock.advance(Duration::from_secs(20 * 24 * 3600));
            last = desk.refresh(&client, &last).await.unwrap();
        }
        let again = if of_code {
            desk.exchange(&client, code.reveal()).await
        } else {
            desk.refresh(&client, &first).await
        };
        assert_eq!(refused(again), "invalid_grant");
        assert_eq!(refused(desk.refresh(&client, &last).await), "invalid_grant", "of a code: {of_code}");
    }
}

#[tokio::test]
async fn i11_a_code_is_for_its_app_its_address_its_verifier_and_a_minute() {
    let desk = Desk::open().await;
    let (client, _) = desk.registered(&app()).await;
    let (other, _) = desk.registered(&app()).await;
    let good = || desk.code(&client, "openid");
    let code = good().await;
    assert_eq!(refused(desk.exchange(&other, code.reveal()).await), "invalid_grant");
    assert!(desk.exchange(&client, code.reveal()).await.is_ok(), "somebody else did not use it up");
    let other_verifier = VERIFIER.replace('d', "e");
    for (redirect, verifier) in [
        ("https://app.example/cb/", VERIFIER),
        ("", VERIFIER),
        (REDIRECT, other_verifier.as_str()),
        (REDIRECT, CHALLENGE),
        (REDIRECT, ""),
    ] {
        let code = good().await;
        let tried = desk.exchange_with(&client, code.reveal(), (redirect, verifier)).await;
        assert_eq!(refused(tried), "invalid_grant", "{redirect} {verifier}");
        assert_eq!(refused(desk.exchange(&client, code.reveal()).await), "invalid_grant", "it is spent");
    }
    let code = good().await;
    desk.clock.advance(Duration::from_secs(59));
    assert!(desk.exchange(&client, code.reveal()).await.is_ok());
    let code = good().await;
    desk.clock.advance(Duration::from_secs(60));
    assert_eq!(refused(desk.exchange(&client, code.reveal()).await), "invalid_grant");
    assert_eq!(refused(desk.exchange(&client, "cko_x").await), "invalid_grant");
}

#[tokio::test]
async fn i11_of_fifty_at_once_one_gets_tokens_for_a_code() {
    let desk = Desk::open().await;
    let (client, _) = desk.registered(&app()).await;
    let code = desk.code(&client, "openid").await;
    let tried = (0..50).map(|_| {
        let (people, client, code) = (desk.people.clone(), client.clone(), code.reveal().to_owned());
        tokio::spawn(async move {
            match people.exchange_code(&client, &code, (REDIRECT, VERIFIER)).await {
                Ok(prepared) => people.give_tokens(prepared).await.is_ok(),
                Err(_) => false,
            }
        })
    });
    let mut won = 0;
    for one in tried.collect::<Vec<_>>() {
        won += usize::from(one.await.unwrap());
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn i11_a_code_is_worth_nothing_once_its_person_is_gone() {
    let desk = Desk::open().await;
    let (client, _) = desk.registered(&app()).await;
    let schema = desk.ann.tenant.schema();
    for (gone, back) in [
        ("UPDATE {s}.session SET revoked_at = now()", "UPDATE {s}.session SET revoked_at = NULL"),
        ("UPDATE {s}.person SET suspended_at = now()", "UPDATE {s}.person SET suspended_at = NULL"),
    ] {
        let code = desk.code(&client, "openid").await;
        as_superuser(&desk.platform, "operations", gone.replace("{s}", &schema)).await;
        assert_eq!(refused(desk.exchange(&client, code.reveal()).await), "invalid_grant", "{gone}");
        as_superuser(&desk.platform, "operations", back.replace("{s}", &schema)).await;
        tokio::time::sleep(Duration::from_millis(950)).await;
        let code = desk.code(&client, "openid").await;
        assert!(desk.exchange(&client, code.reveal()).await.is_ok(), "{back}");
    }
}

#[tokio::test]
async fn i11_what_a_disabled_app_held_stays_dead_when_it_is_approved_again() {
    let desk = Desk::open().await;
    let (client, _) = desk.registered(&app()).await;
    let code = desk.code(&client, "patient/*.rs offline_access").await;
    let issued = desk.exchange(&client, code.reveal()).await.unwrap();
    assert!(desk.opens(&issued).await);
    for state in [ClientState::Disabled, ClientState::Approved] {
        desk.people.decide_app(desk.leave().await, client.id, state).await.unwrap();
    }
    assert!(!desk.opens(&issued).await);
    assert_eq!(refused(desk.refresh(&client, &issued).await), "invalid_grant");
    let code = desk.code(&client, "patient/*.rs offline_access").await;
    assert!(desk.exchange(&client, code.reveal()).await.is_ok(), "the person may let it in again");
}

#[tokio::test]
async fn i11_a_fault_of_the_database_uses_nothing_up() {
    let desk = Desk::open().await;
    let (client, _) = desk.registered(&app()).await;
    let code = desk.code(&client, "patient/*.rs offline_access").await;
    let schema = desk.ann.tenant.schema();
    let rights = |what: &str| format!("{what} INSERT ON {schema}.oauth_token");
    let (take, give) =
        (format!("{} FROM {schema}_o", rights("REVOKE")), format!("{} TO {schema}_o", rights("GRANT")));
    as_superuser(&desk.platform, "operations", take.clone()).await;
    assert!(matches!(desk.exchange(&client, code.reveal()).await, Err(AppError::Unavailable(_))));
    as_superuser(&desk.platform, "operations", give.clone()).await;
    let issued = desk.exchange(&client, code.reveal()).await.unwrap();
    as_superuser(&desk.platform, "operations", take).await;
    assert!(matches!(desk.refresh(&client, &issued).await, Err(AppError::Unavailable(_))));
    as_superuser(&desk.platform, "operations", give).await;
    assert!(desk.refresh(&client, &issued).await.is_ok());
}

#[tokio::test]
async fn i11_refresh_reuse_kills_the_family() {
    let desk = Desk::open().await;
    let (client, _) = desk.registered(&app()).await;
    let code = desk.code(&client, "patient/*.rs offline_access").await;
    let first = desk.exchange(&client, code.reveal()).await.unwrap();
    let second = desk.refresh(&client, &first).await.unwrap();
    let third = desk.refresh(&client, &second).await.unwrap();
    assert!(desk.opens(&first).await && desk.opens(&second).await && desk.opens(&third).await);
    assert_eq!(refused(desk.refresh(&client, &first).await), "invalid_grant");
    for issued in [&first, &second, &third] {
        assert!(!desk.opens(issued).await);
    }
    assert_eq!(refused(desk.refresh(&client, &third).await), "invalid_grant");
}

#[tokio::test]
async fn i11_a_refresh_token_is_its_apps_narrows_and_ends_in_time() {
    let desk = Desk::open().await;
    let (client, _) = desk.registered(&app()).await;
    let (other, _) = desk.registered(&app()).await;
    let code = desk.code(&client, "patient/*.rs offline_access").await;
    let issued = desk.exchange(&client, code.reveal()).await.unwrap();
    assert_eq!(refused(desk.refresh(&other, &issued).await), "invalid_grant");
    let token = issued.refresh.as_ref().unwrap().reveal();
    assert_eq!(refused(desk.people.refresh(&client, token, &|_| None).await), "invalid_scope");
    // A token of another kind is no refresh token.
    for wrong in [issued.access.reveal(), code.reveal(), "ckr_x", &token[..46]] {
        let tried = desk.people.refresh(&client, wrong, &|granted| Some(granted.to_owned())).await;
        assert_eq!(refused(tried), "invalid_grant");
    }
    let narrowed = desk.people.refresh(&client, token, &|_| Some("patient/*.r".to_owned())).await.unwrap();
    let narrowed = desk.people.give_tokens(narrowed).await.unwrap();
    assert_eq!(narrowed.scopes, "patient/*.r");
    desk.clock.advance(Duration::from_secs(30 * 24 * 3600));
    assert_eq!(refused(desk.refresh(&client, &narrowed).await), "invalid_grant");
}

#[tokio::test]
async fn i11_without_offline_access_nothing_outlives_the_session() {
    let desk = Desk::open().await;
    let (client, _) = desk.registered(&app()).await;
    let plain = desk.code(&client, "patient/*.rs").await;
    assert!(desk.exchange(&client, plain.reveal()).await.unwrap().refresh.is_none());
    let code = desk.code(&client, "patient/*.rs online_access").await;
    let online = desk.exchange(&client, code.reveal()).await.unwrap();
    let code = desk.code(&client, "patient/*.rs offline_access").await;
    let offline = desk.exchange(&client, code.reveal()).await.unwrap();
    let schema = desk.ann.tenant.schema();
    let sign_out = format!("UPDATE {schema}.session SET revoked_at = now() WHERE person = '{}'", desk.ann.id);
    as_superuser(&desk.platform, "operations", sign_out).await;
    assert_eq!(refused(desk.refresh(&client, &online).await), "invalid_grant");
    assert!(!desk.opens(&online).await && desk.opens(&offline).await);
    assert!(desk.refresh(&client, &offline).await.is_ok());
    let leave = format!("UPDATE {schema}.person SET left_at = now() WHERE id = '{}'", desk.ann.id);
    as_superuser(&desk.platform, "operations", leave).await;
    assert!(!desk.opens(&offline).await);
}

#[tokio::test]
async fn i11_a_person_sees_and_withdraws_what_they_allowed_and_nobody_elses() {
    let desk = Desk::open().await;
    let (client, _) = desk.registered(&app()).await;
    let code = desk.code(&client, "patient/*.rs offline_access").await;
    let issued = desk.exchange(&client, code.reveal()).await.unwrap();
    let (ann, boss) =
        (desk.ann.caller(&desk.vault).await.unwrap(), desk.boss.caller(&desk.vault).await.unwrap());
    let grants = desk.people.app_grants(&ann).await.unwrap();
    assert_eq!((grants.len(), grants[0].app.as_str(), grants[0].offline), (1, "Growth Chart", true));
    let id = SessionId::from_uuid(grants[0].id);
    assert!(desk.people.app_grants(&boss).await.unwrap().is_empty());
    assert!(matches!(desk.people.withdraw_app_grant(&boss, id).await, Err(AppError::NotFound)));
    // An app sees and withdraws none, and lets no other app in.
    let as_app = Person { token: issued.access.reveal().to_owned(), ..desk.ann.clone() };
    let as_app = as_app.caller(&desk.vault).await.unwrap();
    assert!(matches!(desk.people.app_grants(&as_app).await, Err(AppError::OwnSession)));
    assert!(matches!(desk.people.withdraw_app_grant(&as_app, id).await, Err(AppError::OwnSession)));
    assert!(desk.people.introspect(&client, issued.access.reveal()).await.unwrap().is_some());
    desk.people.withdraw_app_grant(&ann, id).await.unwrap();
    assert!(desk.people.introspect(&client, issued.access.reveal()).await.unwrap().is_none());
    assert!(!desk.opens(&issued).await);
    assert!(desk.people.app_grants(&ann).await.unwrap().is_empty());
}

#[tokio::test]
async fn i11_a_token_is_told_about_and_revoked_by_its_own_app_only() {
    let desk = Desk::open().await;
    let (client, _) = desk.registered(&app()).await;
    let (other, _) = desk.registered(&app()).await;
    let code = desk.code(&client, "patient/*.rs offline_access").await;
    let issued = desk.exchange(&client, code.reveal()).await.unwrap();
    let (access, refresh) = (issued.access.reveal(), issued.refresh.as_ref().unwrap().reveal());
    assert_eq!(
        desk.people.introspect(&client, access).await.unwrap().unwrap().scopes,
        "patient/*.rs offline_access"
    );
    assert_eq!(desk.people.introspect(&other, access).await.unwrap(), None);
    desk.people.revoke_app_token(&other, access).await.unwrap();
    desk.people.revoke_app_token(&other, refresh).await.unwrap();
    assert!(desk.opens(&issued).await);
    desk.people.revoke_app_token(&client, access).await.unwrap();
    assert!(!desk.opens(&issued).await);
    let next = desk.refresh(&client, &issued).await.unwrap();
    assert!(desk.opens(&next).await);
    desk.people.revoke_app_token(&client, next.refresh.as_ref().unwrap().reveal()).await.unwrap();
    assert!(!desk.opens(&next).await);
}

#[tokio::test]
async fn i11_an_app_is_who_it_proves_to_be_and_approved() {
    let desk = Desk::open().await;
    let secret = Registration { authentication: Authentication::Secret, ..app() };
    let ((public, _), (confidential, secret)) =
        (desk.registered(&app()).await, desk.registered(&secret).await);
    let secret = secret.unwrap();
    let (public, confidential) = (public.id.to_string(), confidential.id.to_string());
    let tried = async |id: &str, proof: Proof<'_>| desk.people.authenticate_app(id, proof).await;
    assert!(tried(&public, Proof::None).await.is_ok());
    assert!(tried(confidential.as_str(), Proof::Secret(secret.reveal())).await.is_ok());
    let no = "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e";
    for (id, proof) in [
        (public.as_str(), Proof::Secret(secret.reveal())),
        (confidential.as_str(), Proof::None),
        (confidential.as_str(), Proof::Secret("ckx_x")),
        (confidential.as_str(), Proof::Assertion("a.b.c", "https://acme.example/oauth/token")),
        (no, Proof::None),
        ("nobody", Proof::None),
        ("", Proof::None),
    ] {
        assert_eq!(refused(tried(id, proof).await), "invalid_client");
    }
    let id = desk.people.approved_app(&public).await.unwrap().unwrap().id;
    desk.people.decide_app(desk.leave().await, id, ClientState::Disabled).await.unwrap();
    assert_eq!(refused(tried(&public, Proof::None).await), "invalid_client");
    desk.people.remove_app(desk.leave().await, id).await.unwrap();
    let boss = desk.boss.caller(&desk.vault).await.unwrap();
    let leave = desk.vault.authorize::<ReadSettings>(&boss, None).await.unwrap();
    assert_eq!(desk.people.apps(leave, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn i11_a_launch_is_for_one_app_one_session_and_once() {
    let desk = Desk::open().await;
    let mut launchable = app();
    launchable.launch_uri = Some("https://app.example/launch".to_owned());
    launchable.scopes = "launch patient/*.rs".to_owned();
    let ((client, _), (other, _)) = (desk.registered(&launchable).await, desk.registered(&launchable).await);
    let (plain, _) = desk.registered(&app()).await;
    let (ann, boss) =
        (desk.ann.caller(&desk.vault).await.unwrap(), desk.boss.caller(&desk.vault).await.unwrap());
    let elsewhere = desk.platform.another_session(&desk.ann).await.caller(&desk.vault).await.unwrap();
    assert_eq!(elsewhere.person(), ann.person());
    let fresh = || ResourceId::generate(&*desk.platform.clock, &*desk.platform.random);
    let chart = Chart { patient: fresh(), encounter: Some(fresh()) };
    assert!(matches!(desk.people.launch_app(&ann, &plain, chart).await, Err(AppError::NotFound)));
    let launchable = desk.people.launchable_apps(&ann, None, 10).await.unwrap();
    assert_eq!(launchable.len(), 2);
    assert!(launchable.iter().all(|app| [client.id, other.id].contains(&app.id)));

    let launch = desk.people.launch_app(&ann, &client, chart).await.unwrap();
    let asked = async |by: &Caller, app: &Client| desk.people.launched(by, app, launch.reveal()).await;
    assert_eq!(refused(asked(&boss, &client).await), "invalid_request");
    assert_eq!(refused(asked(&elsewhere, &client).await), "invalid_request");
    assert_eq!(refused(asked(&ann, &other).await), "invalid_request");
    assert_eq!(refused(desk.people.launched(&ann, &client, "ckl_x").await), "invalid_request");
    // Two consents to one launch, both prepared before either is given: one is first.
    let (one, two) = (asked(&ann, &client).await.unwrap(), asked(&ann, &client).await.unwrap());
    assert_eq!(one.chart, chart);
    let prepare = |launch| {
        let consent =
            Consent { launch: Some(launch), ..consent(&client, "launch patient/*.rs", Some(chart)) };
        desk.people.prepare_consent(&ann, &consent).unwrap()
    };
    let (one, two) = (prepare(&one), prepare(&two));
    let (one, two) = tokio::join!(desk.people.consent(one), desk.people.consent(two));
    let (given, late) = if one.is_ok() { (one, two) } else { (two, one) };
    assert_eq!(refused(late), "invalid_request");
    let issued = desk.exchange(&client, given.unwrap().reveal()).await.unwrap();
    assert_eq!((issued.patient, issued.encounter), (Some(chart.patient), chart.encounter));
    assert_eq!(refused(asked(&ann, &client).await), "invalid_request");
    assert_eq!(desk.people.app_grants(&ann).await.unwrap().len(), 1, "what came second left nothing");

    let late = desk.people.launch_app(&ann, &client, chart).await.unwrap();
    desk.clock.advance(Duration::from_secs(299));
    assert!(desk.people.launched(&ann, &client, late.reveal()).await.is_ok());
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(refused(desk.people.launched(&ann, &client, late.reveal()).await), "invalid_request");
}

#[tokio::test]
async fn i11_signing_keys_are_the_tenants_sealed_and_change() {
    let desk = Desk::open().await;
    assert!(desk.people.published_keys().await.unwrap().is_empty());
    let made = tokio::join!(desk.people.signing_key(), desk.people.signing_key());
    let (one, two) = (made.0.unwrap().public_jwk().unwrap(), made.1.unwrap().public_jwk().unwrap());
    assert_eq!(one, two, "of two at once one is first");
    assert_eq!(desk.people.published_keys().await.unwrap(), std::slice::from_ref(&one));
    desk.clock.advance(Duration::from_secs(90 * 24 * 3600));
    let next = desk.people.signing_key().await.unwrap().public_jwk().unwrap();
    assert_eq!(
        desk.people.published_keys().await.unwrap(),
        [next.clone(), one],
        "what the old one signed still verifies"
    );
    desk.clock.advance(Duration::from_secs(301));
    assert_eq!(desk.people.published_keys().await.unwrap(), [next]);
    let bolt = desk.platform.tenant("bolt").await;
    desk.vault.directory().refresh().await.unwrap();
    let other = PgRepository::open(&desk.vault, bolt.id).await.unwrap();
    let theirs = other.signing_key().await.unwrap().public_jwk().unwrap();
    let published = desk.people.published_keys().await.unwrap();
    assert!(published.iter().all(|ours| ours["n"] != theirs["n"]), "each tenant has its own");
}

/// How much there is of everything that apps hold.
async fn held(desk: &Desk) -> [i64; 6] {
    let schema = desk.ann.tenant.schema();
    let pool = desk.platform.superuser("operations");
    let mut counts = [0; 6];
    let tables = ["grant", "code", "token", "launch", "assertion", "signing_key"];
    for (count, table) in counts.iter_mut().zip(tables) {
        let sql = format!("SELECT count(*) FROM {schema}.oauth_{table}");
        *count = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap().get(0);
    }
    pool.close().await;
    counts
}

#[tokio::test]
async fn i11_what_is_over_is_forgotten_and_what_lives_is_kept() {
    let desk = Desk::open().await;
    let mut launchable = app();
    launchable.launch_uri = Some("https://app.example/launch".to_owned());
    launchable.scopes = "launch patient/*.rs offline_access".to_owned();
    let (client, _) = desk.registered(&launchable).await;
    desk.registered(&app()).await;
    let ann = desk.ann.caller(&desk.vault).await.unwrap();
    let patient = ResourceId::generate(&*desk.platform.clock, &*desk.platform.random);
    let open = async || {
        let chart = Chart { patient, encounter: None };
        desk.people.launch_app(&ann, &client, chart).await.unwrap();
    };
    // One that a session ends, one that is withdrawn, one that is used every day, one that nobody uses again.
    for scopes in ["patient/*.rs", "patient/*.rs offline_access", "launch offline_access", "offline_access"] {
        let code = desk.code(&client, scopes).await;
        desk.exchange(&client, code.reveal()).await.unwrap();
    }
    desk.people.signing_key().await.unwrap();
    open().await;
    let schema = desk.ann.tenant.schema();
    let more = format!(
        "UPDATE {schema}.oauth_grant SET revoked_at = created_at WHERE scopes = 'patient/*.rs offline_access';
         INSERT INTO {schema}.oauth_assertion SELECT id, sha256('x'),
           CASE WHEN id = '{}' THEN created_at ELSE created_at + interval '1 hour' END FROM {schema}.oauth_client",
        client.id
    );
    as_superuser(&desk.platform, "operations", more).await;
    assert_eq!(held(&desk).await, [4, 4, 7, 1, 2, 1]);

    desk.clock.advance(Duration::from_secs(301));
    open().await;
    // Grants, their used codes, the three refresh tokens and the other app's assertion, of the same `jti`, live on; the new launch
    // is there.
    assert_eq!(held(&desk).await, [4, 4, 3, 1, 1, 1]);
    desk.clock.advance(Duration::from_secs(24 * 3600));
    let used = format!(
        "UPDATE {schema}.oauth_grant SET last_used_at = now() + interval '40 years' WHERE scopes LIKE 'launch%'"
    );
    as_superuser(&desk.platform, "operations", used).await;
    open().await;
    assert_eq!(
        held(&desk).await,
        [2, 2, 2, 1, 0, 1],
        "what the session ended and what was withdrawn is gone"
    );
    desk.clock.advance(Duration::from_secs(30 * 24 * 3600));
    open().await;
    assert_eq!(held(&desk).await, [1, 1, 0, 1, 0, 1], "so is what nobody used");
    desk.clock.advance(Duration::from_secs(90 * 24 * 3600));
    desk.people.signing_key().await.unwrap();
    assert_eq!(held(&desk).await[5], 2, "what the old key signed still verifies");
    desk.clock.advance(Duration::from_secs(2 * 24 * 3600));
    open().await;
    assert_eq!(held(&desk).await[5], 1);
}
