//! Signing in by the tenant's own identity provider (OpenID Connect Core 1.0): to the provider and back, who is linked to whom, and
//! which provider it is. docs/federation.md says what counts.
//!
//! Invariant: what the browser brings back is used up before it is looked at, and believed for the browser that began it only.

mod known;
mod link;
mod settings;

use axum::{
    extract::RawQuery,
    response::{IntoResponse, Redirect, Response},
    routing::{delete, get, post, put},
};
use carekeep_identity::{
    PlainToken,
    federation::{self, Asserted, Expected, Metadata, Round, assertion_claims},
    flow::SessionState,
    oauth::assertion::ASSERTION_TYPE,
    passkey::CeremonyId,
    service::{IdentityError, Live, RepositoryError},
    session::SessionRecord,
    storage::{FederationError, SetProvider},
};
use carekeep_vault::{AccountEvent, Factor};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

pub use known::Providers;

use self::{
    known::Failed,
    link::{Federation, Link},
    settings::{Agreed, NewProvider, ProviderView},
};
use super::{super::Endpoint, answer::arrived, oauth::Parameters, sign_in::factors, visit::Visit};
use crate::{
    api::session::cookie,
    edge::to_its_end,
    problem::{Problem, catalogue},
};

/// The cookie that binds a round to the browser that began it. Lax: the provider sends the browser back from its own site.
const ROUND_COOKIE: &str = "__Host-carekeep-round";
const CALLBACK: &str = "/federation/callback";

/// The routes.
pub(super) fn endpoints() -> Vec<Endpoint> {
    const SETTINGS: &str = "/api/v1/settings/identity-provider";
    const AGREED: &str = "/api/v1/settings/identity-provider/agree";
    const OWN: &str = "/api/v1/federation";
    let done = StatusCode::NO_CONTENT;
    vec![
        Endpoint::new(Method::GET, "/federation/start", "federation.start", get(start))
            .public()
            .says("Go to the organisation's identity provider to sign in. For browsers.")
            .answers(StatusCode::SEE_OTHER),
        Endpoint::new(Method::GET, CALLBACK, "federation.callback", get(callback))
            .public()
            .says("Where the provider sends the browser back to, with a code that is good once. For browsers.")
            .asks(&["code", "state", "iss", "error"])
            .answers(StatusCode::SEE_OTHER),
        Endpoint::new(Method::GET, SETTINGS, "settings.identity_provider", get(settings::read))
            .says("The identity provider by which staff sign in.")
            .gives::<ProviderView>(),
        Endpoint::new(Method::PUT, SETTINGS, "settings.put_identity_provider", put(settings::put))
            .says("Set the identity provider. Sessions that began by the one before end.")
            .takes::<NewProvider>()
            .answers(done),
        Endpoint::new(Method::POST, AGREED, "settings.agree_identity_provider", post(settings::agree))
            .says("Agree that two factors of the identity provider, as another one set it, are two factors here.")
            .takes::<Agreed>()
            .answers(done),
        Endpoint::new(Method::DELETE, SETTINGS, "settings.remove_identity_provider", delete(settings::remove))
            .says("Do without the identity provider. Sessions that began by it end.")
            .answers(done),
        Endpoint::new(Method::GET, OWN, "federation.read", get(link::read))
            .says("Whether you are linked to an account of the identity provider.")
            .gives::<Federation>(),
        Endpoint::new(Method::POST, OWN, "federation.link", post(link::begin))
            .says("Begin to link yourself to your account of the identity provider: gives the address to go to.")
            .gives::<Link>(),
        Endpoint::new(Method::DELETE, OWN, "federation.unlink", delete(link::end))
            .says("Unlink yourself from your account of the identity provider.")
            .answers(done),
    ]
}

/// Why somebody is not signed in: a page says what to do next.
enum Stopped {
    /// The page.
    Page(&'static str),
    /// This server cannot do it now, or too much is asked of it.
    Here(Problem),
}

impl From<Problem> for Stopped {
    fn from(problem: Problem) -> Self {
        Self::Here(problem)
    }
}

impl From<IdentityError> for Stopped {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Refused => Self::Page("nobody"),
            IdentityError::NoSession => Self::Page("stale"),
            other => Self::Here(other.into()),
        }
    }
}

impl From<FederationError> for Stopped {
    fn from(error: FederationError) -> Self {
        match error {
            FederationError::NoProvider => Self::Page("none"),
            FederationError::Taken => Self::Page("taken"),
            FederationError::OtherProvider | FederationError::SessionOver => Self::Page("stale"),
            other => Self::Here(other.into()),
        }
    }
}

impl From<Failed> for Stopped {
    fn from(failed: Failed) -> Self {
        Self::Page(match failed {
            Failed::Away => "away",
            Failed::Refused => "refused",
            Failed::NotBelieved => "answer",
        })
    }
}

impl From<RepositoryError> for Stopped {
    fn from(error: RepositoryError) -> Self {
        IdentityError::from(error).into()
    }
}

impl Stopped {
    fn answer(self) -> Result<Response, Problem> {
        match self {
            Self::Page(why) => Ok(Redirect::to(&format!("/sign-in-stopped?why={why}")).into_response()),
            Self::Here(problem) => Err(problem),
        }
    }
}

/// `GET /federation/start`
async fn start(visit: Visit, headers: HeaderMap) -> Result<Response, Problem> {
    visit.count_address().await?;
    // Whoever follows another site's link is not signed in, perhaps as somebody else, without having asked for it.
    if followed_from_elsewhere(&headers) {
        return Ok(Redirect::to("/sign-in").into_response());
    }
    match depart(&visit, None).await {
        Ok((address, holder)) => {
            let mut response = Redirect::to(&address).into_response();
            hold(&mut response, Some(&holder))?;
            Ok(response)
        }
        Err(stopped) => stopped.answer(),
    }
}

/// Begins a round: where the browser goes, and what it keeps.
async fn depart(visit: &Visit, link: Option<&Live>) -> Result<(String, PlainToken), Stopped> {
    let (set, metadata, _) = provider(visit).await?;
    let begun = visit.identity.begin_round((&set.provider.issuer, set.id), link).await?;
    let back = format!("{}{CALLBACK}", visit.origin);
    let state = begun.state.as_uuid().to_string();
    Ok((begun.round.address(&set.provider, &metadata, (&back, &state)), begun.holder))
}

type Secret = Option<federation::SecretText>;

async fn provider(visit: &Visit) -> Result<(SetProvider, Metadata, Secret), Stopped> {
    let (set, secret) = visit.identity.repository().provider_with_secret().await?;
    let now = visit.api.vault.clock().now();
    let metadata = visit.api.providers.metadata(visit.tenant, &set, now).await?;
    Ok((set, metadata, secret))
}

fn followed_from_elsewhere(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    sites.any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// `GET /federation/callback`
async fn callback(visit: Visit, headers: HeaderMap, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    visit.count_address().await?;
    let holder = cookie(&headers, ROUND_COOKIE).map(str::to_owned);
    // It begins a session and ends another one: whoever hangs up in between leaves no half of it.
    let arrived = to_its_end(async move {
        arrive(&visit, holder.as_deref(), &query.unwrap_or_default()).await.or_else(Stopped::answer)
    });
    let mut response = arrived.await?;
    hold(&mut response, None)?;
    Ok(response)
}

async fn arrive(visit: &Visit, holder: Option<&str>, query: &str) -> Result<Response, Stopped> {
    const STALE: Stopped = Stopped::Page("stale");
    let asked = Parameters::parse(query.as_bytes()).map_err(|_| STALE)?;
    let state =
        asked.get("state").and_then(|state| state.parse().ok()).map(CeremonyId::from_uuid).ok_or(STALE)?;
    let round = visit.identity.take_round(state, holder.ok_or(STALE)?).await?.ok_or(STALE)?;
    if asked.get("error").is_some() {
        return Err(Failed::Refused.into());
    }
    let (set, metadata, secret) = provider(visit).await?;
    if set.id != round.provider {
        return Err(STALE);
    }
    let answer = federation::Answer { code: asked.get("code"), iss: asked.get("iss"), error: None };
    let code = round.code(&answer, &metadata).ok_or(Failed::NotBelieved)?;
    let asserted = ask(visit, (&set, &metadata, &secret), &round, code).await?;
    match round.link {
        Some(session) => link::finish(visit, session, (&set, &asserted)).await,
        None => sign_in(visit, &set, &asserted).await,
    }
}

/// Exchanges the code for what the provider says (OpenID Connect Core 1.0 section 3.1.3).
async fn ask(
    visit: &Visit,
    (set, metadata, secret): (&SetProvider, &Metadata, &Secret),
    round: &Round,
    code: &str,
) -> Result<Asserted, Stopped> {
    let provider = &set.provider;
    let (vault, people) = (&visit.api.vault, visit.identity.repository());
    let (now, back) = (vault.clock().now(), format!("{}{CALLBACK}", visit.origin));
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &back),
        ("client_id", &provider.client_id),
        ("code_verifier", &round.verifier),
    ];
    let assertion;
    if let Some(secret) = secret {
        form.push(("client_secret", secret.as_str()));
    } else {
        let key = people.signing_key().await.map_err(Problem::from)?;
        let claims = assertion_claims(provider, metadata, now, &**vault.random());
        assertion = key.sign(&claims).map_err(|_| catalogue::INTERNAL)?;
        form.extend([("client_assertion_type", ASSERTION_TYPE), ("client_assertion", &assertion)]);
    }
    // Whoever makes codes up does not make us ask the provider all the time.
    visit.api.limiter.check_provider(visit.tenant).map_err(Problem::from)?;
    let token = visit.api.providers.exchange((visit.tenant, metadata), &form).await?;
    let expected = Expected {
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        nonce: &round.nonce,
        claim: &provider.subject_claim,
        now,
    };
    Ok(visit.api.providers.verified((visit.tenant, set.id), metadata, &token, expected).await?)
}

async fn sign_in(visit: &Visit, set: &SetProvider, asserted: &Asserted) -> Result<Response, Stopped> {
    let (people, identity) = (visit.identity.repository(), &visit.identity);
    let known = people.federated_person(&set.provider, asserted).await?.ok_or(Stopped::Page("nobody"))?;
    let two = known.confirmed && set.provider.vouches_for_two(asserted);
    let signed_in = identity.sign_in_federated(&known.person, two).await?;
    if !known.confirmed {
        people.note_subject(&signed_in.session, (set, &asserted.subject)).await?;
    }
    // What ends sessions that began by the provider may not have seen this one: then it is not begun.
    let whole = matches!(signed_in.session.state, SessionState::Active { .. });
    if !people.federation_stands(set, &known, whole).await? {
        identity.sign_out(signed_in.token.reveal()).await?;
        return Err(Stopped::Page("stale"));
    }
    visit.end_previous().await?;
    let next = match signed_in.session.state {
        SessionState::Active { .. } => "/sign-in#in".to_owned(),
        // What the person has is told to nobody but the browser, and only after the provider has said who it is.
        _ => {
            let mut own = factors(visit, known.person.id).await?;
            if !identity.code_follows_provider(&known.person).await? {
                own.retain(|factor| *factor == "passkey");
            }
            format!("/sign-in#second={}", own.join(","))
        }
    };
    let response = Redirect::to(&next).into_response();
    Ok(arrived(visit, AccountEvent::SignIn(Factor::Federated), &signed_in, response).await?)
}

/// Has the browser keep what binds it to a round, or forget it.
fn hold(response: &mut Response, holder: Option<&PlainToken>) -> Result<(), Problem> {
    let (value, seconds) = holder.map_or(("", 0), |holder| (holder.reveal(), 600));
    let text = format!("{ROUND_COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    let mut value = HeaderValue::from_str(&text).map_err(|_| catalogue::INTERNAL)?;
    value.set_sensitive(true);
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

/// Links the person for good, once a factor of their own stands beside what the provider said of them.
pub(super) async fn confirmed(visit: &Visit, session: &SessionRecord) -> Result<(), Problem> {
    let people = visit.identity.repository();
    if session.confirms_provider() && people.awaits_confirmation(session).await? {
        // On record first: an entry without the link may be, the other way round not.
        visit.record(AccountEvent::LinkProvider, session).await?;
        people.confirm_subject(session).await?;
    }
    Ok(())
}
