//! An app that asks in a person's name: its token, and what its scopes leave of what policy gives the person.
//!
//! Invariant: scopes narrow and never widen. Policy decides as it would for the person; this module only says no. What is no
//! FHIR interaction is in no scope, and so an app never gets there.

use std::{borrow::Cow, sync::Arc};

use carekeep_kernel::{ResourceId, Timestamp};
use carekeep_keys::KeyPurpose;
use carekeep_policy::{
    Action, ResourceKind,
    smart::{Narrowing, Within, has_category},
};
use sqlx::{Row, postgres::PgRow};

use crate::{AccessError, Sealed, gate::Gate, header, records::query::RecordQuery, sealed::row_aad};

/// An app, by one of its tokens.
pub(crate) struct App {
    pub(crate) client: uuid::Uuid,
    narrowing: Narrowing,
    pub(crate) expires: Timestamp,
    /// Whether the token ends with the session of its row.
    pub(crate) bound: bool,
}

/// As for a session, and what the token adds: nothing that the person withdrew, of no app that the tenant did not approve.
/// The device is that of the session; an app that goes on without one has none, and a program that acts for itself needs none.
/// A program that acts for itself has the roles of a program, whatever else one administrator gave its account. That of a records reader
/// counts here only, and while whoever registered the program runs the tenant: they may have its key.
pub(crate) const LOOKUP: &str =
    "SELECT g.id, p.activated_at IS NOT NULL, g.aal, coalesce(s.created_at, g.created_at),
       coalesce(s.last_seen_at, g.created_at), g.factor_at, s.device, p.id, p.suspended_at IS NOT NULL, p.patient,
       array(SELECT r.role FROM role_grant r WHERE r.person = p.id AND r.revoked_at IS NULL AND (c.person IS DISTINCT FROM p.id OR r.role IN ('service_account', 'records_reader'))
         AND (r.role <> 'records_reader' OR (c.person = p.id AND EXISTS (SELECT FROM role_grant a JOIN person m ON m.id = a.person
           WHERE a.person = c.created_by AND a.role = 'tenant_admin' AND a.revoked_at IS NULL
             AND m.suspended_at IS NULL AND m.left_at IS NULL)))),
       p.audience = 'patient', d.confirmed_at IS NOT NULL,
       c.person IS NULL AND coalesce((SELECT confirmed_devices FROM sign_in_settings), false), g.client, t.scopes, g.patient, least(t.expires_at, g.expires_at), g.session IS NOT NULL
  FROM oauth_token t JOIN oauth_grant g ON g.id = t.oauth_grant JOIN oauth_client c ON c.id = g.client
       JOIN person p ON p.id = g.person LEFT JOIN session s ON s.id = g.session
       LEFT JOIN device d ON d.id = s.device AND d.revoked_at IS NULL
 WHERE t.token_hash = $1 AND t.kind = 'access' AND g.revoked_at IS NULL AND p.left_at IS NULL
   AND c.state = 'approved' AND c.removed_at IS NULL
   AND (g.session IS NULL OR (s.revoked_at IS NULL AND s.state = 'active'))";

/// Reads what the token adds to the row.
pub(crate) fn decode(row: &PgRow) -> Result<Arc<App>, sqlx::Error> {
    let patient = row.try_get::<Option<uuid::Uuid>, _>(16)?.map(ResourceId::from_uuid);
    Ok(Arc::new(App {
        client: row.try_get(14)?,
        // Scopes that this binary does not know give nothing.
        narrowing: Narrowing::new(row.try_get::<&str, _>(15)?.parse().unwrap_or_default(), patient),
        expires: Timestamp::from(row.try_get::<time::OffsetDateTime, _>(17)?),
        bound: row.try_get(18)?,
    }))
}

impl Gate<'_> {
    /// Whether anything of a kind could be in the app's scopes. A person's own session has none, and no limits by them.
    pub(crate) fn may_ever_in_scope(&self, action: Action, kind: ResourceKind) -> bool {
        self.caller.app.as_ref().is_none_or(|app| app.narrowing.may_ever(action, kind))
    }

    /// Whether a row is in the app's scopes. Its category is looked up inside the vault, as a search's match is confirmed;
    /// an earlier version has the one that it had.
    pub(crate) async fn in_scope(&self, action: Action, sealed: &Sealed) -> Result<bool, AccessError> {
        let Some(app) = &self.caller.app else { return Ok(true) };
        let wanted = match app.narrowing.within(action, sealed.kind, sealed.patient) {
            Within::All => return Ok(true),
            Within::Nothing => return Ok(false),
            Within::Categories(wanted) => wanted,
        };
        let Some(envelope) = &sealed.envelope else { return Ok(false) };
        let key = self.cell.key_of(KeyPurpose::Data, envelope).await?;
        let aad = row_aad(sealed.tenant, sealed.kind, sealed.id, sealed.version, sealed.patient);
        let plain = carekeep_keys::open(&key, &aad.borrow(), envelope)
            .map_err(|error| AccessError::unavailable("records", error.to_string()))?;
        let body = header::body_offset(&plain).unwrap_or(plain.len());
        Ok(has_category(&plain[body..], &wanted))
    }

    /// Whether a change is in the app's scopes. Scopes by category give no changes.
    pub(crate) fn change_in_scope(
        &self,
        action: Action,
        kind: ResourceKind,
        patient: Option<ResourceId>,
    ) -> bool {
        let app = self.caller.app.as_ref();
        app.is_none_or(|app| app.narrowing.within(action, kind, patient) == Within::All)
    }

    /// The search, about no more patients than the app's scopes leave: of another one not even a next page tells.
    pub(crate) fn narrowed<'q>(&self, action: Action, query: &'q RecordQuery) -> Cow<'q, RecordQuery> {
        let Some(app) = &self.caller.app else { return Cow::Borrowed(query) };
        let patients = app.narrowing.patients(action, query.kind, query.patients.as_deref());
        Cow::Owned(RecordQuery { patients, ..query.clone() })
    }
}
