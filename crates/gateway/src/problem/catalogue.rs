//! The problems that the edge itself reports. Codes are stable: clients may branch on them.

use http::StatusCode;

use super::Problem;

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:ident $code:literal $title:literal $detail:literal $advice:literal;)+) => {$(
        $(#[$doc])*
        pub const $name: Problem =
            Problem::new(StatusCode::$status, $code, $title, $detail).advice($advice);
    )+};
}

problems! {
    /// 400: the request breaks the syntax of HTTP or its framing.
    MALFORMED_REQUEST = BAD_REQUEST "malformed-request" "Malformed request"
        "The request is not well-formed." "Send a well-formed HTTP request.";
    /// 400: no host, several hosts, or a host that is no host name.
    MALFORMED_HOST = BAD_REQUEST "malformed-host" "Malformed host"
        "The request does not name exactly one well-formed host."
        "Send one Host (or :authority) with the host name of your clinic group and nothing else.";
    /// 421: the host is not served here, or the connection was made for another one (RFC 9110 section 15.5.20).
    MISDIRECTED = MISDIRECTED_REQUEST "misdirected-request" "Misdirected request"
        "This server does not answer for that host on this connection."
        "Check the address; if it is right, open a new connection to it.";
    /// 503: the tenant exists but is not served at the moment.
    TENANT_UNAVAILABLE = SERVICE_UNAVAILABLE "tenant-unavailable" "Not available at the moment"
        "This clinic group is not being served at the moment." "Try again later; if it lasts, ask your administrator.";
    /// 404: nothing here, or nothing that the caller may see.
    NOT_FOUND = NOT_FOUND "not-found" "Not found"
        "There is nothing here that you may see." "Check the address and the id.";
    /// 405: the path exists, the method does not.
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "method-not-allowed" "Method not allowed"
        "This address does not take that method." "Use a method that the Allow header names.";
    /// 501: a method that no address takes.
    METHOD_NOT_IMPLEMENTED = NOT_IMPLEMENTED "method-not-implemented" "Method not implemented"
        "This server does not know that method." "Use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.";
    /// 414: the request target is longer than 8 KiB.
    URI_TOO_LONG = URI_TOO_LONG "uri-too-long" "Address too long"
        "The request target is longer than this server takes." "Send long searches as POST to _search.";
    /// 403: an unsafe request that another site (a sibling tenant too) may have caused.
    CROSS_SITE = FORBIDDEN "cross-site-request" "Cross-site request refused"
        "A request that changes something must come from this site's own pages."
        "Use this site's own pages, or a bearer token and no cookies.";
    /// 415: the body's media type is not taken here.
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "Unsupported media type"
        "This address does not take a body of that type." "Send application/json or application/fhir+json in UTF-8.";
    /// 415: the body's coding is not taken.
    UNSUPPORTED_ENCODING = UNSUPPORTED_MEDIA_TYPE "unsupported-encoding" "Unsupported content coding"
        "The body is encoded in a way that this server does not take." "Send the body as it is, or once compressed with gzip.";
    /// 413: the body is longer than the route takes, also after decompression.
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE "body-too-large" "Body too large"
        "The body is larger than this address takes." "Send less at once.";
    /// 413: a compressed body that grows out of all proportion.
    BODY_BOMB = PAYLOAD_TOO_LARGE "body-ratio" "Body expands too much"
        "The compressed body expands out of all proportion." "Send the body without compression.";
    /// 408: the body came too slowly or did not end in time.
    BODY_TOO_SLOW = REQUEST_TIMEOUT "body-timeout" "Body too slow"
        "The body did not arrive in time." "Try again on a faster connection, or send less at once.";
    /// 400: the body broke off or its compression is broken.
    BODY_UNREADABLE = BAD_REQUEST "body-unreadable" "Body unreadable"
        "The body broke off or is not what its headers say." "Send the whole body again.";
    /// 400: the body is not JSON, or not strict JSON.
    MALFORMED_JSON = BAD_REQUEST "malformed-json" "Malformed JSON"
        "The body is not a JSON text (RFC 8259) in UTF-8 without duplicate names."
        "Correct the body; line and column, where given, say where reading stopped.";
    /// 400: JSON nested deeper or with more names than the server takes.
    JSON_TOO_COMPLEX = BAD_REQUEST "json-too-complex" "JSON too complex"
        "The body is nested too deeply or has too many names." "Send a flatter or smaller body.";
    /// 422: JSON that does not have the expected form.
    UNPROCESSABLE = UNPROCESSABLE_ENTITY "unprocessable-body" "Body does not fit"
        "The body does not have the fields or types that this address expects." "Compare the body with the API description.";
    /// 400: a query string that does not fit.
    MALFORMED_QUERY = BAD_REQUEST "malformed-query" "Malformed query"
        "The query does not have the parameters that this address expects." "Compare the query with the API description.";
    /// 400: a form that does not fit.
    MALFORMED_FORM = BAD_REQUEST "malformed-form" "Malformed form"
        "The form does not have the fields that this address expects." "Go back, reload the page and try again.";
    /// 429: a limit is used up.
    TOO_MANY_REQUESTS = TOO_MANY_REQUESTS "too-many-requests" "Too many requests"
        "A rate limit is used up." "Wait as long as Retry-After says, then try again.";
    /// 500: a defect on our side.
    INTERNAL = INTERNAL_SERVER_ERROR "internal-error" "Internal error"
        "Something went wrong on the server." "Try again; if it lasts, report the request id.";
    /// 503: a part that the server needs is gone.
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable" "Temporarily unavailable"
        "The server cannot answer at the moment; nothing was changed." "Try again in a few seconds.";
    /// 400: a refusal for which a handler gave no problem of its own.
    BAD_REQUEST = BAD_REQUEST "bad-request" "Bad request"
        "The request was refused." "Compare the request with the API description.";
    /// 401: a session that still waits for its second factor or for enrolment.
    SIGN_IN_UNFINISHED = UNAUTHORIZED "sign-in-unfinished" "Sign-in is not finished"
        "This session has one factor so far."
        "Give the second factor, or finish enrolling one; after a recovery code, set up a new one.";
    /// 401: no valid session or token.
    UNAUTHENTICATED = UNAUTHORIZED "unauthenticated" "Not signed in"
        "The request carries no valid session or token." "Sign in and try again.";
    /// 401: login name, password or code is not right, or there is nobody of that name: one answer for all causes.
    SIGN_IN_REFUSED = UNAUTHORIZED "sign-in-refused" "Sign-in refused"
        "The login name, password or code is not right." "Check them and try again; each code works once.";
    /// 401: a passkey was not accepted.
    PASSKEY_REFUSED = UNAUTHORIZED "passkey-refused" "Passkey refused"
        "The passkey was not accepted." "Try again, or use another way to sign in.";
    /// 409: a passkey's answer came too late, or elsewhere than it was asked for.
    PASSKEY_ATTEMPT_EXPIRED = CONFLICT "passkey-attempt-expired" "Attempt expired"
        "This attempt with a passkey has expired or was not begun here." "Begin again.";
    /// 403: the tenant does not allow passkeys of this kind.
    PASSKEY_NOT_ALLOWED = FORBIDDEN "passkey-not-allowed" "Passkey not allowed"
        "A passkey that is bound to its device is needed here."
        "Use another passkey, or sign in another way and register one that is allowed; if there is no other way, ask your administrator.";
    /// 409: the passkey is registered already.
    PASSKEY_KNOWN = CONFLICT "passkey-known" "Passkey known"
        "This passkey is registered already." "Use another one.";
    /// 409: what remains would not let the person in.
    LAST_FACTORS = CONFLICT "last-factors" "The last way in"
        "You sign in with this passkey and have no other way in." "Register another passkey first.";
    /// 400: a browser asked for the token that its cookie is to keep.
    TOKEN_IN_BROWSER = BAD_REQUEST "token-in-browser" "No token for browsers"
        "A request of a browser, or with cookies, gets its token in a cookie only."
        "Leave Carekeep-Token out, or send the request without cookies from a program.";
    /// 403: a factor that was proven a moment ago is needed.
    FRESH_FACTOR_NEEDED = FORBIDDEN "fresh-factor-needed" "Confirm that it is you"
        "This needs a second factor that was given within the last five minutes."
        "Give a code to /api/v1/sign-in/totp or use /api/v1/step-up/passkey/begin, then repeat the request.";
    /// 403: the tenant wants confirmed devices where health data is concerned.
    DEVICE_NOT_CONFIRMED = FORBIDDEN "device-not-confirmed" "Device not confirmed"
        "Your organisation lets you see health data from devices that you have confirmed."
        "Confirm this device with /api/v1/devices/{id}/confirm: the first one from itself, a further one from one that is confirmed.";
    /// 403: whoever has confirmed a device confirms the next one from there.
    CONFIRM_ELSEWHERE = FORBIDDEN "confirm-elsewhere" "Confirm it elsewhere"
        "You have confirmed a device before." "Sign in there and confirm this one; if you have none of them any more, ask your administrator.";
    /// 409: a step of signing in or enrolling that does not fit where the session stands.
    STEP_OUT_OF_ORDER = CONFLICT "step-out-of-order" "Not now"
        "This step does not fit where the session stands." "Start again with signing in.";
    /// 409: an invitation for somebody who has joined.
    ALREADY_SET_UP = CONFLICT "already-set-up" "Set up already"
        "This account is set up already." "Sign in instead of using the link.";
    /// 410: an invitation that is used, withdrawn, too old or none.
    INVITATION_NOT_VALID = GONE "invitation-not-valid" "Invitation not valid"
        "This invitation is not valid any more." "Ask your administrator for a new one.";
    /// 422: a password that may not be one.
    PASSWORD_NOT_ALLOWED = UNPROCESSABLE_ENTITY "password-not-allowed" "Password not allowed"
        "The password is too easily guessed."
        "Choose one that is not common, not a sequence and not made of names, for example a few words.";
    /// 403: the tenant does without passwords.
    PASSWORDS_NOT_USED = FORBIDDEN "passwords-not-used" "No passwords here"
        "This organisation signs in without passwords." "Use a passkey.";
    /// 422: a name that does not fit into a QR code.
    NAME_NOT_SHOWABLE = UNPROCESSABLE_ENTITY "name-not-showable" "Name too long"
        "The name of the organisation or the login name does not fit into a QR code." "Ask your administrator to shorten it.";
    /// 409: somebody has the login name.
    LOGIN_TAKEN = CONFLICT "login-taken" "Login name taken"
        "Somebody here has this login name already." "Use another one.";
    /// 422: no login name.
    LOGIN_NOT_ALLOWED = UNPROCESSABLE_ENTITY "login-not-allowed" "Login name not allowed"
        "A login name has 1 to 254 characters, without blanks and control characters." "Correct the login name.";
    /// 422: no name.
    NAME_NOT_ALLOWED = UNPROCESSABLE_ENTITY "name-not-allowed" "Name not allowed"
        "A name has 1 to 200 characters, none of them a control character." "Correct the name.";
    /// 422: roles that are none, or no role at all.
    ROLES_NOT_ALLOWED = UNPROCESSABLE_ENTITY "roles-not-allowed" "Roles not allowed"
        "At least one role is needed, and each must be one that there is here."
        "Use proxy, clinician, nurse, reception, billing, clinic_manager, tenant_admin, privacy_officer, auditor, support or service_account; where the people of the platform or of a partner are, platform_operator or partner_admin, tenant_admin, privacy_officer or auditor.";
    /// 409: somebody who has joined needs no invitation.
    PERSON_SET_UP = CONFLICT "person-set-up" "Set up already"
        "This person has joined already." "They sign in, or recover their account.";
    /// 409: an administrator invites no patients.
    PATIENTS_ACCOUNT = CONFLICT "patients-account" "A patient's account"
        "This is a patient's account." "Let whoever cares for the patient invite them, from the chart.";
    /// 409: a tenant never loses the last who runs it or watches over it.
    LAST_IN_ROLE = CONFLICT "last-in-role" "The last with this role"
        "Nobody would be left to run this organisation, or to watch over its privacy."
        "Give somebody else the role tenant_admin or privacy_officer first.";
    /// 409: whoever left comes back by a new invitation only.
    PERSON_LEFT = CONFLICT "person-left" "Left"
        "This person has left, or may not sign in." "Invite them anew, or end the suspension.";
    /// 409: four eyes.
    NOT_YOURS_TO_DECIDE = CONFLICT "not-yours-to-decide" "Not yours to decide"
        "You asked for this role, or it was decided on already, or it is too old." "Let somebody else decide, or look at the list again.";
    /// 409: a yes would go to whoever has the invitation.
    NOT_JOINED = CONFLICT "not-joined" "Not joined yet"
        "This person has not joined, may not sign in, or was invited by you." "Let them join, and let somebody else decide.";
    /// 403: an identity provider lifts its own suspensions only.
    SUSPENDED_BY_OTHERS = FORBIDDEN "suspended-by-others" "Suspended by an administrator"
        "An administrator of the organisation suspended this person." "Let an administrator end that.";
    /// 422: what an identity provider is set to.
    PROVIDER_NOT_VALID = UNPROCESSABLE_ENTITY "provider-not-valid" "Provider not valid"
        "The identity provider cannot be set like this." "Correct what is named.";
    /// 503: the tenant's identity provider.
    PROVIDER_AWAY = SERVICE_UNAVAILABLE "provider-away" "Identity provider away"
        "The organisation's identity provider does not answer, or cannot be used as it is set." "Try again later, or ask an administrator.";
    /// 409: a few are enough to change over from one to the next.
    TOO_MANY_TOKENS = CONFLICT "too-many-tokens" "Too many tokens"
        "There are three provisioning tokens already." "Revoke one that is not needed any more.";
    /// 422: how long a provisioning token may be good.
    TOKEN_LIFE_NOT_ALLOWED = UNPROCESSABLE_ENTITY "token-life-not-allowed" "Time not allowed"
        "A provisioning token is good for 1 to 365 days." "Correct the number of days.";
    /// 400: a SCIM filter that is none, or asks for what cannot be looked for.
    SCIM_FILTER = BAD_REQUEST "scim-filter" "Filter not supported"
        "The filter is not well-formed, or compares what cannot be looked for."
        "Users: id, userName, externalId and active by eq, meta.lastModified; groups: id, displayName and members by eq; with and, or and parentheses.";
    /// 400: a SCIM path that is none.
    SCIM_PATH = BAD_REQUEST "scim-path" "Path not understood"
        "The path of an operation is not well-formed." "Name an attribute, such as name.familyName.";
    /// 400: a SCIM operation that would do nothing that can be named.
    SCIM_NO_TARGET = BAD_REQUEST "scim-no-target" "No target"
        "An operation that removes has to say what." "Give it a path.";
    /// 400: a SCIM value that the attribute cannot have.
    SCIM_VALUE = BAD_REQUEST "scim-value" "Value not allowed"
        "A value is missing or cannot be one of its attribute."
        "userName: 1 to 254 characters without blanks; names: 1 to 200 characters; active: true or false; members: ids of users.";
    /// 400: a SCIM attribute that is not the client's to change.
    SCIM_READ_ONLY = BAD_REQUEST "scim-read-only" "Not to be changed"
        "An attribute that an operation names is read-only." "Roles of a user are the members of groups.";
    /// 400: a SCIM message that is none.
    SCIM_SYNTAX = BAD_REQUEST "scim-syntax" "Message not understood"
        "The body is not a message of RFC 7644." "Send the schemas and attributes that it names.";
    /// 412: somebody changed it meanwhile.
    SCIM_CHANGED = PRECONDITION_FAILED "scim-changed" "Changed meanwhile"
        "The resource is not at the version that the request names." "Read it again.";
    /// 409: the same role of the same person.
    ROLE_ASKED_FOR = CONFLICT "role-asked-for" "Asked for already"
        "This role was asked for already." "Let another administrator or a privacy officer decide on it.";
    /// 410: a recovery that is not open, or another code.
    RECOVERY_NOT_OPEN = GONE "recovery-not-open" "Recovery not open"
        "This recovery is not open (yet, or any more), or the code is not right."
        "Wait until it opens, check the code, or ask the administrators who gave you link and code.";
    /// 409: one recovery of a person at a time.
    RECOVERY_UNDER_WAY = CONFLICT "recovery-under-way" "Recovery under way"
        "A recovery of this account is under way." "Let another administrator approve it, or end it first.";
    /// 422: settings that nobody could meet.
    SETTINGS_NOT_ALLOWED = UNPROCESSABLE_ENTITY "settings-not-allowed" "Settings not allowed"
        "Each maker needs a root certificate (PEM) and one model (AAGUID) at least, and `attested` needs a maker."
        "Correct the makers.";
    /// 409: settings under which whoever makes them could not sign in.
    LOCKS_YOU_OUT = CONFLICT "locks-you-out" "This would lock you out"
        "You have no passkey that these settings would allow you." "Register such a passkey first.";
    /// 409: nobody with a role that a tenant needs could sign in any more; `role` says which.
    LOCKS_ROLE_OUT = CONFLICT "locks-role-out" "This would lock a role out"
        "Nobody who holds the role could sign in any more." "Have one of them register a passkey that these settings allow first.";
    /// 409: somebody else was first, or it is there already.
    CONFLICT = CONFLICT "conflict" "Conflict"
        "It changed in the meantime or is there already." "Read it again and repeat the change if it still makes sense.";
    /// 422: an app that cannot be registered.
    APP_NOT_REGISTRABLE = UNPROCESSABLE_ENTITY "app-not-registrable" "App cannot be registered"
        "The registration does not fit together." "Correct it and register again.";
    /// 422: a scope that is not given here, or not to such an app.
    SCOPE_NOT_KNOWN = UNPROCESSABLE_ENTITY "scope-not-known" "Scope not known"
        "A scope is not known here, or not for such an app."
        "Use the scopes of /.well-known/smart-configuration: system/ scopes for programs without people, none of them for others.";
    /// 400: an app's request for access that is not put to anybody.
    APP_REQUEST_NOT_VALID = BAD_REQUEST "app-request-not-valid" "The app's request is not valid"
        "The app sent you here with a request that cannot be answered." "Start again in the app; if it lasts, tell whoever makes it.";
    /// 422: it was not said which patient an app's access is about.
    PATIENT_NEEDED = UNPROCESSABLE_ENTITY "patient-needed" "Choose a patient"
        "The app asks for the chart of one patient." "Choose whose chart it is about.";
    /// 410: it was deleted.
    GONE = GONE "deleted" "Deleted"
        "It was deleted." "Read an earlier version if you need it.";
    /// 403: known, but not allowed.
    FORBIDDEN = FORBIDDEN "forbidden" "Not allowed"
        "You are not allowed to do this." "Ask an administrator if you should be.";
}

/// The problem that stands in for an answer with that error status which is no problem itself.
#[must_use]
pub const fn for_status(status: StatusCode) -> Problem {
    match status.as_u16() {
        401 => UNAUTHENTICATED,
        403 => FORBIDDEN,
        404 => NOT_FOUND,
        405 => METHOD_NOT_ALLOWED,
        408 => BODY_TOO_SLOW,
        413 => BODY_TOO_LARGE,
        414 => URI_TOO_LONG,
        415 => UNSUPPORTED_MEDIA_TYPE,
        421 => MISDIRECTED,
        422 => UNPROCESSABLE,
        429 => TOO_MANY_REQUESTS,
        501 => METHOD_NOT_IMPLEMENTED,
        503 => UNAVAILABLE,
        400..=499 => BAD_REQUEST,
        _ => INTERNAL,
    }
}
