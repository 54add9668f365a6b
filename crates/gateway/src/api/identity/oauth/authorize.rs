//! How a person lets an app in: the app's request, what it asks for in words, the person's decision.
//!
//! The request is kept nowhere: `/oauth/authorize` checks it and leads to the consent page with the same query, and both the page's
//! question and its answer check it again. The answer is a JSON request of the tenant's own page (see Fetch Metadata), so that no
//! other site can give it.

use std::time::Duration;

use axum::{
    Json,
    extract::RawQuery,
    response::{IntoResponse, Redirect, Response},
};
use carekeep_identity::{
    oauth::{Challenge, OAuthError, redirect},
    storage::{Chart, Client, Consent, Launched},
};
use carekeep_kernel::Timestamp;
use carekeep_policy::smart::{AccessScope, Level, ScopeSet, SmartScope};
use carekeep_vault::{AccountEvent, Caller};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::{launch, visit::Visit},
    Addresses, Parameters, to_person,
};
use crate::{
    api::SignedIn,
    problem::{self, Problem, catalogue},
};

/// The parameters of an authorization request (RFC 6749 section 4.1.1, RFC 7636, SMART App Launch).
pub(super) const PARAMETERS: &[&str] = &[
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "launch",
    "state",
    "aud",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
];

/// A request that may be put to a person.
struct Request {
    client: Client,
    redirect_uri: String,
    state: String,
    scopes: ScopeSet,
    challenge: Challenge,
    launch: Option<String>,
    nonce: Option<String>,
    /// How long ago the person may have presented a factor, if the app says so.
    oldest_factor: Option<Duration>,
}

/// Why a request is not put to a person.
enum Refused {
    /// The person is told: where to send them is not known.
    Here(Problem),
    /// The app is told, at this address.
    There(String),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Here(problem)
    }
}

impl From<OAuthError> for Refused {
    fn from(error: OAuthError) -> Self {
        Self::Here(to_person(error))
    }
}

impl Request {
    async fn check(visit: &Visit, query: &str) -> Result<Self, Refused> {
        const UNKNOWN: OAuthError =
            OAuthError::new("invalid_client", "no app that this organisation approved sent you here");
        const ELSEWHERE: OAuthError =
            OAuthError::new("invalid_request", "the app did not register the address to go back to");
        let asked = Parameters::parse(query.as_bytes())?;
        let people = visit.identity.repository();
        let client = people.approved_app(asked.need("client_id")?).await.map_err(Problem::from)?;
        let client = client.filter(|client| client.person.is_none()).ok_or(UNKNOWN)?;
        let redirect_uri = asked.need("redirect_uri")?.to_owned();
        if !client.redirect_uris.iter().any(|known| redirect::matches(known, &redirect_uri)) {
            return Err(ELSEWHERE.into());
        }
        let there = |error: OAuthError| {
            let told = [("error", error.code), ("error_description", error.description)];
            Refused::There(back(&visit.origin, &redirect_uri, asked.get("state"), &told))
        };
        let fhir = Addresses(&visit.origin).fhir();
        let (state, scopes, challenge) = rules(&asked, &client, &fhir).map_err(there)?;
        let oldest_factor = oldest_factor(&asked).map_err(there)?;
        let [launch, nonce] = ["launch", "nonce"].map(|name| asked.get(name).map(str::to_owned));
        Ok(Self { client, redirect_uri, state, scopes, challenge, launch, nonce, oldest_factor })
    }

    /// Whether the person presented a factor as lately as the app asks for.
    fn check_factor(&self, caller: &Caller, now: Timestamp) -> Result<(), Problem> {
        let fresh = self.oldest_factor.is_none_or(|oldest| now.since(caller.factor_at()) <= oldest);
        if fresh { Ok(()) } else { Err(catalogue::FRESH_FACTOR_NEEDED) }
    }

    /// The chart that the app was opened from in this session, if it was opened from one.
    async fn launched(&self, caller: &Caller, visit: &Visit) -> Result<Option<Launched>, Problem> {
        let Some(launch) = &self.launch else { return Ok(None) };
        Ok(Some(visit.identity.repository().launched(caller, &self.client, launch).await?))
    }

    fn back(&self, visit: &Visit, parameters: &[(&str, &str)]) -> String {
        back(&visit.origin, &self.redirect_uri, Some(&self.state), parameters)
    }
}

/// The address to go back to: with `iss`, so that the app knows who answers (RFC 9207).
fn back(issuer: &str, uri: &str, state: Option<&str>, parameters: &[(&str, &str)]) -> String {
    let mut all = parameters.to_vec();
    all.extend(state.map(|state| ("state", state)));
    all.push(("iss", issuer));
    // It was compared with what is registered, which is a URL.
    redirect::with(uri, &all).unwrap_or_else(|| uri.to_owned())
}

type Rules = (String, ScopeSet, Challenge);

/// What must hold of a request of an app that is known.
fn rules(asked: &Parameters, client: &Client, fhir: &str) -> Result<Rules, OAuthError> {
    if asked.need("response_type")? != "code" {
        return Err(OAuthError::new("unsupported_response_type", "use response_type=code"));
    }
    for (name, code) in [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")] {
        if asked.get(name).is_some() {
            return Err(OAuthError::new(code, "send the parameters themselves"));
        }
    }
    if asked.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(OAuthError::new("invalid_request", "answers come in the query only"));
    }
    if asked.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == "none")) {
        return Err(OAuthError::new(
            "interaction_required",
            "the person is asked each time: leave out prompt=none",
        ));
    }
    let state = asked.need("state")?.to_owned();
    if asked.need("aud")?.trim_end_matches('/') != fhir {
        return Err(OAuthError::new("invalid_request", "aud names another server than this one"));
    }
    let challenge = Challenge::parse(asked.get("code_challenge"), asked.get("code_challenge_method"))?;
    let scopes: ScopeSet = asked
        .need("scope")?
        .parse()
        .map_err(|_| OAuthError::new("invalid_scope", "a scope is not known here: see scopes_supported"))?;
    let registered: ScopeSet = client.scopes.parse().unwrap_or_default();
    if scopes.is_empty() || registered.first_beyond(&scopes).is_some() {
        return Err(OAuthError::new(
            "invalid_scope",
            "the app is not registered for a scope that it asks for",
        ));
    }
    if asked.get("launch").is_some() != scopes.has(&SmartScope::Launch) {
        return Err(OAuthError::new(
            "invalid_request",
            "the parameter launch and the scope launch go together: send both, or none",
        ));
    }
    Ok((state, scopes, challenge))
}

/// How long ago the person may have presented a factor: `max_age`, and with `prompt=login` just now (OpenID Connect Core 1.0 section
/// 3.1.2.1). Nobody presents one and presses a button at the same moment, so it is never less than a minute.
fn oldest_factor(asked: &Parameters) -> Result<Option<Duration>, OAuthError> {
    const JUST_NOW: Duration = Duration::from_secs(60);
    const NOT_A_NUMBER: OAuthError =
        OAuthError::new("invalid_request", "max_age is a number of seconds, without a sign");
    let max_age =
        asked.get("max_age").map(|text| text.parse::<u32>().map_err(|_| NOT_A_NUMBER)).transpose()?;
    let login = asked.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == "login"));
    let max_age = max_age.map(|seconds| Duration::from_secs(seconds.into()).max(JUST_NOW));
    Ok(if login { Some(JUST_NOW) } else { max_age })
}

/// `GET /oauth/authorize`
pub(super) async fn begin(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    match Request::check(&visit, &query).await {
        Ok(_) => Ok(Redirect::to(&format!("/consent?{query}")).into_response()),
        Err(Refused::There(address)) => Ok(Redirect::to(&address).into_response()),
        Err(Refused::Here(problem)) => Err(problem),
    }
}

/// What an app asks for.
#[derive(Serialize, ToSchema)]
pub(super) struct Asked {
    /// The app's name.
    app: String,
    /// The site that the person is sent back to.
    site: String,
    /// What it asks for.
    #[schema(inline)]
    scopes: Vec<Wish>,
    /// `none`, `known`, or `pick`: whether the person has to say which patient it is about.
    patient: &'static str,
    /// The patient from whose chart the app was opened, if it was opened from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    launched_for: Option<String>,
    /// Whether it goes on after signing out.
    offline: bool,
}

/// One scope.
#[derive(Serialize, ToSchema)]
struct Wish {
    /// As the app wrote it.
    scope: String,
    /// In words.
    means: String,
}

/// `GET /api/v1/consent`
pub(super) async fn asked(
    SignedIn(caller): SignedIn,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let request = put(&visit, &query.unwrap_or_default()).await?;
    let launched = request.launched(&caller, &visit).await?;
    let known = launched.is_some() || caller.patient().is_some();
    let patient = match (request.scopes.needs_patient(), known) {
        (false, _) => "none",
        (true, true) => "known",
        (true, false) => "pick",
    };
    let asked = Asked {
        app: request.client.name.clone(),
        site: redirect::origin(&request.redirect_uri).unwrap_or_default(),
        scopes: request
            .scopes
            .iter()
            .map(|(text, scope)| Wish { scope: text.to_owned(), means: words(scope) })
            .collect(),
        patient,
        launched_for: launched.map(|launched| launched.chart.patient.to_string()),
        offline: request.scopes.has(&SmartScope::Offline),
    };
    Ok(Json(asked).into_response())
}

/// A request as it is put to the person: what could only be told to the app has been told it at `/oauth/authorize`.
async fn put(visit: &Visit, query: &str) -> Result<Request, Problem> {
    Request::check(visit, query).await.map_err(|refused| match refused {
        Refused::Here(problem) => problem,
        Refused::There(_) => catalogue::APP_REQUEST_NOT_VALID,
    })
}

/// A scope in words, for whoever decides on it.
fn words(scope: &SmartScope) -> String {
    match scope {
        SmartScope::Access(access) => access_words(access),
        SmartScope::Launch => "Know which chart is open".to_owned(),
        SmartScope::LaunchPatient => "Know which patient you choose".to_owned(),
        SmartScope::OpenId | SmartScope::FhirUser | SmartScope::Profile => "Know who you are".to_owned(),
        SmartScope::Offline => "Go on after you sign out, until you withdraw it".to_owned(),
        SmartScope::Online => "Go on while you are signed in".to_owned(),
    }
}

fn access_words(access: &AccessScope) -> String {
    let letters: String = access.interactions.letters().collect();
    let sees = letters.contains(['r', 's']);
    let changes = letters.contains(['c', 'u', 'd']);
    let verb = match (sees, changes) {
        (true, true) => "See and change",
        (false, true) => "Write",
        _ => "See",
    };
    let what = access.kind.map_or("everything", |kind| kind.as_str());
    let part = access.category.as_deref().and_then(|category| category.rsplit('|').next());
    let part = part.map(|code| format!(" of the category {code}")).unwrap_or_default();
    let whose = match access.level {
        Level::Patient => "in the chart of one patient",
        Level::User => "that you may see",
        Level::System => "of the organisation",
    };
    format!("{verb} {what}{part} {whose}")
}

/// What the person decides.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    /// The query of the authorization request, as it came.
    request: String,
    /// Whether the app is let in.
    allow: bool,
    /// The scopes that it gets, of those that it asks for; all of them if nothing is said.
    #[serde(default)]
    scopes: Option<Vec<String>>,
    /// The patient that it is about, if it is to be chosen: one whose chart the person may read.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    patient: Option<String>,
}

/// Where to go on.
#[derive(Serialize, ToSchema)]
pub(super) struct Consented {
    /// The app's address, with a code that is good for a minute, or with the refusal.
    redirect_to: String,
}

/// `POST /api/v1/consent`
pub(super) async fn decide(
    SignedIn(caller): SignedIn,
    visit: Visit,
    problem::Json(decision): problem::Json<Decision>,
) -> Result<Response, Problem> {
    let request = put(&visit, &decision.request).await?;
    let redirect_to = if decision.allow {
        allow(&caller, &visit, &request, &decision).await?
    } else {
        let told = [("error", "access_denied"), ("error_description", "the person did not let the app in")];
        request.back(&visit, &told)
    };
    Ok(Json(Consented { redirect_to }).into_response())
}

async fn allow(
    caller: &Caller,
    visit: &Visit,
    request: &Request,
    decision: &Decision,
) -> Result<String, Problem> {
    request.check_factor(caller, visit.api.vault.clock().now())?;
    let chosen = match &decision.scopes {
        None => Some(request.scopes.clone()),
        Some(chosen) => request.scopes.only(&chosen.iter().map(String::as_str).collect()),
    };
    let scopes = kept(caller, visit, chosen.ok_or(catalogue::SCOPE_NOT_KNOWN)?).await?;
    let launched = request.launched(caller, visit).await?;
    let chart = match (&launched, decision.patient.as_deref()) {
        // The chart says whom it is about, and nobody else does.
        (Some(_), Some(_)) => return Err(catalogue::APP_REQUEST_NOT_VALID),
        (Some(launched), None) => Some(launched.chart),
        (None, chosen) if scopes.needs_patient() => Some(chosen_chart(caller, chosen)?),
        (None, _) => None,
    };
    if let Some(chart) = chart {
        launch::check(caller, visit, chart).await?;
    }
    let consent = Consent {
        client: &request.client,
        scopes: &scopes.to_string(),
        patient: chart.map(|chart| chart.patient).filter(|_| scopes.needs_patient()),
        encounter: chart.and_then(|chart| chart.encounter).filter(|_| scopes.has(&SmartScope::Launch)),
        launch: launched.as_ref(),
        offline: scopes.has(&SmartScope::Offline),
        redirect_uri: &request.redirect_uri,
        challenge: request.challenge,
        nonce: request.nonce.as_deref(),
    };
    let people = visit.identity.repository();
    let prepared = people.prepare_consent(caller, &consent)?;
    // On record first: an entry without the access may be, the other way round not.
    visit.record_about_app(AccountEvent::AllowApp, &prepared.said()).await?;
    let code = people.consent(prepared).await?;
    Ok(request.back(visit, &[("code", code.reveal())]))
}

/// The scopes without what nobody could keep: `fhirUser` of a person whom no resource stands for.
async fn kept(caller: &Caller, visit: &Visit, scopes: ScopeSet) -> Result<ScopeSet, Problem> {
    let nobody = scopes.has(&SmartScope::FhirUser)
        && visit.identity.repository().fhir_user(caller.person()).await?.is_none();
    let chosen = scopes.iter().filter(|(_, scope)| !(nobody && **scope == SmartScope::FhirUser));
    let chosen = scopes.only(&chosen.map(|(text, _)| text).collect());
    chosen.filter(|scopes| !scopes.is_empty()).ok_or(catalogue::SCOPE_NOT_KNOWN)
}

/// The patient that was chosen, or the person's own chart.
fn chosen_chart(caller: &Caller, chosen: Option<&str>) -> Result<Chart, Problem> {
    let patient = match chosen {
        Some(chosen) => chosen.parse().map_err(|_| catalogue::NOT_FOUND)?,
        None => caller.patient().ok_or(catalogue::PATIENT_NEEDED)?,
    };
    Ok(Chart { patient, encounter: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_what_is_asked_for_is_said_in_words() {
        let said = |text: &str| {
            let scopes: ScopeSet = text.parse().unwrap();
            scopes.iter().map(|(_, scope)| words(scope)).collect::<Vec<_>>()
        };
        assert_eq!(said("patient/*.rs"), ["See everything in the chart of one patient"]);
        assert_eq!(said("user/Condition.cruds"), ["See and change Condition that you may see"]);
        assert_eq!(said("patient/Observation.c"), ["Write Observation in the chart of one patient"]);
        assert_eq!(
            said(
                "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"
            ),
            ["See Observation of the category vital-signs in the chart of one patient"]
        );
        assert_eq!(said("offline_access"), ["Go on after you sign out, until you withdraw it"]);
    }

    #[test]
    fn i11_an_answer_goes_back_with_its_state_and_its_issuer() {
        let address =
            back("https://a.example", "https://app.example/cb?x=1", Some("s t"), &[("code", "c&d")]);
        assert_eq!(address, "https://app.example/cb?x=1&code=c%26d&state=s+t&iss=https%3A%2F%2Fa.example");
    }
}
