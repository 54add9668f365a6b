//! What the tenant decides about the ways in, for its administrators.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::{
    passkey::{PasskeyPolicy, TrustedMaker},
    settings::SignInSettings,
};
use carekeep_policy::Role;
use carekeep_vault::catalogue::{ManageTenant, ReadSettings};
use data_encoding::HEXLOWER;
use http::StatusCode;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use utoipa::ToSchema;
use uuid::Uuid;

use super::visit::Visit;
use crate::{
    api::SignedIn,
    problem::{self, Problem, catalogue},
};

/// The ways in.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// Which passkeys a role may use, by role: `any`, `device-bound` or `attested`; `any` where nothing is said. Of several
    /// roles the strictest counts.
    #[schema(value_type = Object)]
    passkeys: BTreeMap<String, PasskeyPolicy>,
    /// Whom `attested` goes by.
    #[schema(inline)]
    makers: Vec<Maker>,
    /// Whether health data is for devices that whoever works with it has confirmed; patients and proxies read from any.
    confirmed_devices: bool,
    /// Whether people may sign in by password and a second factor; without, by a passkey only. When it is taken back, everybody else is signed out.
    passwords: bool,
    /// How long an approved recovery of an account is held before it can be used, in hours: 1 to 720. A shorter one takes effect
    /// when the longer one has passed since the change.
    recovery_hold_hours: u16,
    /// Which decision this is. Send it back with a change: what somebody else decided since is not overwritten by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The longer hold that still counts; what a change says here counts nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    longer_hold: Option<Hold>,
}

/// A hold that still counts.
#[derive(Serialize, ToSchema)]
struct Hold {
    /// Hours.
    hours: u16,
    /// Until when.
    #[schema(format = "date-time")]
    until: String,
}

/// The ways in as somebody wants them: the whole of it, so that what is left out is not taken for a wish.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    passkeys: Option<BTreeMap<String, PasskeyPolicy>>,
    makers: Option<Vec<Maker>>,
    confirmed_devices: Option<bool>,
    passwords: Option<bool>,
    recovery_hold_hours: Option<u16>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default, rename = "longer_hold")]
    _longer_hold: IgnoredAny,
}

impl Wanted {
    fn whole(self) -> Result<SignIn, Problem> {
        let missing = [
            (self.passkeys.is_none(), "passkeys"),
            (self.makers.is_none(), "makers"),
            (self.confirmed_devices.is_none(), "confirmed_devices"),
            (self.passwords.is_none(), "passwords"),
            (self.recovery_hold_hours.is_none(), "recovery_hold_hours"),
        ];
        let missing: Vec<_> = missing.into_iter().filter_map(|(is, name)| is.then_some(name)).collect();
        match (self.passkeys, self.makers, self.confirmed_devices, self.passwords, self.recovery_hold_hours) {
            (Some(passkeys), Some(makers), Some(confirmed_devices), Some(passwords), Some(hours)) => {
                Ok(SignIn {
                    passkeys,
                    makers,
                    confirmed_devices,
                    passwords,
                    recovery_hold_hours: hours,
                    version: self.version,
                    longer_hold: None,
                })
            }
            _ => Err(catalogue::SETTINGS_NOT_ALLOWED
                .detail("The whole of the settings is needed; `missing` says what is not there.")
                .advice("Read the settings, change what you want to change, and send all of it.")
                .member("missing", missing.join(" "))),
        }
    }
}

/// A maker of authenticators.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Maker {
    /// The root certificate of its attestations, PEM.
    root: String,
    /// The models (AAGUIDs) that count, one at least.
    #[schema(value_type = Vec<String>)]
    models: Vec<Uuid>,
}

impl From<SignInSettings> for SignIn {
    fn from(settings: SignInSettings) -> Self {
        let maker = |TrustedMaker { root, models }| Maker { root, models };
        Self {
            passkeys: settings.passkeys,
            makers: settings.makers.into_iter().map(maker).collect(),
            confirmed_devices: settings.confirmed_devices,
            passwords: settings.passwords,
            recovery_hold_hours: settings.recovery_hold_hours,
            version: None,
            longer_hold: settings
                .longer_hold
                .map(|longer| Hold { hours: longer.hours, until: longer.until.to_string() }),
        }
    }
}

impl From<SignIn> for SignInSettings {
    fn from(body: SignIn) -> Self {
        let maker = |Maker { root, models }| TrustedMaker { root, models };
        Self {
            passkeys: body.passkeys,
            makers: body.makers.into_iter().map(maker).collect(),
            confirmed_devices: body.confirmed_devices,
            passwords: body.passwords,
            recovery_hold_hours: body.recovery_hold_hours,
            ..Self::default()
        }
    }
}

impl SignIn {
    /// For the ledger: what is decided, in words.
    fn deed(&self) -> String {
        let passkeys = serde_json::to_string(&self.passkeys).unwrap_or_default();
        let root = |maker: &Maker| HEXLOWER.encode(digest(&SHA256, maker.root.as_bytes()).as_ref());
        let makers: Vec<_> = self.makers.iter().map(|maker| (root(maker), &maker.models)).collect();
        format!(
            "passkeys {passkeys}, makers by SHA-256 of their root {makers:?}, confirmed devices {}, passwords {}, recovery held for {} h",
            self.confirmed_devices, self.passwords, self.recovery_hold_hours
        )
    }
}

/// `GET /api/v1/settings/sign-in`
pub(super) async fn sign_in(SignedIn(caller): SignedIn, visit: Visit) -> Result<Response, Problem> {
    let leave = visit.api.vault.authorize::<ReadSettings>(&caller, None).await?;
    let (mut settings, version) = visit.identity.repository().sign_in_settings(leave).await?;
    let now = visit.api.vault.clock().now();
    settings.longer_hold = settings.longer_hold.filter(|longer| now < longer.until);
    let version = Some(version.to_string());
    Ok(Json(SignIn { version, ..SignIn::from(settings) }).into_response())
}

/// `PUT /api/v1/settings/sign-in`
pub(super) async fn put_sign_in(
    SignedIn(caller): SignedIn,
    visit: Visit,
    problem::Json(wanted): problem::Json<Wanted>,
) -> Result<Response, Problem> {
    let body = wanted.whole()?;
    if body.passkeys.keys().any(|role| role.parse::<Role>().is_err()) {
        return Err(catalogue::ROLES_NOT_ALLOWED);
    }
    let seen = body.version.as_deref().map(str::parse::<u64>).transpose();
    let seen =
        seen.map_err(|_| catalogue::SETTINGS_NOT_ALLOWED.detail("`version` is none that was read here."))?;
    let deed = body.deed();
    let leave = visit.api.vault.authorize_deed::<ManageTenant>(&caller, None, Some(&deed)).await?;
    visit.identity.repository().put_sign_in_settings(leave, &caller, (&body.into(), seen)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
