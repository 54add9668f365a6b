//! What went wrong, as a problem that says what to do next and nothing about anybody else.

use carekeep_identity::{
    federation::ProviderError,
    flow::FlowError,
    oauth::ClientError,
    passkey::PasskeyError,
    password::PolicyError,
    service::{IdentityError, RepositoryError},
    storage::{AppError, FederationError, PeopleError, SettingsError},
};
use carekeep_policy::DenyReason;
use carekeep_vault::AccessError;

use crate::problem::{Problem, catalogue};

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Refused => catalogue::SIGN_IN_REFUSED,
            IdentityError::TooMany(after) => {
                let seconds = u32::try_from(after.seconds()).unwrap_or(u32::MAX);
                catalogue::TOO_MANY_REQUESTS.retry_after(seconds).member("lane", "factor")
            }
            IdentityError::Busy => catalogue::TOO_MANY_REQUESTS.retry_after(2).member("lane", "passwords"),
            IdentityError::NoSession => catalogue::UNAUTHENTICATED,
            IdentityError::FreshFactorNeeded => catalogue::FRESH_FACTOR_NEEDED,
            IdentityError::OutOfOrder(FlowError::SignInInstead) => catalogue::ALREADY_SET_UP,
            IdentityError::OutOfOrder(_) => catalogue::STEP_OUT_OF_ORDER,
            IdentityError::Recovery => catalogue::RECOVERY_NOT_OPEN,
            IdentityError::Invite(_) => catalogue::INVITATION_NOT_VALID,
            IdentityError::Policy(error) => password(error),
            IdentityError::NoPasswords => catalogue::PASSWORDS_NOT_USED,
            IdentityError::Passkey(error) => passkey(&error),
            IdentityError::PasskeyKnown => catalogue::PASSKEY_KNOWN,
            IdentityError::NoFactor | IdentityError::NoDevice => catalogue::NOT_FOUND,
            IdentityError::ConfirmElsewhere => catalogue::CONFIRM_ELSEWHERE,
            IdentityError::LastFactors => catalogue::LAST_FACTORS,
            IdentityError::Totp(_) => catalogue::NAME_NOT_SHOWABLE,
            IdentityError::Unavailable(error) => unavailable(&error),
            IdentityError::Corrupt => {
                tracing::error!("a stored credential cannot be read");
                catalogue::INTERNAL
            }
        }
    }
}

fn password(error: PolicyError) -> Problem {
    match error {
        PolicyError::TooShort(shortest) => catalogue::PASSWORD_NOT_ALLOWED
            .detail("The password is too short.")
            .advice("Use more characters, for example a few words; `shortest` says how many at least.")
            .member("shortest", shortest),
        PolicyError::TooLong => catalogue::PASSWORD_NOT_ALLOWED.detail("The password is too long."),
        PolicyError::Control => {
            catalogue::PASSWORD_NOT_ALLOWED.detail("The password has a character that cannot be typed.")
        }
        PolicyError::Common => catalogue::PASSWORD_NOT_ALLOWED,
    }
}

fn passkey(error: &PasskeyError) -> Problem {
    match error {
        PasskeyError::Stale => catalogue::PASSKEY_ATTEMPT_EXPIRED,
        PasskeyError::DeviceBoundNeeded => catalogue::PASSKEY_NOT_ALLOWED.member("needs", "device-bound"),
        PasskeyError::AttestedNeeded => catalogue::PASSKEY_NOT_ALLOWED
            .detail("An authenticator of a model that your organisation has listed is needed here.")
            .member("needs", "attested"),
        PasskeyError::Configuration | PasskeyError::Corrupt => {
            tracing::error!(error = %error, "passkeys do not work here");
            catalogue::INTERNAL
        }
        PasskeyError::Rejected(reason) => {
            tracing::info!(reason = %reason, "a passkey was refused");
            catalogue::PASSKEY_REFUSED
        }
    }
}

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::LoginTaken => catalogue::LOGIN_TAKEN,
            PeopleError::NotEmpty => catalogue::CONFLICT,
            PeopleError::SetUp => catalogue::PERSON_SET_UP,
            PeopleError::PatientsAccount => catalogue::PATIENTS_ACCOUNT,
            PeopleError::LastInRole => catalogue::LAST_IN_ROLE,
            PeopleError::Absent => catalogue::NOT_FOUND,
            PeopleError::Left => catalogue::PERSON_LEFT,
            PeopleError::NotYours => catalogue::NOT_YOURS_TO_DECIDE,
            PeopleError::NotJoined => catalogue::NOT_JOINED,
            PeopleError::UnderWay => catalogue::RECOVERY_UNDER_WAY,
            PeopleError::Asked => catalogue::ROLE_ASKED_FOR,
            PeopleError::SuspendedByOthers => catalogue::SUSPENDED_BY_OTHERS,
            PeopleError::TooManyTokens => catalogue::TOO_MANY_TOKENS,
            PeopleError::Gone => catalogue::NOT_FOUND,
            PeopleError::Name => catalogue::NAME_NOT_ALLOWED,
            PeopleError::OtherEvidence => catalogue::FORBIDDEN,
            PeopleError::Unavailable(cause) => unavailable(&*cause),
        }
    }
}

impl From<SettingsError> for Problem {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Makers(_) => catalogue::SETTINGS_NOT_ALLOWED,
            SettingsError::Hold => {
                catalogue::SETTINGS_NOT_ALLOWED.detail("A recovery is held for 1 to 720 hours.")
            }
            SettingsError::OnlyPasskeys => catalogue::SETTINGS_NOT_ALLOWED
                .detail("The people of the platform and of partners sign in by passkey only.")
                .advice("Leave passwords out."),
            SettingsError::LocksYouOut => catalogue::LOCKS_YOU_OUT,
            SettingsError::LocksOut(role) => catalogue::LOCKS_ROLE_OUT.member("role", role),
            SettingsError::Meanwhile => catalogue::CONFLICT
                .detail("Somebody else decided since you looked at it.")
                .advice("Read the settings, change what you want to change, and send all of it."),
            SettingsError::OtherEvidence => catalogue::FORBIDDEN,
            SettingsError::Unavailable(error) => unavailable(&error),
        }
    }
}

impl From<FederationError> for Problem {
    fn from(error: FederationError) -> Self {
        match error {
            FederationError::Provider(error) => catalogue::PROVIDER_NOT_VALID.detail(said(error)),
            FederationError::NoProvider => catalogue::NOT_FOUND,
            FederationError::Taken | FederationError::OtherProvider => catalogue::CONFLICT,
            FederationError::SessionOver => catalogue::UNAUTHENTICATED,
            FederationError::NotYours => catalogue::NOT_YOURS_TO_DECIDE
                .detail("You set it yourself, or it was set anew or agreed to since you looked at it."),
            FederationError::OtherEvidence => catalogue::FORBIDDEN,
            FederationError::Unavailable(error) => unavailable(&error),
        }
    }
}

const fn said(error: ProviderError) -> &'static str {
    match error {
        ProviderError::Issuer => {
            "The issuer is an https address without query, fragment, user name and password."
        }
        ProviderError::Words => {
            "client_id and label have 1 to 200 characters; amr and acr are up to 16 values of 1 to 200 characters."
        }
        ProviderError::Claim => "subject_claim is sub, oid or uid.",
    }
}

impl From<RepositoryError> for Problem {
    fn from(error: RepositoryError) -> Self {
        unavailable(&error)
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Refused(refused) => {
                catalogue::APP_REQUEST_NOT_VALID.detail(refused.description).member("error", refused.code)
            }
            AppError::Registration(error) => catalogue::APP_NOT_REGISTRABLE.detail(match error {
                ClientError::Name => "A name has 1 to 100 characters that can be shown.",
                ClientError::Redirect => {
                    "An app with people needs one to ten redirect URIs, https or http on loopback and without fragment; a program without people has none."
                }
                ClientError::Launch => {
                    "An app that is opened from a chart has an initiate_login_uri and the scope launch; no other app has either."
                }
                ClientError::Keys(_) => "The key set has no key that can be used, or one that cannot: RSA of 2048 bits or more, or P-384.",
                ClientError::Authentication => {
                    "private_key_jwt needs a key set, and a program without people needs private_key_jwt; nothing else has keys."
                }
            }),
            AppError::NotFound => catalogue::NOT_FOUND,
            AppError::OwnSession => catalogue::SIGN_IN_UNFINISHED,
            AppError::SessionOver => catalogue::UNAUTHENTICATED,
            AppError::OtherEvidence => catalogue::FORBIDDEN,
            AppError::Unavailable(cause) => unavailable(&*cause),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Invisible => catalogue::NOT_FOUND,
            AccessError::Gone => catalogue::GONE,
            AccessError::Forbidden(DenyReason::NeedsFreshFactor) => catalogue::FRESH_FACTOR_NEEDED,
            AccessError::Forbidden(DenyReason::NeedsSecondFactor) => catalogue::SIGN_IN_UNFINISHED,
            AccessError::Forbidden(DenyReason::NeedsKnownDevice) => catalogue::DEVICE_NOT_CONFIRMED,
            AccessError::Forbidden(reason) => catalogue::FORBIDDEN.member("reason", reason.as_str()),
            AccessError::NotShown => catalogue::FORBIDDEN,
            AccessError::Conflict => catalogue::CONFLICT,
            AccessError::Invalid(what) => catalogue::UNPROCESSABLE.detail(what),
            AccessError::TooCostly(what) => catalogue::UNPROCESSABLE.detail(what),
            AccessError::Unavailable { what, cause } => {
                tracing::warn!(what, cause = &*cause, "a request could not be answered");
                catalogue::UNAVAILABLE.retry_after(2)
            }
        }
    }
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Problem {
    // What the storage says about its causes holds kinds and SQLSTATEs, never values.
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    tracing::warn!(cause, "people and credentials are not available");
    catalogue::UNAVAILABLE.retry_after(2)
}
