//! Signing in, enrolling, sessions and people, over HTTP.
//!
//! Invariant: every step that changes what a session may do gives a new token and kills the old one; the token leaves in
//! a `__Host-` cookie that scripts cannot read, or in the body for programs that asked for it and are no browser.

mod answer;
mod apps;
mod devices;
mod enrol;
mod federation;
mod first_admin;
mod grants;
mod launch;
mod notices;
mod oauth;
mod page;
mod passkeys;
mod patients;
mod people;
mod problems;
mod provisioning;
mod recoveries;
mod roles;
mod scim;
mod sessions;
mod settings;
mod sign_in;
mod visit;

use axum::routing::{delete, get, post, put};
use http::{Method, StatusCode};

use carekeep_identity::{
    password::{HashSettings, PasswordError, PasswordHashes},
    service::Shared,
};
use carekeep_kernel::Offered;
use carekeep_vault::Vault;

pub use first_admin::{
    FirstAdmin, FirstAdminError, FirstInvite, check_first_admin, ensure_first_admin, first_admin_invite,
};

pub use federation::Providers;
pub use roles::Request as RoleRequestView;

use self::{
    answer::Step,
    apps::{App, Apps, NewApp},
    devices::{DeviceName, Devices},
    enrol::{Accept, NewPassword, TotpSetup},
    grants::Grants,
    launch::{LaunchableApps, OpenChart, Opened},
    notices::{Notices, Seen, Weak},
    passkeys::{Begun, Finish, Passkeys, Registration, Renamed},
    patients::PatientAccount,
    people::{Invitation, NewMember, People, Roles},
    provisioning::{NewToken, Token, Tokens},
    recoveries::{Approved, Begun as BegunRecovery, OwnRecovery, PatientIdentified, Recoveries, Redeem},
    roles::{Given, Requests},
    sessions::{Me, Revoked, Sessions},
    settings::SignIn,
    sign_in::{Code, Password},
};
use super::Endpoint;
use crate::edge::{BodyKinds, RoutePolicy};

/// Time, randomness and the pool that checks passwords: one per process, for [`super::ApiParts`].
///
/// # Errors
/// When the settings of the pool are refused; the shipped ones are not.
pub fn shared(vault: &Vault) -> Result<Shared, PasswordError> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let passwords = PasswordHashes::new(HashSettings::for_processors(processors), &**vault.random())?;
    Ok(Shared { clock: vault.clock().clone(), random: vault.random().clone(), passwords })
}

/// Nothing here needs more; a passkey's answer has a few kilobytes.
const SMALL: RoutePolicy = RoutePolicy { body_bytes: 64 << 10, kinds: BodyKinds::Json };

/// The identity routes.
pub(super) fn endpoints() -> Vec<Endpoint> {
    [
        code_endpoints(),
        everywhere(passkey_sign_in_endpoints()),
        everywhere(vec![invitation_endpoint()]),
        code_enrol_endpoints(),
        everywhere(passkey_enrol_endpoints()),
        vec![recovery_codes_endpoint()],
        everywhere(session_endpoints()),
        everywhere(device_endpoints()),
        everywhere(notice_endpoints()),
        everywhere(people_endpoints()),
        everywhere(role_endpoints()),
        everywhere(recovery_endpoints()),
        everywhere(settings_endpoints()),
        patient_endpoints(),
        app_endpoints(),
        provisioning_endpoints(),
        federation::endpoints(),
    ]
    .into_iter()
    .flatten()
    .map(|endpoint| endpoint.body(SMALL))
    .chain(oauth::endpoints())
    .chain(scim::endpoints())
    .collect()
}

/// What people need whoever they are: passkeys, sessions, each other.
fn everywhere(endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
    endpoints.into_iter().map(|endpoint| endpoint.offered(Offered::Everywhere)).collect()
}

/// What somebody knows or reads off, which counts at clinics only.
fn code_endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::POST, "/api/v1/sign-in/password", "sign_in.password", post(sign_in::password))
            .public()
            .says("Give login name and password; the session that begins can only give a second factor.")
            .takes::<Password>()
            .gives::<Step>(),
        Endpoint::new(Method::POST, "/api/v1/sign-in/totp", "sign_in.totp", post(sign_in::totp))
            .unfinished()
            .says("Give a code of the app: as second factor, or in a session to confirm that it is you.")
            .takes::<Code>()
            .gives::<Step>(),
        Endpoint::new(
            Method::POST,
            "/api/v1/sign-in/recovery-code",
            "sign_in.recovery_code",
            post(sign_in::recovery_code),
        )
        .unfinished()
        .says("Give a recovery code as second factor; afterwards a new factor has to be enrolled.")
        .takes::<Code>()
        .gives::<Step>(),
    ]
}

fn passkey_sign_in_endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::POST,
            "/api/v1/sign-in/passkey/begin",
            "sign_in.passkey_begin",
            post(passkeys::begin_sign_in),
        )
        .public()
        .says("Ask for the options of navigator.credentials.get(), without a login name.")
        .gives::<Begun>(),
        Endpoint::new(
            Method::POST,
            "/api/v1/sign-in/passkey/finish",
            "sign_in.passkey_finish",
            post(passkeys::finish_sign_in),
        )
        .public()
        .says("Sign in by what the passkey answered: two factors at once.")
        .takes::<Finish>()
        .gives::<Step>(),
        Endpoint::new(
            Method::POST,
            "/api/v1/step-up/passkey/begin",
            "step_up.passkey_begin",
            post(passkeys::begin_step),
        )
        .unfinished()
        .says("Ask for the options to use a passkey as second factor, or to confirm that it is you.")
        .gives::<Begun>(),
        Endpoint::new(
            Method::POST,
            "/api/v1/step-up/passkey/finish",
            "step_up.passkey_finish",
            post(passkeys::finish_step),
        )
        .unfinished()
        .says("Finish the second factor or the confirmation by what the passkey answered.")
        .takes::<Finish>()
        .gives::<Step>(),
        Endpoint::new(Method::POST, "/api/v1/sign-out", "sign_out", post(sign_in::sign_out))
            .public()
            .says("End the session, if there is one, and have the browser forget it.")
            .answers(StatusCode::NO_CONTENT),
    ]
}

fn invitation_endpoint() -> Endpoint {
    Endpoint::new(Method::POST, "/api/v1/invites/accept", "invites.accept", post(enrol::accept))
        .public()
        .says("Use an invitation; the session that begins can only enrol factors.")
        .takes::<Accept>()
        .gives::<Step>()
}

fn passkey_enrol_endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::POST,
            "/api/v1/enrol/passkey/begin",
            "enrol.passkey_begin",
            post(passkeys::begin_enrolment),
        )
        .unfinished()
        .says("Ask for the options of navigator.credentials.create().")
        .gives::<Begun>(),
        Endpoint::new(
            Method::POST,
            "/api/v1/enrol/passkey/finish",
            "enrol.passkey_finish",
            post(passkeys::finish_enrolment),
        )
        .unfinished()
        .says("Register the passkey that the browser made.")
        .takes::<Registration>()
        .gives::<Step>(),
    ]
}

fn code_enrol_endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::POST, "/api/v1/enrol/password", "enrol.password", post(enrol::password))
            .unfinished()
            .says("Set or change the password.")
            .takes::<NewPassword>()
            .gives::<Step>(),
        Endpoint::new(Method::POST, "/api/v1/enrol/totp/begin", "enrol.totp_begin", post(enrol::totp_begin))
            .unfinished()
            .says("Ask for the secret of a new code generator. It is shown once.")
            .gives::<TotpSetup>(),
        Endpoint::new(
            Method::POST,
            "/api/v1/enrol/totp/confirm",
            "enrol.totp_confirm",
            post(enrol::totp_confirm),
        )
        .unfinished()
        .says("Finish setting up the code generator with its first code.")
        .takes::<Code>()
        .gives::<Step>(),
    ]
}

fn recovery_codes_endpoint() -> Endpoint {
    Endpoint::new(
        Method::POST,
        "/api/v1/enrol/recovery-codes",
        "enrol.recovery_codes",
        post(enrol::recovery_codes),
    )
    .says("Make ten new recovery codes. They are shown once; earlier ones stop working.")
    .gives::<Step>()
}

fn session_endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/api/v1/me", "me", get(sessions::me))
            .says("Who is signed in.")
            .gives::<Me>(),
        Endpoint::new(Method::GET, "/api/v1/passkeys", "passkeys.list", get(passkeys::list))
            .says("Your own passkeys, the oldest first.")
            .gives::<Passkeys>(),
        Endpoint::new(Method::PUT, "/api/v1/passkeys/{id}", "passkeys.rename", put(passkeys::rename))
            .says("Give one of your own passkeys another name.")
            .takes::<Renamed>()
            .answers(StatusCode::NO_CONTENT),
        Endpoint::new(Method::DELETE, "/api/v1/passkeys/{id}", "passkeys.remove", delete(passkeys::remove))
            .says("Take one of your own passkeys out of use; all your other sessions end. Needs a factor of the last five minutes.")
            .answers(StatusCode::NO_CONTENT),
        Endpoint::new(Method::GET, "/api/v1/sessions", "sessions.list", get(sessions::list))
            .says("Your own live sessions, the newest first.")
            .gives::<Sessions>(),
        Endpoint::new(Method::DELETE, "/api/v1/sessions/{id}", "sessions.revoke", delete(sessions::revoke))
            .says("End one of your own sessions.")
            .answers(StatusCode::NO_CONTENT),
        Endpoint::new(
            Method::POST,
            "/api/v1/sessions/revoke-others",
            "sessions.revoke_others",
            post(sessions::revoke_others),
        )
        .says("End all of your own sessions but this one.")
        .gives::<Revoked>(),
    ]
}

fn device_endpoints() -> Vec<Endpoint> {
    const DEVICE: &str = "/api/v1/devices/{id}";
    let done = StatusCode::NO_CONTENT;
    vec![
        Endpoint::new(Method::GET, "/api/v1/devices", "devices.list", get(devices::list))
            .says("The devices that you signed in from, the last used first.")
            .gives::<Devices>(),
        Endpoint::new(Method::PUT, DEVICE, "devices.rename", put(devices::rename))
            .says("Give one of your own devices another name.")
            .takes::<DeviceName>()
            .answers(done),
        Endpoint::new(
            Method::POST,
            "/api/v1/devices/{id}/confirm",
            "devices.confirm",
            post(devices::confirm),
        )
        .says(
            "Confirm one of your own devices: the first one from itself, a further one from a confirmed one.",
        )
        .answers(done),
        Endpoint::new(
            Method::DELETE,
            "/api/v1/people/{id}/devices",
            "people.clear_devices",
            delete(devices::clear),
        )
        .says(
            "Take the confirmation of all devices of somebody back, who lost them; their sessions end, and they are told. The \
             device of their next sign-in by passkey is confirmed, or they confirm one as they did the first.",
        )
        .answers(done),
        Endpoint::new(Method::DELETE, DEVICE, "devices.forget", delete(devices::forget))
            .says("Forget one of your own devices; its sessions end.")
            .answers(done),
    ]
}

fn notice_endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/api/v1/notices", "notices.list", get(notices::list))
            .says("What happened to your account, the newest first; `after` and `limit` page through it.")
            .asks(&["after", "limit"])
            .gives::<Notices>(),
        Endpoint::new(Method::POST, "/api/v1/notices/seen", "notices.seen", post(notices::seen))
            .says("Mark your notices as seen, up to one.")
            .takes::<Seen>()
            .answers(StatusCode::NO_CONTENT),
        Endpoint::new(Method::GET, "/api/v1/people/weak-factors", "people.weak_factors", get(notices::weak))
            .says("Whose ways in are weak, and why, the oldest first; `after` and `limit` page through all people.")
            .asks(&["after", "limit"])
            .gives::<Weak>(),
    ]
}

fn people_endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/api/v1/people", "people.list", get(people::list))
            .says("The people of the tenant, oldest first; `after` and `limit` page through them. Or those with these `ids`, up to 100, separated by commas.")
            .asks(&["after", "limit", "ids"])
            .gives::<People>(),
        Endpoint::new(Method::POST, "/api/v1/people", "people.invite", post(people::invite))
            .says("Add a person and make the invitation to join. The link is shown once.")
            .takes::<NewMember>()
            .gives::<Invitation>()
            .answers(StatusCode::CREATED),
        Endpoint::new(
            Method::POST,
            "/api/v1/people/{id}/invite",
            "people.invite_again",
            post(people::invite_again),
        )
        .says("Make a new invitation for somebody who has not joined yet; the earlier ones stop working.")
        .takes::<Roles>()
        .gives::<Invitation>()
        .answers(StatusCode::CREATED),
    ]
}

fn app_endpoints() -> Vec<Endpoint> {
    const APPS: &str = "/api/v1/apps";
    let done = StatusCode::NO_CONTENT;
    vec![
        Endpoint::new(Method::GET, APPS, "apps.list", get(apps::list))
            .says("The apps of the tenant, oldest first; `after` and `limit` page through them.")
            .asks(&["after", "limit"])
            .gives::<Apps>(),
        Endpoint::new(Method::POST, APPS, "apps.register", post(apps::register))
            .says("Register an app (SMART App Launch). It gets no token before it is approved; its secret is shown once.")
            .takes::<NewApp>()
            .gives::<App>()
            .answers(StatusCode::CREATED),
        Endpoint::new(Method::POST, "/api/v1/apps/{id}/approve", "apps.approve", post(apps::approve))
            .says("Let an app ask people for access, or a program act.")
            .answers(done),
        Endpoint::new(Method::POST, "/api/v1/apps/{id}/disable", "apps.disable", post(apps::disable))
            .says("Stop an app: its tokens are dead within a second.")
            .answers(done),
        Endpoint::new(Method::DELETE, "/api/v1/apps/{id}", "apps.remove", delete(apps::remove))
            .says("Take an app out of the list for good.")
            .answers(done),
        Endpoint::new(Method::GET, "/api/v1/launchable-apps", "launch.list", get(launch::list))
            .says("The apps that can be opened from a chart, the oldest first; `after` and `limit` page through them.")
            .asks(&["after", "limit"])
            .gives::<LaunchableApps>(),
        Endpoint::new(Method::POST, "/api/v1/apps/{id}/launch", "launch.open", post(launch::open))
            .says("Open an app from a chart that you may read: gives the address to go to (SMART App Launch, EHR launch).")
            .takes::<OpenChart>()
            .gives::<Opened>(),
        Endpoint::new(Method::GET, "/api/v1/app-grants", "app_grants.list", get(grants::list))
            .says("What you allowed apps, the newest first.")
            .gives::<Grants>(),
        Endpoint::new(Method::DELETE, "/api/v1/app-grants/{id}", "app_grants.withdraw", delete(grants::withdraw))
            .says("Withdraw what you allowed an app: all its tokens of it are dead within a second.")
            .answers(done),
    ]
}

fn provisioning_endpoints() -> Vec<Endpoint> {
    const TOKENS: &str = "/api/v1/provisioning-tokens";
    vec![
        Endpoint::new(Method::GET, TOKENS, "provisioning_tokens.list", get(provisioning::list))
            .says("The tokens of the tenant's identity provider, the oldest first.")
            .gives::<Tokens>(),
        Endpoint::new(Method::POST, TOKENS, "provisioning_tokens.create", post(provisioning::create))
            .says("Make a token with which an identity provider keeps the accounts of staff (SCIM 2.0). It is shown once.")
            .takes::<NewToken>()
            .gives::<Token>()
            .answers(StatusCode::CREATED),
        Endpoint::new(
            Method::DELETE,
            "/api/v1/provisioning-tokens/{id}",
            "provisioning_tokens.revoke",
            delete(provisioning::revoke),
        )
        .says("Revoke a token: it is dead within a second.")
        .answers(StatusCode::NO_CONTENT),
    ]
}

fn role_endpoints() -> Vec<Endpoint> {
    const ROLE: &str = "/api/v1/people/{id}/roles/{role}";
    const APPROVE: &str = "/api/v1/role-requests/{id}/approve";
    const REJECT: &str = "/api/v1/role-requests/{id}/reject";
    let done = StatusCode::NO_CONTENT;
    vec![
        Endpoint::new(Method::PUT, ROLE, "people.grant_role", put(roles::grant))
            .says("Give a person a role; tenant_admin, privacy_officer and, for a program, records_reader are given when somebody else approves.")
            .gives::<Given>(),
        Endpoint::new(Method::DELETE, ROLE, "people.revoke_role", delete(roles::revoke))
            .says("Take a role from a person. It holds for every request within a second.")
            .answers(done),
        Endpoint::new(Method::POST, "/api/v1/people/{id}/suspend", "people.suspend", post(roles::suspend))
            .says("Suspend a person: all their sessions end within a second, and they cannot sign in.")
            .answers(done),
        Endpoint::new(Method::POST, "/api/v1/people/{id}/reinstate", "people.reinstate", post(roles::reinstate))
            .says("End a suspension.")
            .answers(done),
        Endpoint::new(Method::DELETE, "/api/v1/people/{id}", "people.remove", delete(roles::remove))
            .says("Let a person leave for good: their sessions, roles and invitations end; what they did stays on record.")
            .answers(done),
        Endpoint::new(Method::GET, "/api/v1/role-requests", "role_requests.list", get(roles::requests))
            .says("Roles that wait for a decision, the oldest first.")
            .gives::<Requests>(),
        Endpoint::new(Method::POST, APPROVE, "role_requests.approve", post(roles::approve))
            .says("Grant a role that somebody else asked for.")
            .answers(done),
        Endpoint::new(Method::POST, REJECT, "role_requests.reject", post(roles::reject))
            .says("Refuse a role that somebody else asked for.")
            .answers(done),
    ]
}

fn recovery_endpoints() -> Vec<Endpoint> {
    const OWN: &str = "/api/v1/recovery";
    const APPROVE: &str = "/api/v1/recoveries/{id}/approve";
    const REJECT: &str = "/api/v1/recoveries/{id}/reject";
    let done = StatusCode::NO_CONTENT;
    vec![
        Endpoint::new(Method::POST, "/api/v1/people/{id}/recovery", "people.recover", post(recoveries::begin))
            .says("Begin the recovery of an account whose person lost all factors. The code is shown once; somebody else approves. A patient's begins from the chart.")
            .gives::<BegunRecovery>()
            .answers(StatusCode::CREATED),
        Endpoint::new(Method::GET, "/api/v1/recoveries", "recoveries.list", get(recoveries::list))
            .says("The recoveries of accounts that are under way, the oldest first; for a privacy officer those of patients and proxies.")
            .gives::<Recoveries>(),
        Endpoint::new(Method::POST, APPROVE, "recoveries.approve", post(recoveries::approve))
            .says("Approve a recovery that somebody else began. The token is shown once; it works after the hold.")
            .gives::<Approved>(),
        Endpoint::new(Method::POST, REJECT, "recoveries.reject", post(recoveries::reject))
            .says("End a recovery that should not go on.")
            .answers(done),
        Endpoint::new(Method::GET, OWN, "recovery.own", get(recoveries::own))
            .says("The recovery of your own account that is under way, if there is one.")
            .gives::<OwnRecovery>(),
        Endpoint::new(Method::DELETE, OWN, "recovery.cancel", delete(recoveries::cancel))
            .says("End the recovery of your own account.")
            .answers(done),
        Endpoint::new(Method::POST, "/api/v1/recovery/redeem", "recovery.redeem", post(recoveries::redeem))
            .public()
            .says("Give what the two handed you who let you in, after the hold: all old factors and sessions are gone, new factors have to be enrolled.")
            .takes::<Redeem>()
            .gives::<Step>(),
    ]
}

fn settings_endpoints() -> Vec<Endpoint> {
    const SIGN_IN: &str = "/api/v1/settings/sign-in";
    vec![
        Endpoint::new(Method::GET, SIGN_IN, "settings.sign_in", get(settings::sign_in))
            .says("What the organisation decided about the ways in.")
            .gives::<SignIn>(),
        Endpoint::new(Method::PUT, SIGN_IN, "settings.put_sign_in", put(settings::put_sign_in))
            .says(
                "Decide about the ways in. Whoever holds a role for which less counts than before is signed out; you need a \
                 passkey that still counts for you.",
            )
            .takes::<SignIn>()
            .answers(StatusCode::NO_CONTENT),
    ]
}

fn patient_endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::POST, "/api/v1/patients/{id}/account/recovery", "patients.recover", post(recoveries::begin_for_patient))
            .says("Begin the recovery of the account that reads a chart, for the patient before you, who lost all factors. The code is shown once; somebody else approves.")
            .takes::<PatientIdentified>()
            .gives::<BegunRecovery>()
            .answers(StatusCode::CREATED),
        Endpoint::new(
            Method::PUT,
            "/api/v1/patients/{id}/care-team/{person}",
            "care_team.assign",
            put(patients::assign),
        )
        .says("Put a person on a patient's care team.")
        .answers(StatusCode::NO_CONTENT),
        Endpoint::new(
            Method::DELETE,
            "/api/v1/patients/{id}/care-team/{person}",
            "care_team.relieve",
            delete(patients::relieve),
        )
        .says("Take a person off a patient's care team. It holds for the next request.")
        .answers(StatusCode::NO_CONTENT),
        Endpoint::new(
            Method::POST,
            "/api/v1/patients/{id}/account",
            "patients.invite",
            post(patients::invite),
        )
        .says(
            "Give the patient of a chart an account that reads it, and make the invitation. The link is shown once; \
             until the patient has joined, this can be repeated.",
        )
        .takes::<PatientAccount>()
        .gives::<Invitation>()
        .answers(StatusCode::CREATED),
    ]
}
