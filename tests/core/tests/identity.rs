//! I1, I2, I3, I7: identity on a real Postgres, with the vault that knows its sessions.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use carekeep_identity::{
    PlainToken,
    passkey::{Mediation, RelyingParty},
    password::{HashSettings, PasswordHashes},
    service::{
        Audience, Identity, IdentityError, LoginName, Ready, Repository, Shared, SignedIn, TenantSettings,
        repository::{FactorChange, NewFactor, Written},
    },
    session::Activity,
    storage::{Invited, NewPerson, PeopleError, PersonStatus, PgRepository},
    totp::{self, Step, TotpSecret},
};
use carekeep_kernel::{Clock, CredentialId, ManualClock, PersonId, TenantId, Timestamp};
use carekeep_policy::{Aal, DenyReason, ResourceKind, Role};
use carekeep_tenancy::TenantRecord;
use carekeep_testkit::{PersonSpec, Platform};
use carekeep_vault::{
    AccessError, Caller, Origin, Planned, SecretColumn, SecretPlace, SessionError, Vault,
    catalogue::{GrantRole, InvitePerson, ListPeople, SuspendPerson},
};
use sqlx::{AssertSqlSafe, Row};
use webauthn_authenticator_rs::{WebauthnAuthenticator, softpasskey::SoftPasskey};
use webauthn_rs::prelude::Url;
use webauthn_rs_proto::AllowCredentials;

use crate::support::{as_superuser, count, draft, write};

const PASSWORD: &str = "pelican tangerine ledger";

type Service = Arc<Identity<PgRepository>>;

/// A tenant with identity, as one process of the gateway sees it.
struct Clinic {
    platform: Platform,
    clock: Arc<ManualClock>,
    tenant: TenantRecord,
    vault: Arc<Vault>,
    identity: Service,
}

/// Somebody who is set up with password and code generator, and the token of that session.
struct Person {
    id: PersonId,
    login: String,
    secret: TotpSecret,
    token: String,
}

fn origin() -> Origin {
    Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), request: [7; 16], activity: Activity::Use }
}

async fn service(platform: &Platform, vault: &Arc<Vault>, tenant: TenantId) -> Service {
    let repository = PgRepository::open(vault, tenant).await.unwrap();
    let party = RelyingParty::new(tenant, "acme.localhost", 8443, "Clinic acme").unwrap();
    let passwords = PasswordHashes::new(HashSettings::default(), &*platform.random).unwrap();
    let shared =
        Shared { clock: Arc::clone(&platform.clock), random: Arc::clone(&platform.random), passwords };
    Arc::new(Identity::new(repository, party, TenantSettings::default(), shared))
}

/// Lets a step take effect that succeeded so far.
async fn done(
    identity: &Identity<PgRepository>,
    step: Result<Ready, IdentityError>,
) -> Result<SignedIn, IdentityError> {
    identity.take_effect(step?).await
}

fn newcomer<'a>(login: &'a LoginName, name: &'a str, roles: &[&str]) -> NewPerson<'a> {
    NewPerson {
        login,
        name,
        audience: Audience::Staff,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        practitioner: None,
    }
}

impl Clinic {
    async fn open() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_010_000_000)));
        let platform = Platform::start_at(Arc::clone(&clock) as Arc<dyn Clock>).await;
        let tenant = platform.tenant("acme").await;
        let vault = platform.vault().await;
        let identity = service(&platform, &vault, tenant.id).await;
        Self { platform, clock, tenant, vault, identity }
    }

    fn people(&self) -> &PgRepository {
        self.identity.repository()
    }

    fn next_step(&self) {
        self.clock.advance(Duration::from_secs(30));
    }

    /// The first person, a tenant administrator, set up.
    async fn admin(&self) -> Person {
        let login = LoginName::parse("boss").unwrap();
        let invited = self.people().found(newcomer(&login, "The Boss", &["tenant_admin"])).await.unwrap();
        self.enrol("boss", invited).await
    }

    /// Somebody whom the administrator invites, set up.
    async fn person(&self, admin: &Person, login: &str, role: &str) -> Person {
        let invited = self.invite(admin, login, role).await;
        self.enrol(login, invited).await
    }

    async fn invite(&self, admin: &Person, login: &str, role: &str) -> Invited {
        let caller = self.caller(&admin.token).await.unwrap();
        let leave = self.vault.authorize::<InvitePerson>(&caller, None).await.unwrap();
        let login = LoginName::parse(login).unwrap();
        self.people().invite_person(leave, newcomer(&login, "Dr. Some Body", &[role])).await.unwrap()
    }

    async fn enrol(&self, login: &str, invited: Invited) -> Person {
        let enrolling = done(&self.identity, self.identity.accept_invite(invited.token.reveal(), None).await)
            .await
            .unwrap();
        let token = enrolling.token.reveal();
        assert!(matches!(self.caller(token).await, Err(SessionError::Unfinished)), "enrolling");
        let words = PASSWORD.to_owned().into();
        let half =
            done(&self.identity, self.identity.set_password(token, words, Vec::new()).await).await.unwrap();
        assert!(matches!(self.caller(half.token.reveal()).await, Err(SessionError::Unfinished)), "half");
        let shown = self.identity.begin_totp(half.token.reveal(), "Clinic acme", login).await.unwrap();
        let bytes = data_encoding::BASE32_NOPAD.decode(shown.secret.as_bytes()).unwrap();
        let secret = TotpSecret::from_bytes(bytes.try_into().unwrap());
        let code = totp::code_at(&secret, self.clock.now());
        let whole =
            done(&self.identity, self.identity.confirm_totp(half.token.reveal(), &code).await).await.unwrap();
        self.next_step();
        let token = whole.token.reveal().to_owned();
        Person { id: invited.person, login: login.to_owned(), secret, token }
    }

    async fn password(&self, login: &str, password: &str) -> Result<SignedIn, IdentityError> {
        self.identity.sign_in_with_password(login, password, None).await
    }

    fn code(&self, person: &Person) -> String {
        totp::code_at(&person.secret, self.clock.now())
    }

    async fn sign_in(&self, person: &Person) -> PlainToken {
        let pending = self.password(&person.login, PASSWORD).await.unwrap();
        let whole = self.identity.prove_code(pending.token.reveal(), &self.code(person)).await.unwrap();
        self.next_step();
        whole.token
    }

    async fn caller(&self, token: &str) -> Result<Caller, SessionError> {
        self.vault.authenticate(self.tenant.id, token, origin()).await
    }

    async fn audit_entries(&self) -> i64 {
        let sql = format!("SELECT count(*) FROM {}.audit_entry", self.tenant.id.schema());
        let clinical = self.platform.superuser("clinical");
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&clinical).await.unwrap().get(0)
    }
}

/// Runs `count` attempts at once; how many answered yes.
async fn race<F>(count: usize, attempt: impl Fn(usize) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|index| tokio::spawn(attempt(index))).collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    won
}

#[tokio::test(flavor = "multi_thread")]
async fn i7_whoever_is_invited_enrols_signs_in_and_is_a_caller_with_two_factors() {
    let clinic = Clinic::open().await;
    let bolt = clinic.platform.tenant("bolt").await;
    clinic.vault.directory().refresh().await.unwrap();
    let admin = clinic.admin().await;
    let invited = clinic.invite(&admin, "ada@acme.example", "clinician").await;
    let link = invited.token.reveal().to_owned();
    let ada = clinic.enrol("ada@acme.example", invited).await;
    assert!(matches!(
        done(&clinic.identity, clinic.identity.accept_invite(&link, None).await).await,
        Err(IdentityError::Invite(_))
    ));

    // The name as people type it.
    let pending = clinic.password(" Ada@ACME.example ", PASSWORD).await.unwrap();
    assert!(matches!(clinic.caller(pending.token.reveal()).await, Err(SessionError::Unfinished)));
    let whole = clinic.identity.prove_code(pending.token.reveal(), &clinic.code(&ada)).await.unwrap();
    let token = whole.token.reveal();
    let caller = clinic.caller(token).await.unwrap();
    assert_eq!((caller.aal(), caller.person(), caller.session()), (Aal::Two, ada.id, whole.session.id));
    assert!(caller.roles().contains(Role::Clinician) && !caller.roles().contains(Role::TenantAdmin));
    let profile = clinic.people().profile_of_caller(&caller).await.unwrap();
    assert_eq!((profile.login.as_str(), profile.name.as_str()), ("ada@acme.example", "Dr. Some Body"));

    for (tenant, token) in [(clinic.tenant.id, pending.token.reveal()), (bolt.id, token), (bolt.id, "cks_x")]
    {
        let refused = clinic.platform.vault().await.authenticate(tenant, token, origin()).await;
        assert!(matches!(refused, Err(SessionError::Unknown)));
    }
    let listed = clinic.identity.list_sessions(token).await.unwrap();
    assert_eq!(listed.len(), 2, "the one of the enrolment and this one");
    clinic.identity.sign_out(token).await.unwrap();
    assert!(matches!(clinic.identity.list_sessions(token).await, Err(IdentityError::NoSession)));
}

#[tokio::test(flavor = "multi_thread")]
async fn i2_a_code_counts_once_also_when_twenty_present_it_at_the_same_moment() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let mut pending = Vec::new();
    for _ in 0..20 {
        pending.push(clinic.password("boss", PASSWORD).await.unwrap().token.reveal().to_owned());
    }
    let code = clinic.code(&admin);
    let won = race(20, |index| {
        let (identity, token, code) = (Arc::clone(&clinic.identity), pending[index].clone(), code.clone());
        async move { identity.prove_code(&token, &code).await.is_ok() }
    })
    .await;
    assert_eq!(won, 1, "sessions that the code completed");
    // The limit on guesses stops most of them before; the step itself is taken once, too.
    let record = clinic.people().totp(admin.id).await.unwrap().unwrap();
    let next = Step(record.last_used.unwrap().0 + 1);
    let won = race(20, |_| {
        let identity = Arc::clone(&clinic.identity);
        async move { identity.repository().use_totp_step(record.id, next).await.unwrap() }
    })
    .await;
    assert_eq!(won, 1, "takers of one step");
    // The code of a later step works: nobody is locked out for long.
    clinic.clock.advance(Duration::from_secs(20 * 60));
    clinic.sign_in(&admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i3_a_recovery_code_counts_once_also_when_fifty_present_it_at_the_same_moment() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let (ready, codes) = clinic.identity.new_recovery_codes(&admin.token).await.unwrap();
    clinic.identity.take_effect(ready).await.unwrap();
    let pending = clinic.password("boss", PASSWORD).await.unwrap().token.reveal().to_owned();
    let won = race(50, |_| {
        let (identity, token) = (Arc::clone(&clinic.identity), pending.clone());
        let code = codes[0].reveal().to_owned();
        async move { identity.prove_recovery_code(&token, &code).await.is_ok() }
    })
    .await;
    assert_eq!(won, 1);
    let unused = clinic.people().recovery_codes(admin.id).await.unwrap();
    let unused: Vec<_> = unused.iter().filter(|code| code.used.is_none()).collect();
    assert_eq!(unused.len(), codes.len() - 1);
    let (id, now) = (unused[0].id, clinic.clock.now());
    let won = race(50, |_| {
        let identity = Arc::clone(&clinic.identity);
        async move { identity.repository().use_recovery_code(id, now).await.unwrap() }
    })
    .await;
    assert_eq!(won, 1, "users of one code");
    // A used one is refused, a new one works.
    clinic.clock.advance(Duration::from_secs(20 * 60));
    // The new one first: how many of the fifty were counted as guesses is up to the race, and so is how long the next guess waits.
    let pending = clinic.password("boss", PASSWORD).await.unwrap();
    let fresh = clinic.identity.prove_recovery_code(pending.token.reveal(), codes[9].reveal()).await.unwrap();
    // One factor for policy, until a second one is enrolled again.
    assert_eq!(clinic.caller(fresh.token.reveal()).await.unwrap().aal(), Aal::One);
    let pending = clinic.password("boss", PASSWORD).await.unwrap();
    let again = clinic.identity.prove_recovery_code(pending.token.reveal(), codes[0].reveal()).await;
    assert!(matches!(again, Err(IdentityError::Refused)), "{:?}", again.err());
}

#[tokio::test(flavor = "multi_thread")]
async fn i2_a_guess_limit_outlives_the_process_and_tells_nothing() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    for login in ["boss", "nobody"] {
        let mut texts = Vec::new();
        while let Err(error @ IdentityError::Refused) = clinic.password(login, "not the right words").await {
            texts.push(error.to_string());
            assert!(texts.len() < 20, "there is a limit");
        }
        assert_eq!(texts.len(), 6, "{login}");
        assert!(texts.iter().all(|text| *text == IdentityError::Refused.to_string()));
    }
    let vault = clinic.platform.vault().await;
    let other = service(&clinic.platform, &vault, clinic.tenant.id).await;
    for login in ["boss", "nobody"] {
        let error = other.sign_in_with_password(login, PASSWORD, None).await.err().unwrap();
        assert!(matches!(error, IdentityError::TooMany(wait) if wait.seconds() == 1), "{login}: {error}");
    }
    clinic.clock.advance(Duration::from_secs(60));
    assert!(other.sign_in_with_password("nobody", PASSWORD, None).await.is_err());
    assert!(other.sign_in_with_password(&admin.login, PASSWORD, None).await.is_ok());
}

/// Asks until the answer is right, at most a second: what every process promises after a change.
async fn within_a_second<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(1), "{what} took more than a second");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{what}: {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn bar_i6_revocation_roles_and_suspension_hold_in_another_process_within_a_second() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let ada = clinic.person(&admin, "ada", "clinician").await;
    let second = clinic.platform.vault().await;
    let tenant = clinic.tenant.id;
    let there = |token: String| {
        let second = Arc::clone(&second);
        async move { second.authenticate(tenant, &token, origin()).await }
    };
    let has = |token: String, role: Role| {
        let answer = there(token);
        async move { answer.await.is_ok_and(|caller| caller.roles().contains(role)) }
    };
    let one = clinic.sign_in(&ada).await.reveal().to_owned();
    let two = clinic.sign_in(&ada).await.reveal().to_owned();
    let boss = clinic.caller(&admin.token).await.unwrap();
    assert!(has(one.clone(), Role::Clinician).await && there(two.clone()).await.is_ok());

    assert!(clinic.identity.sign_out(&one).await.is_ok());
    within_a_second("revocation", || async { there(one.clone()).await.is_err() }).await;
    assert!(there(two.clone()).await.is_ok(), "the other session lives");

    let leave = clinic.vault.authorize::<GrantRole>(&boss, Some(ada.id)).await.unwrap();
    assert!(clinic.people().grant_role(leave, "nurse").await.unwrap());
    within_a_second("a new role", || has(two.clone(), Role::Nurse)).await;
    let leave = clinic.vault.authorize::<GrantRole>(&boss, Some(ada.id)).await.unwrap();
    assert!(clinic.people().revoke_role(leave, "clinician").await.unwrap());
    within_a_second("a role taken", || async { !has(two.clone(), Role::Clinician).await }).await;
    assert!(has(two.clone(), Role::Nurse).await);

    let leave = clinic.vault.authorize::<SuspendPerson>(&boss, Some(ada.id)).await.unwrap();
    assert!(clinic.people().suspend(leave).await.unwrap());
    within_a_second("suspension", || async { there(two.clone()).await.is_err() }).await;
    assert!(matches!(clinic.password("ada", PASSWORD).await, Err(IdentityError::Refused)));
    let leave = clinic.vault.authorize::<SuspendPerson>(&boss, Some(ada.id)).await.unwrap();
    assert!(clinic.people().reinstate(leave).await.unwrap());
    let token = clinic.sign_in(&ada).await.reveal().to_owned();
    assert!(has(token.clone(), Role::Nurse).await && !has(token, Role::Clinician).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_passkey_signs_in_without_a_login_name_and_its_ceremony_counts_once() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let place = Url::parse("https://acme.localhost:8443").unwrap();
    let mut device = SoftPasskey::new(true);
    let (mut challenge, ceremony) =
        clinic.identity.begin_passkey_enrolment(&admin.token, "boss", "The Boss").await.unwrap();
    // The device has no store for discoverable keys.
    challenge.public_key.authenticator_selection.as_mut().unwrap().require_resident_key = false;
    let made = device.do_registration(place.clone(), challenge).unwrap();
    let enrolled = done(
        &clinic.identity,
        clinic.identity.finish_passkey_enrolment(&admin.token, ceremony, (&made, "laptop")).await,
    )
    .await
    .unwrap();
    assert!(clinic.caller(enrolled.token.reveal()).await.is_ok());

    let mut begun = clinic.identity.begin_passkey_sign_in(Mediation::Modal).await.unwrap();
    begun.challenge.public_key.allow_credentials.push(AllowCredentials {
        type_: "public-key".to_owned(),
        id: made.raw_id.clone(),
        transports: None,
    });
    let mut answer = device.do_authentication(place, begun.challenge).unwrap();
    answer.response.user_handle = Some(admin.id.as_bytes().to_vec());
    let holder = begun.holder.reveal();
    let signed_in =
        clinic.identity.finish_passkey_sign_in(begun.ceremony, holder, &answer, None).await.unwrap();
    let caller = clinic.caller(signed_in.token.reveal()).await.unwrap();
    assert_eq!((caller.person(), caller.aal()), (admin.id, Aal::Two));
    let again = clinic.identity.finish_passkey_sign_in(begun.ceremony, holder, &answer, None).await;
    assert!(matches!(again, Err(IdentityError::Passkey(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_passkey_is_renamed_and_removed_by_its_owner_and_the_last_way_in_stays() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let ada = clinic.person(&admin, "ada", "clinician").await;
    let identity = &clinic.identity;
    let mut device = SoftPasskey::new(true);
    let (mut challenge, ceremony) =
        identity.begin_passkey_enrolment(&admin.token, "boss", "The Boss").await.unwrap();
    challenge.public_key.authenticator_selection.as_mut().unwrap().require_resident_key = false;
    let made = device.do_registration(Url::parse("https://acme.localhost:8443").unwrap(), challenge).unwrap();
    let enrolled =
        done(identity, identity.finish_passkey_enrolment(&admin.token, ceremony, (&made, "laptop")).await)
            .await
            .unwrap();
    let token = enrolled.token.reveal();
    let mut second = identity.list_passkeys(token).await.unwrap().remove(0);
    second.id = CredentialId::generate(&*clinic.clock, &*clinic.platform.random);
    second.credential_id = second.id.as_uuid().as_bytes().to_vec();
    let live = identity.authenticate(token, Activity::Background).await.unwrap().session;
    let change = FactorChange {
        factor: NewFactor::Passkey(Box::new(second.clone())),
        old: live.token_hash,
        session: live,
        completes: false,
        ends_others: false,
    };
    assert_eq!(clinic.people().write_factor(&change, clinic.clock.now()).await.unwrap(), Written::Done);
    identity.rename_passkey(token, second.id, "  blue\nkey ").await.unwrap();
    let names = async || -> Vec<String> {
        let passkeys = identity.list_passkeys(token).await.unwrap();
        let mut names: Vec<String> = passkeys.into_iter().map(|passkey| passkey.name).collect();
        names.sort();
        names
    };
    assert_eq!(names().await, ["bluekey", "laptop"]);
    for refused in [
        identity.rename_passkey(&ada.token, second.id, "mine").await,
        identity.remove_passkey(&ada.token, second.id).await.map(|_| ()),
    ] {
        assert!(matches!(refused, Err(IdentityError::NoFactor)));
    }

    // Without a password the two passkeys are all there is: of two who remove one each at once, one is refused.
    let elsewhere = clinic.sign_in(&admin).await.reveal().to_owned();
    let forget = format!("DELETE FROM {}.password WHERE person = '{}'", clinic.tenant.id.schema(), admin.id);
    as_superuser(&clinic.platform, "operations", forget).await;
    let ids: Vec<CredentialId> =
        identity.list_passkeys(token).await.unwrap().into_iter().map(|passkey| passkey.id).collect();
    let (one, other) =
        tokio::join!(identity.remove_passkey(token, ids[0]), identity.remove_passkey(token, ids[1]));
    assert!(one.is_ok() != other.is_ok(), "one of them is removed");
    assert!([one, other].iter().any(|one| matches!(one, Err(IdentityError::LastFactors))));
    assert_eq!(names().await.len(), 1);
    assert!(clinic.caller(token).await.is_ok());
    within_a_second("the device in other hands", || async { clinic.caller(&elsewhere).await.is_err() }).await;
    clinic.clock.advance(Duration::from_secs(6 * 60));
    let stale = identity.remove_passkey(token, ids[0]).await;
    assert!(matches!(stale, Err(IdentityError::FreshFactorNeeded)));
}

#[tokio::test(flavor = "multi_thread")]
async fn i2_a_stranger_and_a_wrong_password_get_the_same_answer() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let _invited = clinic.invite(&admin, "new", "nurse").await;
    let gone = clinic.person(&admin, "gone", "nurse").await;
    let boss = clinic.caller(&admin.token).await.unwrap();
    let leave = clinic.vault.authorize::<SuspendPerson>(&boss, Some(gone.id)).await.unwrap();
    clinic.people().suspend(leave).await.unwrap();
    let mut answers = Vec::new();
    for (login, password) in [
        ("boss", "not the right words"),
        ("nobody", PASSWORD),
        ("new", PASSWORD),
        ("gone", PASSWORD),
        ("no body", PASSWORD),
    ] {
        let error = clinic.password(login, password).await.err().unwrap();
        answers.push(format!("{error:?}: {error}"));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(clinic.password("boss", PASSWORD).await.is_ok());
}

/// Everything in the tenant's operations schema, as text: bytes come as hexadecimal digits.
async fn dump(clinic: &Clinic) -> String {
    let schema = clinic.tenant.id.schema();
    let superuser = clinic.platform.superuser("operations");
    let tables =
        sqlx::query("SELECT table_name::text FROM information_schema.tables WHERE table_schema = $1")
            .bind(&schema)
            .fetch_all(&superuser)
            .await
            .unwrap();
    assert!(tables.len() >= 11, "{} tables", tables.len());
    let mut text = String::new();
    for table in tables {
        let sql = format!("SELECT t::text FROM {schema}.{} t", table.get::<String, _>(0));
        for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&superuser).await.unwrap() {
            text.push_str(&row.get::<String, _>(0));
            text.push('\n');
        }
    }
    text
}

/// The ways in which a dump could give the bytes away.
fn found(dump: &str, canary: &[u8]) -> bool {
    use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
    let base64 = BASE64.encode(canary);
    // The last characters depend on what follows.
    let begin = &base64[..canary.len() / 3 * 4];
    let begin_url = &BASE64URL_NOPAD.encode(canary)[..begin.len()];
    std::str::from_utf8(canary).is_ok_and(|text| dump.contains(text))
        || [HEXLOWER, HEXUPPER].iter().any(|hex| dump.contains(&hex.encode(canary)))
        || dump.contains(begin)
        || dump.contains(begin_url)
        || dump.contains(&BASE32_NOPAD.encode(canary))
}

#[tokio::test(flavor = "multi_thread")]
async fn k1_a_dump_of_the_operations_schema_has_no_name_secret_token_or_code() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let caller = clinic.caller(&admin.token).await.unwrap();
    let leave = clinic.vault.authorize::<InvitePerson>(&caller, None).await.unwrap();
    let login = LoginName::parse("canary.login.7331@acme.example").unwrap();
    let name = "Wilhelmina Canaryworth";
    let invited = clinic.people().invite_person(leave, newcomer(&login, name, &["nurse"])).await.unwrap();
    let link = invited.token.reveal().to_owned();
    let ada = clinic.enrol(login.as_str(), invited).await;
    let session = clinic.sign_in(&ada).await.reveal().to_owned();
    let (ready, codes) = clinic.identity.new_recovery_codes(&session).await.unwrap();
    let whole = clinic.identity.take_effect(ready).await.unwrap();
    let begun = clinic.identity.begin_passkey_sign_in(Mediation::Modal).await.unwrap();
    let mut canaries: Vec<Vec<u8>> = [
        login.as_str(),
        name,
        "Canaryworth",
        PASSWORD,
        &link,
        &link[4..],
        &session,
        &session[4..],
        whole.token.reveal(),
        begun.holder.reveal(),
        &ada.secret.to_base32(),
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    canaries.push(ada.secret.as_bytes().to_vec());
    for code in &codes {
        canaries.push(code.reveal().as_bytes().to_vec());
        canaries.push(code.reveal().replace('-', "").into_bytes());
    }
    for token in [&link, &session] {
        canaries.push(data_encoding::BASE64URL_NOPAD.decode(&token.as_bytes()[4..]).unwrap());
    }
    let text = dump(&clinic).await;
    assert!(text.contains(&ada.id.to_string()), "the dump is not of the right schema");
    for (index, canary) in canaries.iter().enumerate() {
        assert!(!found(&text, canary), "canary {index} is in the dump");
    }
    // The positive control: each of them is found where somebody forgot to seal it.
    let superuser = clinic.platform.superuser("operations");
    let schema = clinic.tenant.id.schema();
    let sql = format!("UPDATE {schema}.person SET sealed_name = $1 WHERE id = $2");
    for (index, canary) in canaries.iter().enumerate() {
        sqlx::query(AssertSqlSafe(sql.clone()))
            .bind(canary)
            .bind(ada.id.as_uuid())
            .execute(&superuser)
            .await
            .unwrap();
        assert!(found(&dump(&clinic).await, canary), "canary {index} would not be found");
    }
    let text = data_encoding::BASE64.encode(name.as_bytes());
    let sql = format!("UPDATE {schema}.password SET phc = $1");
    sqlx::query(AssertSqlSafe(sql)).bind(text).execute(&superuser).await.unwrap();
    assert!(found(&dump(&clinic).await, name.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn k1_a_secret_opens_at_its_own_place_only_and_no_clinical_row_opens_as_one() {
    let clinic = Clinic::open().await;
    let bolt = clinic.platform.tenant("bolt").await;
    clinic.vault.directory().refresh().await.unwrap();
    let (vault, tenant) = (&clinic.vault, clinic.tenant.id);
    let place = |column, row| SecretPlace { column, row: [row; 16] };
    let here = place(SecretColumn::TotpSecret, 1);
    let sealed = vault.seal_secret(tenant, here, b"twenty bytes of seed").await.unwrap();
    assert_eq!(&*vault.open_secret(tenant, here, &sealed).await.unwrap(), b"twenty bytes of seed");
    for (tenant, place) in [
        (tenant, place(SecretColumn::TotpSecret, 2)),
        (tenant, place(SecretColumn::PersonName, 1)),
        (tenant, place(SecretColumn::PersonLogin, 1)),
        (bolt.id, here),
    ] {
        assert!(vault.open_secret(tenant, place, &sealed).await.is_err(), "{place:?}");
    }
    let token = vault.login_token(tenant, "ada").await.unwrap();
    assert_eq!(vault.login_token(tenant, "ada").await.unwrap(), token);
    assert_ne!(vault.login_token(bolt.id, "ada").await.unwrap(), token);

    let doctor = clinic.platform.person(tenant, PersonSpec::default()).await;
    let caller = doctor.caller(vault).await.unwrap();
    let patient = draft(&clinic.platform, ResourceKind::Patient, None, "Gertrude");
    let id = patient.id;
    write(vault, &caller, vec![Planned::Create(patient)]).await.unwrap();
    let sql = format!("SELECT sealed FROM {}.resource WHERE id = $1", tenant.schema());
    let clinical = clinic.platform.superuser("clinical");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.as_uuid()).fetch_one(&clinical).await.unwrap();
    let envelope: Vec<u8> = row.get(0);
    for column in [SecretColumn::TotpSecret, SecretColumn::PersonLogin, SecretColumn::PersonName] {
        let place = SecretPlace { column, row: *id.as_bytes() };
        assert!(vault.open_secret(tenant, place, &envelope).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_running_the_tenant_needs_the_role_a_fresh_factor_and_leaves_an_entry() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let ada = clinic.person(&admin, "ada", "clinician").await;
    let sam = clinic.person(&admin, "sam", "support").await;
    let boss = clinic.caller(&admin.token).await.unwrap();
    let clinician = clinic.caller(&ada.token).await.unwrap();

    let before = clinic.audit_entries().await;
    let no = clinic.vault.authorize::<InvitePerson>(&clinician, None).await.err().unwrap();
    assert!(matches!(no, AccessError::Forbidden(DenyReason::NoPermit)), "{no}");
    let own = clinic.vault.authorize::<GrantRole>(&boss, Some(admin.id)).await.err().unwrap();
    assert!(matches!(own, AccessError::Forbidden(_)), "{own}");
    let stranger = PersonId::generate(&*clinic.platform.clock, &*clinic.platform.random);
    let absent = clinic.vault.authorize::<SuspendPerson>(&boss, Some(stranger)).await.err().unwrap();
    assert!(matches!(absent, AccessError::Invisible), "{absent}");
    let leave = clinic.vault.authorize::<ListPeople>(&boss, None).await.unwrap();
    assert_eq!(clinic.audit_entries().await, before + 4, "each is on record");

    let people = clinic.people().list_people(leave, None, 10).await.unwrap();
    let details = people.iter().find(|one| one.id == ada.id).unwrap().details.as_ref().unwrap();
    assert_eq!((details.profile.login.as_str(), &details.roles[..]), ("ada", &["clinician".to_owned()][..]));
    assert!(people.len() == 3 && people.iter().all(|one| one.status == PersonStatus::Active));
    // Support sees that there are accounts, and not whose.
    let support = clinic.caller(&sam.token).await.unwrap();
    let leave = clinic.vault.authorize::<ListPeople>(&support, None).await.unwrap();
    let people = clinic.people().list_people(leave, Some(admin.id), 10).await.unwrap();
    assert!(people.len() == 2 && people.iter().all(|one| one.details.is_none()));

    // The name is taken; and nobody founds a tenant that has people.
    let login = LoginName::parse("ADA").unwrap();
    let leave = clinic.vault.authorize::<InvitePerson>(&boss, None).await.unwrap();
    let taken = clinic.people().invite_person(leave, newcomer(&login, "Ada Two", &[])).await.err().unwrap();
    assert!(matches!(taken, PeopleError::LoginTaken));
    let late = clinic.people().found(newcomer(&login, "Ada Two", &[])).await.err().unwrap();
    assert!(matches!(late, PeopleError::NotEmpty));

    // Sixteen minutes after the last factor, in use all the time.
    for _ in 0..4 {
        clinic.clock.advance(Duration::from_secs(4 * 60));
        clinic.identity.authenticate(&admin.token, Activity::Use).await.unwrap();
    }
    let vault = clinic.platform.vault().await;
    let boss = vault.authenticate(clinic.tenant.id, &admin.token, origin()).await.unwrap();
    let stale = vault.authorize::<InvitePerson>(&boss, None).await.err().unwrap();
    assert!(matches!(stale, AccessError::Forbidden(DenyReason::NeedsFreshFactor)), "{stale}");
    let fresh = clinic.identity.prove_code(&admin.token, &clinic.code(&admin)).await.unwrap();
    let boss = vault.authenticate(clinic.tenant.id, fresh.token.reveal(), origin()).await.unwrap();
    assert!(vault.authorize::<InvitePerson>(&boss, None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn i7_a_new_invitation_ends_the_old_one_and_what_was_begun_with_it() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let first = clinic.invite(&admin, "ada", "clinician").await;
    let begun = done(&clinic.identity, clinic.identity.accept_invite(first.token.reveal(), None).await)
        .await
        .unwrap();
    let boss = clinic.caller(&admin.token).await.unwrap();
    let leave = clinic.vault.authorize::<InvitePerson>(&boss, Some(first.person)).await.unwrap();
    let second = clinic.people().invite_again(leave, vec!["nurse".to_owned()]).await.unwrap();
    let words = PASSWORD.to_owned().into();
    let old =
        done(&clinic.identity, clinic.identity.set_password(begun.token.reveal(), words, Vec::new()).await)
            .await;
    assert!(matches!(old, Err(IdentityError::NoSession)));
    let ada = clinic.enrol("ada", second).await;
    let caller = clinic.caller(&ada.token).await.unwrap();
    assert!(caller.roles().contains(Role::Nurse) && !caller.roles().contains(Role::Clinician));
    let leave = clinic.vault.authorize::<InvitePerson>(&boss, Some(ada.id)).await.unwrap();
    let again = clinic.people().invite_again(leave, Vec::new()).await;
    assert!(matches!(again, Err(PeopleError::SetUp)));
}

#[tokio::test]
async fn i7_sessions_that_are_long_over_are_forgotten_when_another_begins() {
    let clinic = Clinic::open().await;
    let (admin, operations) = (clinic.admin().await, clinic.platform.superuser("operations"));
    let sessions = format!("SELECT count(*) FROM {}.session", clinic.tenant.id.schema());
    let mut kept = Vec::new();
    for hours in [0, 24, 24, 24] {
        clinic.clock.advance(Duration::from_secs(hours * 60 * 60));
        clinic.sign_in(&admin).await;
        let (count,): (i64,) =
            sqlx::query_as(AssertSqlSafe(sessions.clone())).fetch_one(&operations).await.unwrap();
        kept.push(count);
    }
    // The one of joining beside the first; later those of two days.
    assert_eq!(kept, [2, 3, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn t2_the_tenants_login_changes_only_what_identity_has_to_change() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let operations = clinic.vault.operations(clinic.tenant.id).await.unwrap();
    for sql in [
        "DELETE FROM person",
        "UPDATE person SET founder = true",
        "UPDATE person SET patient = id",
        "UPDATE role_grant SET role = 'clinician'",
        "DELETE FROM role_grant",
        "UPDATE session SET person = id",
        "UPDATE recovery_code SET hash = hash",
        "UPDATE totp SET sealed_secret = ''",
        "UPDATE invite SET roles = '[\"tenant_admin\"]'",
        "SELECT * FROM schema_version",
        "CREATE TABLE x (id int)",
    ] {
        let mut lease = operations.lease().await.unwrap();
        let error = sqlx::query(sql).execute(lease.connection().unwrap()).await.err().unwrap();
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{sql}");
    }
    let sessions = sqlx::query("SELECT id FROM session WHERE person = $1").bind(admin.id.as_uuid());
    let mut lease = operations.lease().await.unwrap();
    assert_eq!(sessions.fetch_all(lease.connection().unwrap()).await.unwrap().len(), 1);
    lease.give_back();
}

#[tokio::test]
async fn i1_ceremonies_that_nobody_finishes_do_not_pile_up() {
    let clinic = Clinic::open().await;
    let schema = clinic.tenant.id.schema();
    let rows = async || {
        count(&clinic.platform, "operations", format!("SELECT count(*) FROM {schema}.ceremony")).await
    };
    let begin = async || clinic.identity.begin_passkey_sign_in(Mediation::Modal).await.unwrap();
    for _ in 0..3 {
        begin().await;
    }
    assert_eq!(rows().await, 3, "those under way stay");
    clinic.clock.advance(Duration::from_secs(3_600));
    begin().await;
    assert_eq!(rows().await, 1);
    // However many there are, one sign-in deletes so many only.
    let old = format!(
        "INSERT INTO {schema}.ceremony (id, kind, holder, state, created_at, expires_at)
         SELECT gen_random_uuid(), 'discoverable', sha256(n::text::bytea), '', 'epoch', 'epoch'
           FROM generate_series(1, 150) n"
    );
    as_superuser(&clinic.platform, "operations", old).await;
    begin().await;
    assert_eq!(rows().await, 52);
    begin().await;
    assert_eq!(rows().await, 3, "the new ones");
}
