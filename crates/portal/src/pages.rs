//! The pages: `/`, `/sign-in`, `/sign-in-stopped`, `/join`, `/recover`, `/consent`, `/apps`, `/clinics`, `/people`,
//! `/settings`.

use std::collections::HashMap;

use askama::Template;
use axum::{
    Extension,
    extract::Query,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use carekeep_kernel::TenantKind;

use crate::{Brand, RoleWords, SignInService, roles::roles_at, stopped::stop};

/// The session cookie; whether it is good is the API's business.
const COOKIE: &str = "__Host-carekeep=";

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    brand: &'a str,
    clinic: bool,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    brand: &'a str,
    clinic: bool,
    service: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "stopped.html")]
struct Stopped<'a> {
    brand: &'a str,
    said: &'static str,
    next: &'static str,
}

#[derive(Template)]
#[template(path = "join.html")]
struct Join<'a> {
    brand: &'a str,
    clinic: bool,
}

#[derive(Template)]
#[template(path = "recover.html")]
struct Recover<'a> {
    brand: &'a str,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct Consent<'a> {
    brand: &'a str,
}

#[derive(Template)]
#[template(path = "apps.html")]
struct Apps<'a> {
    brand: &'a str,
    clinic: bool,
}

#[derive(Template)]
#[template(path = "clinics.html")]
struct Clinics<'a> {
    brand: &'a str,
    clinic: bool,
}

#[derive(Template)]
#[template(path = "people.html")]
struct People<'a> {
    brand: &'a str,
    clinic: bool,
    roles: Vec<&'static RoleWords>,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Settings<'a> {
    brand: &'a str,
    clinic: bool,
    roles: Vec<&'static RoleWords>,
}

pub(crate) async fn home(Extension(brand): Extension<Brand>, headers: HeaderMap) -> Response {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let signed_in = cookies.flat_map(|value| value.split(';')).any(|pair| pair.trim().starts_with(COOKIE));
    if signed_in {
        page(&Home { brand: &brand.name, clinic: at_clinic(&brand) })
    } else {
        Redirect::to("/sign-in").into_response()
    }
}

pub(crate) async fn sign_in(
    Extension(brand): Extension<Brand>,
    service: Option<Extension<SignInService>>,
) -> Response {
    let service = service.as_ref().map(|Extension(service)| service.label.as_str());
    page(&SignIn { brand: &brand.name, clinic: at_clinic(&brand), service })
}

pub(crate) async fn sign_in_stopped(
    Extension(brand): Extension<Brand>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let stop = stop(query.get("why").map_or("", String::as_str));
    let shown = page(&Stopped { brand: &brand.name, said: stop.said, next: stop.next });
    (stop.status, shown).into_response()
}

pub(crate) async fn join(Extension(brand): Extension<Brand>) -> Response {
    page(&Join { brand: &brand.name, clinic: at_clinic(&brand) })
}

pub(crate) async fn recover(Extension(brand): Extension<Brand>) -> Response {
    page(&Recover { brand: &brand.name })
}

pub(crate) async fn consent(Extension(brand): Extension<Brand>) -> Response {
    page(&Consent { brand: &brand.name })
}

pub(crate) async fn apps(Extension(brand): Extension<Brand>) -> Response {
    page(&Apps { brand: &brand.name, clinic: at_clinic(&brand) })
}

pub(crate) async fn clinics(Extension(brand): Extension<Brand>) -> Response {
    page(&Clinics { brand: &brand.name, clinic: at_clinic(&brand) })
}

pub(crate) async fn people(Extension(brand): Extension<Brand>) -> Response {
    page(&People { brand: &brand.name, clinic: at_clinic(&brand), roles: roles_at(brand.kind) })
}

pub(crate) async fn settings(Extension(brand): Extension<Brand>) -> Response {
    page(&Settings { brand: &brand.name, clinic: at_clinic(&brand), roles: roles_at(brand.kind) })
}

fn at_clinic(brand: &Brand) -> bool {
    brand.kind == TenantKind::Clinic
}

fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
