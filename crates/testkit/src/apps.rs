//! Apps that a person let in, and tokens of identity providers, put straight into a tenant's operations schema: for tests below the authorization endpoint.

use std::time::Duration;

use carekeep_kernel::{ResourceId, SessionId, random};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Person, Platform};

/// What an app is given.
#[derive(Debug, Clone, Copy)]
pub struct AppSpec<'a> {
    /// The scopes of its token.
    pub scopes: &'a str,
    /// The patient that it was opened for.
    pub patient: Option<ResourceId>,
    /// Whether it ends with the person's session.
    pub bound: bool,
    /// What the session was worth, 1 to 3.
    pub aal: i16,
    /// Whether the person is the app's own account: a program that acts for itself.
    pub own: bool,
}

impl Default for AppSpec<'_> {
    fn default() -> Self {
        Self { scopes: "user/*.cruds", patient: None, bound: true, aal: 2, own: false }
    }
}

/// An app with an access token of five minutes.
#[derive(Debug, Clone)]
pub struct AppToken {
    /// The person in whose name it asks, with the app's token.
    pub person: Person,
    /// The registration.
    pub client: Uuid,
    /// What the person allowed.
    pub grant: Uuid,
}

impl Platform {
    /// Lets an app in, in the name of a person.
    pub async fn app(&self, person: &Person, spec: AppSpec<'_>) -> AppToken {
        let fresh = || SessionId::generate(&*self.clock, &*self.random).as_uuid();
        let (client, grant) = (fresh(), fresh());
        let token = format!("cka_test_{:x?}", random::bytes::<16>(&*self.random));
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
        let now = self.clock.now();
        let (at, expires) = (OffsetDateTime::from(now), OffsetDateTime::from(now + Duration::from_secs(300)));
        let schema = person.tenant.schema();
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO {schema}.oauth_client (id, name, authentication, redirect_uris, scopes, person, state, created_by,
               created_at)
             VALUES ($1, 'App', 'none', '[\"https://app.example/cb\"]', $2, CASE WHEN $5 THEN $3 END, 'approved',
               coalesce((SELECT g.person FROM {schema}.role_grant g WHERE g.role = 'tenant_admin' AND g.revoked_at IS NULL
                 ORDER BY g.granted_at, g.id LIMIT 1), $3), $4)"
        )))
        .bind(client)
        .bind(spec.scopes)
        .bind(person.id.as_uuid())
        .bind(at)
        .bind(spec.own)
        .execute(&self.people)
        .await
        .unwrap();
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO {schema}.oauth_grant (id, client, person, session, scopes, patient, aal, factor_at, created_at,
               expires_at, last_used_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $8 + interval '1 day', $8)"
        )))
        .bind(grant)
        .bind(client)
        .bind(person.id.as_uuid())
        .bind(spec.bound.then(|| person.session.as_uuid()))
        .bind(spec.scopes)
        .bind(spec.patient.map(|patient| patient.as_uuid()))
        .bind(spec.aal)
        .bind(at)
        .execute(&self.people)
        .await
        .unwrap();
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO {schema}.oauth_token (token_hash, oauth_grant, kind, scopes, created_at, expires_at)
             VALUES ($1, $2, 'access', $3, $4, $5)"
        )))
        .bind(hash.as_ref())
        .bind(grant)
        .bind(spec.scopes)
        .bind(at)
        .bind(expires)
        .execute(&self.people)
        .await
        .unwrap();
        AppToken { person: Person { token, ..person.clone() }, client, grant }
    }

    /// A provisioning token of a day that acts as this account; its id and text. An account has one at most. It works while its maker runs
    /// the tenant.
    pub async fn provisioning_token(&self, account: &Person, maker: &Person) -> (Uuid, String) {
        let id = SessionId::generate(&*self.clock, &*self.random).as_uuid();
        let token = format!("ckp_test_{:x?}", random::bytes::<16>(&*self.random));
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO {}.provisioning_token (id, person, name, token_hash, created_by, created_at, expires_at)
             VALUES ($1, $2, 'Provider', $3, $5, $4, $4 + interval '1 day')",
            account.tenant.schema()
        )))
        .bind(id)
        .bind(account.id.as_uuid())
        .bind(hash.as_ref())
        .bind(OffsetDateTime::from(self.clock.now()))
        .bind(maker.id.as_uuid())
        .execute(&self.people)
        .await
        .unwrap();
        (id, token)
    }
}
