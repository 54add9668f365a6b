//! The endpoints at which an app speaks for itself: tokens, revocation, introspection.

use axum::{
    Json,
    body::Bytes,
    response::{IntoResponse, Response},
};
use carekeep_identity::{
    oauth::{
        OAuthError, assertion,
        id_token::{Claims, SigningKey},
    },
    storage::{Client, Issued, PgRepository, Proof},
};
use carekeep_policy::smart::{ScopeSet, SmartScope};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{super::visit::Visit, Addresses, Failure, Parameters};
use crate::problem::catalogue;

/// `POST /oauth/token`
pub(super) async fn issue(visit: Visit, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    let issued = issue_to(&visit, &headers, &body).await;
    let mut response = Json(counted(&visit, issued).await?).into_response();
    // For caches of HTTP/1.0, as RFC 6749 section 5.1 has it.
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// What was refused counts as a failed sign-in of the address; an app that is who it says does not use up anybody's tries.
async fn counted<T>(visit: &Visit, done: Result<T, Failure>) -> Result<T, Failure> {
    if matches!(&done, Err(Failure::Protocol(error)) if matches!(error.code, "invalid_client" | "invalid_grant"))
    {
        visit.count_address().await?;
    }
    done
}

async fn issue_to(visit: &Visit, headers: &HeaderMap, body: &[u8]) -> Result<Value, Failure> {
    let form = Parameters::parse(body)?;
    let client = client(visit, headers, &form).await?;
    let people = visit.identity.repository();
    // Before anything is used up: what fails here may be tried again.
    let registered: ScopeSet = client.scopes.parse().unwrap_or_default();
    let key = if registered.has(&SmartScope::OpenId) { Some(people.signing_key().await?) } else { None };
    let prepared = match form.need("grant_type")? {
        "authorization_code" => {
            let proof = (form.need("redirect_uri")?, form.need("code_verifier")?);
            people.exchange_code(&client, form.need("code")?, proof).await?
        }
        "refresh_token" => {
            let asked = form.get("scope").map(str::to_owned);
            let narrow = move |granted: &str| narrowed(granted, asked.as_deref());
            people.refresh(&client, form.need("refresh_token")?, &narrow).await?
        }
        "client_credentials" => {
            let asked = form.get("scope").unwrap_or(&client.scopes);
            let scopes = narrowed(&client.scopes, Some(asked)).ok_or(BEYOND)?;
            people.backend_token(&client, scopes).await?
        }
        _ => {
            const OTHER: OAuthError = OAuthError::new(
                "unsupported_grant_type",
                "use authorization_code, refresh_token or client_credentials",
            );
            return Err(OTHER.into());
        }
    };
    // On record first, and before anything is used up: an entry without a token may be, the other way round not.
    visit.record_token(&prepared).await?;
    let issued = people.give_tokens(prepared).await?;
    answer(visit, (&client, key.as_ref()), issued).await
}

const BEYOND: OAuthError = OAuthError::new("invalid_scope", "ask for scopes that the app is registered for");

/// The scopes that are asked for, if those that there are cover them; all of these if nothing is asked for.
fn narrowed(granted: &str, asked: Option<&str>) -> Option<String> {
    let Some(asked) = asked else { return Some(granted.to_owned()) };
    let (granted, asked) = (granted.parse::<ScopeSet>().ok()?, asked.parse::<ScopeSet>().ok()?);
    (!asked.is_empty() && granted.first_beyond(&asked).is_none()).then(|| asked.to_string())
}

async fn answer(
    visit: &Visit,
    (client, key): (&Client, Option<&SigningKey>),
    issued: Issued,
) -> Result<Value, Failure> {
    let mut answer = Map::new();
    let mut say = |name: &str, value: Value| answer.insert(name.to_owned(), value);
    say("access_token", issued.access.reveal().into());
    say("token_type", "Bearer".into());
    say("expires_in", issued.life.as_secs().into());
    say("scope", issued.scopes.clone().into());
    if let Some(refresh) = &issued.refresh {
        say("refresh_token", refresh.reveal().into());
    }
    if let Some(patient) = issued.patient {
        say("patient", patient.to_string().into());
        say("need_patient_banner", true.into());
    }
    if let Some(encounter) = issued.encounter {
        say("encounter", encounter.to_string().into());
    }
    let scopes: ScopeSet = issued.scopes.parse().unwrap_or_default();
    if let (Some(key), true) = (key, scopes.has(&SmartScope::OpenId)) {
        say("id_token", id_token(visit, (client, key), &issued, &scopes).await?.into());
    }
    Ok(Value::Object(answer))
}

async fn id_token(
    visit: &Visit,
    (client, key): (&Client, &SigningKey),
    issued: &Issued,
    scopes: &ScopeSet,
) -> Result<String, Failure> {
    let people = visit.identity.repository();
    let now = visit.api.vault.clock().now();
    let (person, app) = (issued.person.to_string(), client.id.to_string());
    let user = if scopes.has(&SmartScope::FhirUser) { people.fhir_user(issued.person).await? } else { None };
    let user = user.map(|reference| format!("{}/{reference}", Addresses(&visit.origin).fhir()));
    let name =
        if scopes.has(&SmartScope::Profile) { people.display_name(issued.person).await? } else { None };
    let claims = Claims {
        iss: &visit.origin,
        sub: &person,
        aud: &app,
        iat: Claims::seconds(now),
        exp: Claims::expiry(now),
        auth_time: Claims::seconds(issued.factor_at),
        nonce: issued.nonce.as_deref(),
        fhir_user: user.as_deref(),
        name: name.as_deref(),
    };
    Ok(key.sign(&claims).map_err(|_| catalogue::INTERNAL)?)
}

/// `POST /oauth/revoke`
pub(super) async fn revoke(visit: Visit, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    let form = Parameters::parse(&body)?;
    let client = counted(&visit, client(&visit, &headers, &form).await).await?;
    visit.identity.repository().revoke_app_token(&client, form.need("token")?).await?;
    Ok(StatusCode::OK.into_response())
}

/// `POST /oauth/introspect`
pub(super) async fn introspect(visit: Visit, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    let form = Parameters::parse(&body)?;
    let client = counted(&visit, client(&visit, &headers, &form).await).await?;
    let found = visit.identity.repository().introspect(&client, form.need("token")?).await?;
    let Some(token) = found else { return Ok(Json(json!({"active": false})).into_response()) };
    let mut answer = json!({
        "active": true,
        "scope": token.scopes,
        "client_id": client.id.to_string(),
        "sub": token.person.to_string(),
        "iss": &*visit.origin,
        "exp": Claims::seconds(token.expires),
    });
    if let Some(patient) = token.patient {
        answer["patient"] = patient.to_string().into();
    }
    if let Some(encounter) = token.encounter {
        answer["encounter"] = encounter.to_string().into();
    }
    Ok(Json(answer).into_response())
}

/// The app that asks, by the one way in which it proves who it is.
async fn client(visit: &Visit, headers: &HeaderMap, form: &Parameters) -> Result<Client, Failure> {
    let people: &PgRepository = visit.identity.repository();
    let basic = basic(headers)?;
    let asserted = form.get("client_assertion");
    let secret = form.get("client_secret");
    let ways = usize::from(basic.is_some()) + usize::from(asserted.is_some()) + usize::from(secret.is_some());
    if ways > 1 {
        return Err(OAuthError::new("invalid_request", "prove who the client is in one way").into());
    }
    let audience = Addresses(&visit.origin).token();
    let (id, proof) = match (&basic, asserted, secret) {
        (Some((id, secret)), ..) => (id.clone(), Proof::Secret(secret)),
        (_, Some(text), _) => {
            if form.get("client_assertion_type") != Some(assertion::ASSERTION_TYPE) {
                return Err(OAuthError::INVALID_CLIENT.into());
            }
            let claimed = assertion::claimed_client(text).ok_or(OAuthError::INVALID_CLIENT)?;
            (claimed, Proof::Assertion(text, &audience))
        }
        (_, _, Some(secret)) => (form.need("client_id")?.to_owned(), Proof::Secret(secret)),
        _ if form.get("client_id").is_none() && form.get("grant_type") == Some("refresh_token") => {
            return Ok(people.public_app_of(form.need("refresh_token")?).await?);
        }
        _ => (form.need("client_id")?.to_owned(), Proof::None),
    };
    if form.get("client_id").is_some_and(|named| named != id) {
        return Err(OAuthError::INVALID_CLIENT.into());
    }
    Ok(people.authenticate_app(&id, proof).await?)
}

/// Id and secret of `Authorization: Basic` (RFC 6749 section 2.3.1). Ids and secrets that are given out here are spelled alike
/// encoded and plain.
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, OAuthError> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = given.next() else { return Ok(None) };
    let parse = || {
        let (scheme, text) = first.to_str().ok()?.split_once(' ')?;
        let decoded = data_encoding::BASE64.decode(text.trim().as_bytes()).ok()?;
        let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        scheme.eq_ignore_ascii_case("basic").then(|| (id.to_owned(), secret.to_owned()))
    };
    match (parse(), given.next()) {
        (Some(found), None) => Ok(Some(found)),
        _ => Err(OAuthError::INVALID_CLIENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_a_token_never_has_more_than_was_granted() {
        assert_eq!(narrowed("patient/*.rs openid", None).as_deref(), Some("patient/*.rs openid"));
        assert_eq!(
            narrowed("patient/*.rs openid", Some("patient/Condition.r")).as_deref(),
            Some("patient/Condition.r")
        );
        for more in ["patient/*.cruds", "user/*.rs", "offline_access", "", "nonsense"] {
            assert_eq!(narrowed("patient/*.rs openid", Some(more)), None, "{more}");
        }
    }

    #[test]
    fn i11_a_client_that_presents_two_headers_or_another_scheme_is_nobody() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            basic(&headers)
        };
        let good = format!("Basic {}", data_encoding::BASE64.encode(b"id:secret"));
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[&good]), Ok(Some(("id".to_owned(), "secret".to_owned()))));
        for bad in [&[good.as_str(), good.as_str()][..], &["Bearer x"], &["Basic !"], &["Basic aWQ="]] {
            assert_eq!(of(bad), Err(OAuthError::INVALID_CLIENT), "{bad:?}");
        }
    }
}
