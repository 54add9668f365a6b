//! People with sessions, put straight into a tenant's operations schema: for tests below sign-in. Tests of the product
//! sign in as a person would.

use std::net::{IpAddr, Ipv4Addr};

use carekeep_kernel::{DeviceId, PersonId, ResourceId, SessionId, TenantId, Timestamp, random};
use carekeep_policy::Role;
use carekeep_vault::{Activity, Caller, Origin, SecretColumn, SecretPlace, SessionError, Vault};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

use crate::Platform;

/// What a person is to be.
#[derive(Debug, Clone, Copy)]
pub struct PersonSpec<'a> {
    /// Roles.
    pub roles: &'a [Role],
    /// The assurance level of the session, 1 to 3.
    pub aal: i16,
    /// The person's own chart.
    pub patient: Option<ResourceId>,
    /// `invited` (with an invitation that was opened), `active`, `suspended` or `left`.
    pub status: &'a str,
}

impl Default for PersonSpec<'_> {
    fn default() -> Self {
        Self { roles: &[Role::Clinician], aal: 2, patient: None, status: "active" }
    }
}

/// A person with a live session.
#[derive(Debug, Clone)]
pub struct Person {
    /// The tenant.
    pub tenant: TenantId,
    /// The person.
    pub id: PersonId,
    /// The session.
    pub session: SessionId,
    /// The session token.
    pub token: String,
}

impl Platform {
    /// Adds a person with a live session.
    pub async fn person(&self, tenant: TenantId, spec: PersonSpec<'_>) -> Person {
        let (clock, random) = (&*self.clock, &*self.random);
        let id = PersonId::generate(clock, random);
        let now = OffsetDateTime::from(clock.now());
        let schema = tenant.schema();
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO {schema}.person (id, login_token, sealed_login, sealed_name, audience, patient,
               created_at, activated_at, suspended_at, left_at)
             VALUES ($1, $2, '', '', $3, $4, $5, CASE WHEN $6 <> 'invited' THEN $5::timestamptz END,
               CASE WHEN $6 = 'suspended' THEN $5::timestamptz END, CASE WHEN $6 = 'left' THEN $5::timestamptz END)"
        )))
        .bind(id.as_uuid())
        .bind(i64::from_be_bytes(random::bytes(random)))
        .bind(if matches!(spec.roles, [Role::Patient | Role::Proxy]) { "patient" } else { "staff" })
        .bind(spec.patient.map(|patient| patient.as_uuid()))
        .bind(now)
        .bind(spec.status)
        .execute(&self.people)
        .await
        .unwrap();
        for role in spec.roles {
            self.grant(tenant, id, *role).await;
        }
        if spec.status == "invited" {
            self.opened_invitation(tenant, id).await;
        }
        self.session(tenant, id, spec.aal).await
    }

    /// Somebody's second session, on another device.
    pub async fn another_session(&self, of: &Person) -> Person {
        self.session(of.tenant, of.id, 2).await
    }

    async fn session(&self, tenant: TenantId, id: PersonId, aal: i16) -> Person {
        let (clock, random) = (&*self.clock, &*self.random);
        let session = SessionId::generate(clock, random);
        let token = format!("cks_test_{:x?}", random::bytes::<16>(random));
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
        let now = OffsetDateTime::from(clock.now());
        let schema = tenant.schema();
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO {schema}.session (id, person, token_hash, state, detail, aal, created_at, last_seen_at,
               factor_at, factors)
             VALUES ($1, $2, $3, 'active', '{{\"state\":\"active\",\"must_reenrol\":false}}', $4, $5, $5, $5, '[]')"
        )))
        .bind(session.as_uuid())
        .bind(id.as_uuid())
        .bind(hash.as_ref())
        .bind(aal)
        .bind(now)
        .execute(&self.people)
        .await
        .unwrap();
        Person { tenant, id, session, token }
    }

    /// An invitation whose link the person has opened: what an enrolment rests on until it is complete.
    async fn opened_invitation(&self, tenant: TenantId, person: PersonId) {
        let sql = format!(
            "INSERT INTO {}.invite (id, person, invited_by, token_hash, roles, created_at, expires_at, accepted_at)
             VALUES ($1, $2, $1, $3, '[]', $4, $4 + interval '1 day', $4)",
            tenant.schema()
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(PersonId::generate(&*self.clock, &*self.random).as_uuid())
            .bind(person.as_uuid())
            .bind(&random::bytes::<32>(&*self.random)[..])
            .bind(OffsetDateTime::from(self.clock.now()))
            .execute(&self.people)
            .await
            .unwrap();
    }

    /// Gives a person a login name and a name, sealed as the product seals them.
    pub async fn name(&self, vault: &Vault, person: &Person, login: &str, name: &str) {
        let row = *person.id.as_bytes();
        let seal = |column, text: &str| {
            let (place, text) = (SecretPlace { column, row }, text.as_bytes().to_vec());
            async move { vault.seal_secret(person.tenant, place, &text).await.unwrap() }
        };
        let sql = format!(
            "UPDATE {}.person SET login_token = $2, sealed_login = $3, sealed_name = $4 WHERE id = $1",
            person.tenant.schema()
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(person.id.as_uuid())
            .bind(vault.login_token(person.tenant, login).await.unwrap())
            .bind(seal(SecretColumn::PersonLogin, login).await)
            .bind(seal(SecretColumn::PersonName, name).await)
            .execute(&self.people)
            .await
            .unwrap();
    }

    /// A confirmed device of a person, from which `session` is. `hash`: of the person and what it is recognised by.
    pub async fn device(&self, person: &Person, session: SessionId, hash: [u8; 32]) -> DeviceId {
        let id = DeviceId::generate(&*self.clock, &*self.random);
        let schema = person.tenant.schema();
        let sql = format!(
            "WITH made AS (INSERT INTO {schema}.device (id, person, token_hash, name, first_seen_at, last_seen_at,
               confirmed_at) VALUES ($1, $2, $3, 'Device', $4, $4, $4))
             UPDATE {schema}.session SET device = $1 WHERE id = $5"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(id.as_uuid())
            .bind(person.id.as_uuid())
            .bind(&hash[..])
            .bind(OffsetDateTime::from(self.clock.now()))
            .bind(session.as_uuid())
            .execute(&self.people)
            .await
            .unwrap();
        id
    }

    /// A recovery of a person's account that somebody else has begun.
    pub async fn recovery(&self, person: &Person) -> uuid::Uuid {
        let id = PersonId::generate(&*self.clock, &*self.random).as_uuid();
        let sql = format!(
            "INSERT INTO {}.account_recovery (id, person, begun_by, begun_at, code_hash, expires_at)
             VALUES ($1, $2, $1, $3, $4, $3 + interval '7 days')",
            person.tenant.schema()
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .bind(person.id.as_uuid())
            .bind(OffsetDateTime::from(self.clock.now()))
            .bind(&random::bytes::<32>(&*self.random)[..])
            .execute(&self.people)
            .await
            .unwrap();
        id
    }

    /// Grants a role.
    pub async fn grant(&self, tenant: TenantId, person: PersonId, role: Role) {
        let sql = format!(
            "INSERT INTO {}.role_grant (id, person, role, granted_at) VALUES ($4, $1, $2, $3)",
            tenant.schema()
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(person.as_uuid())
            .bind(role.as_str())
            .bind(OffsetDateTime::from(self.clock.now()))
            .bind(PersonId::generate(&*self.clock, &*self.random).as_uuid())
            .execute(&self.people)
            .await
            .unwrap();
    }

    /// The last use of a person's session that its row knows of.
    pub async fn last_seen(&self, person: &Person) -> Timestamp {
        let sql = format!("SELECT last_seen_at FROM {}.session WHERE id = $1", person.tenant.schema());
        let (at,): (OffsetDateTime,) = sqlx::query_as(AssertSqlSafe(sql))
            .bind(person.session.as_uuid())
            .fetch_one(&self.people)
            .await
            .unwrap();
        at.into()
    }

    /// Says that a person has to do with a patient; `relation` as in the clinical schema.
    pub async fn relate(&self, tenant: TenantId, person: PersonId, patient: ResourceId, relation: i16) {
        let sql = format!(
            "INSERT INTO {}.care_relation (person, patient, relation, valid_from, entry)
             VALUES ($1, $2, $3, $4, $1)",
            tenant.schema()
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(person.as_uuid())
            .bind(patient.as_uuid())
            .bind(relation)
            .bind(OffsetDateTime::from(self.clock.now()))
            .execute(&self.superuser("clinical"))
            .await
            .unwrap();
    }
}

impl Person {
    /// Authenticates a request of this person.
    ///
    /// # Errors
    /// As [`Vault::authenticate`].
    pub async fn caller(&self, vault: &Vault) -> Result<Caller, SessionError> {
        self.caller_at(vault, self.tenant).await
    }

    /// Presents the person's token to some tenant.
    ///
    /// # Errors
    /// As [`Vault::authenticate`].
    pub async fn caller_at(&self, vault: &Vault, tenant: TenantId) -> Result<Caller, SessionError> {
        let origin =
            Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), request: [7; 16], activity: Activity::Use };
        vault.authenticate(tenant, &self.token, origin).await
    }
}
