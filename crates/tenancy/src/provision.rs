//! Making a tenant, step by step. Each step looks whether it is done, so that a killed run is resumed by the next.
//!
//! Nobody is served before the last step: until then the status is `provisioning` and there is no host.

use carekeep_kernel::{Accent, AccentError, TenantId, TenantKind, random};
use carekeep_keys::{DataKey, KeyContext, KeyPurpose, KeyRef, WrappedKey};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::{
    Database, NewTenant, TenancyError, TenantRecord,
    control::ControlPlane,
    name::{check_display, check_host, check_slug},
};

/// Connections that a tenant's login may have open, over all gateways of the cell.
const CONNECTION_LIMIT: u32 = 60;

pub(crate) async fn create(control: &ControlPlane, new: &NewTenant) -> Result<TenantRecord, TenancyError> {
    new.check()?;
    hosts_are_free(control, new).await?;
    let tenant = directory_entry(control, new).await?;
    let credential = keys(control, tenant).await?;
    // The two databases have nothing to do with each other; and connecting is the slow part.
    let (clinical, operations) = futures_util::join!(
        login(control, tenant, Database::Clinical, &credential),
        login(control, tenant, Database::Operations, &credential),
    );
    clinical?;
    operations?;
    control.migrate(tenant, new.kind).await?;
    activate(control, tenant, new).await?;
    control.show(&new.slug).await
}

impl NewTenant {
    /// Whether such a tenant can be made at all: to be asked before its partner is made.
    ///
    /// # Errors
    /// [`TenancyError::Name`], which says what to correct.
    pub fn check(&self) -> Result<(), TenancyError> {
        check_slug(&self.slug)?;
        check_slug(&self.region)?;
        check_display("tenant name", &self.name)?;
        accent(self)?;
        if self.partner.is_none() != (self.kind == TenantKind::Platform) {
            return Err(TenancyError::Name {
                field: "partner",
                value: self.partner.clone().unwrap_or_default(),
                advice: "a clinic and a partner's own tenant name their partner, the platform's own tenant names none",
            });
        }
        self.hosts.iter().try_for_each(|host| check_host(host))
    }
}

/// The colour of the brand, if there is to be one.
fn accent(new: &NewTenant) -> Result<Option<Accent>, TenancyError> {
    let wrong = |value: &str, error: AccentError| TenancyError::Name {
        field: "accent",
        value: value.chars().take(40).collect(),
        advice: error.advice(),
    };
    let colour = new.accent.as_deref();
    colour.map(|text| text.parse().map_err(|error| wrong(text, error))).transpose()
}

fn failed(error: sqlx::Error) -> TenancyError {
    TenancyError::database("directory")(error)
}

/// Looks before anything is made: a refusal should leave nothing behind. The last step decides, should two ask at once.
async fn hosts_are_free(control: &ControlPlane, new: &NewTenant) -> Result<(), TenancyError> {
    let taken = sqlx::query(
        "SELECT h.host FROM directory.tenant_host h JOIN directory.tenant t ON t.id = h.tenant
         WHERE h.host = ANY($1) AND t.slug <> $2 LIMIT 1",
    )
    .bind(&new.hosts)
    .bind(&new.slug)
    .fetch_optional(&control.directory)
    .await
    .map_err(failed)?;
    match taken {
        Some(row) => Err(TenancyError::Taken { what: "host", value: row.try_get(0).map_err(failed)? }),
        None => Ok(()),
    }
}

async fn partner(control: &ControlPlane, new: &NewTenant) -> Result<Option<uuid::Uuid>, TenancyError> {
    let Some(slug) = &new.partner else { return Ok(None) };
    let found = sqlx::query("SELECT id FROM directory.partner WHERE slug = $1")
        .bind(slug)
        .fetch_optional(&control.directory)
        .await
        .map_err(failed)?;
    let found = found.ok_or_else(|| TenancyError::Unknown(slug.clone()))?;
    found.try_get(0).map(Some).map_err(failed)
}

/// The platform has one tenant of its own, and so has each partner. The index decides, should two ask at once.
async fn only_one_of_its_kind(
    control: &ControlPlane,
    new: &NewTenant,
    partner: Option<uuid::Uuid>,
) -> Result<(), TenancyError> {
    let others: i64 = sqlx::query(
        "SELECT count(*) FROM directory.tenant
         WHERE kind = $1 AND kind <> 'clinic' AND partner IS NOT DISTINCT FROM $2 AND slug <> $3",
    )
    .bind(new.kind.as_str())
    .bind(partner)
    .bind(&new.slug)
    .fetch_one(&control.directory)
    .await
    .and_then(|row| row.try_get(0))
    .map_err(failed)?;
    if others == 0 {
        return Ok(());
    }
    Err(TenancyError::Taken { what: "kind", value: new.kind.to_string() })
}

async fn directory_entry(control: &ControlPlane, new: &NewTenant) -> Result<TenantId, TenancyError> {
    let partner = partner(control, new).await?;
    only_one_of_its_kind(control, new, partner).await?;
    let id = TenantId::generate(&*control.clock, &*control.random);
    let row = sqlx::query(
        "INSERT INTO directory.tenant (id, partner, slug, name, region, accent, status, created_at, updated_at, kind)
         VALUES ($1, $2, $3, $4, $5, $6, 'provisioning', $7, $7, $8)
         ON CONFLICT (slug) DO UPDATE SET slug = excluded.slug RETURNING id, partner, region, kind",
    )
    .bind(id.as_uuid())
    .bind(partner)
    .bind(&new.slug)
    .bind(&new.name)
    .bind(&new.region)
    .bind(accent(new)?.map(|accent| accent.to_string()))
    .bind(OffsetDateTime::from(control.clock.now()))
    .bind(new.kind.as_str())
    .fetch_one(&control.directory)
    .await
    .map_err(failed)?;
    let owner: Option<uuid::Uuid> = row.try_get(1).map_err(failed)?;
    let (region, kind): (String, String) = (row.try_get(2).map_err(failed)?, row.try_get(3).map_err(failed)?);
    if owner != partner || region != new.region || kind != new.kind.as_str() {
        return Err(TenancyError::Taken { what: "slug", value: new.slug.clone() });
    }
    row.try_get(0).map(TenantId::from_uuid).map_err(failed)
}

/// Makes the tenant's KMS key and its first data keys; gives the newest credential key.
async fn keys(control: &ControlPlane, tenant: TenantId) -> Result<Credential, TenancyError> {
    let stored = sqlx::query("SELECT purpose FROM directory.tenant_key WHERE tenant = $1")
        .bind(tenant.as_uuid())
        .fetch_all(&control.directory)
        .await
        .map_err(failed)?;
    let stored: Vec<String> =
        stored.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed)?;
    if stored.len() < KeyPurpose::ALL.len() {
        let key = control.keys.create_key(tenant).await?;
        for purpose in KeyPurpose::ALL.into_iter().filter(|p| !stored.iter().any(|s| s == p.as_str())) {
            first_generation(control, tenant, &key, purpose).await?;
        }
    }
    credential(control, tenant).await
}

async fn first_generation(
    control: &ControlPlane,
    tenant: TenantId,
    key: &KeyRef,
    purpose: KeyPurpose,
) -> Result<(), TenancyError> {
    let context = KeyContext { tenant, purpose, generation: 1 };
    let (_plain, wrapped) = control.keys.generate_data_key(key, &context).await?;
    sqlx::query(
        "INSERT INTO directory.tenant_key (tenant, purpose, generation, key_ref, wrapped, created_at)
         VALUES ($1, $2, 1, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_uuid())
    .bind(purpose.as_str())
    .bind(key.as_str())
    .bind(&wrapped.0)
    .bind(OffsetDateTime::from(control.clock.now()))
    .execute(&control.directory)
    .await
    .map(|_| ())
    .map_err(failed)
}

struct Credential {
    key: DataKey,
    generation: u32,
}

async fn credential(control: &ControlPlane, tenant: TenantId) -> Result<Credential, TenancyError> {
    let row = sqlx::query(
        "SELECT generation, key_ref, wrapped FROM directory.tenant_key WHERE tenant = $1 AND purpose = $2
         ORDER BY generation DESC LIMIT 1",
    )
    .bind(tenant.as_uuid())
    .bind(KeyPurpose::Credential.as_str())
    .fetch_one(&control.directory)
    .await
    .map_err(failed)?;
    let generation = u32::try_from(row.try_get::<i32, _>(0).map_err(failed)?).unwrap_or(1);
    let wrapped = WrappedKey {
        key: KeyRef(row.try_get(1).map_err(failed)?),
        purpose: KeyPurpose::Credential,
        generation,
        wrapped: carekeep_keys::Wrapped(row.try_get(2).map_err(failed)?),
    };
    let plain = control.keys.unwrap(&wrapped.key, &wrapped.wrapped, &wrapped.context(tenant)).await?;
    Ok(Credential { key: DataKey::new(plain), generation })
}

/// The tenant's login in a database. Needs no quoting.
pub(crate) fn role_name(tenant: TenantId, database: Database) -> String {
    let suffix = match database {
        Database::Clinical => "c",
        Database::Operations | Database::Directory => "o",
    };
    format!("{}_{suffix}", tenant.schema())
}

/// Makes the login role, its password known only to whoever can unwrap the tenant's credential key.
async fn login(
    control: &ControlPlane,
    tenant: TenantId,
    database: Database,
    credential: &Credential,
) -> Result<(), TenancyError> {
    let role = role_name(tenant, database);
    let password = stored_password(control, tenant, database, credential, &role).await?;
    let mut connection = control.connect(database).await?;
    let made = make_role(&mut connection, &role, &password, &tenant.schema(), database).await;
    connection.close().await.map_err(TenancyError::database(database.name()))?;
    made.map_err(TenancyError::database(database.name()))
}

/// The password in the directory, made if there is none yet: whatever is stored first is what counts.
async fn stored_password(
    control: &ControlPlane,
    tenant: TenantId,
    database: Database,
    credential: &Credential,
    role: &str,
) -> Result<Zeroizing<String>, TenancyError> {
    let aad = carekeep_vault::login_aad(tenant, database.name());
    let fresh = Zeroizing::new(data_encoding::BASE64URL_NOPAD.encode(&random::bytes::<32>(&*control.random)));
    let sealed = carekeep_keys::seal(
        &credential.key,
        credential.generation,
        &aad,
        fresh.as_bytes(),
        &*control.random,
    )?;
    let row = sqlx::query(
        "INSERT INTO directory.tenant_login (tenant, database, role, sealed_password) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant, database) DO UPDATE SET role = excluded.role RETURNING sealed_password",
    )
    .bind(tenant.as_uuid())
    .bind(database.name())
    .bind(role)
    .bind(&sealed)
    .fetch_one(&control.directory)
    .await
    .map_err(failed)?;
    let sealed: Vec<u8> = row.try_get(0).map_err(failed)?;
    let plain = carekeep_keys::open(&credential.key, &aad, &sealed)?;
    let text = std::str::from_utf8(&plain).map_err(|_| TenancyError::Unknown("login password".to_owned()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// `password` is base64url and `role`, `schema` are hexadecimal: none needs quoting.
async fn make_role(
    connection: &mut PgConnection,
    role: &str,
    password: &str,
    schema: &str,
    database: Database,
) -> Result<(), sqlx::Error> {
    let exists: i64 = sqlx::query("SELECT count(*) FROM pg_roles WHERE rolname = $1")
        .bind(role)
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    // Only a superuser may name these attributes of a role that is there already, even to leave them as they are.
    let verb = if exists == 0 {
        "CREATE ROLE {role} NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS"
    } else {
        "ALTER ROLE {role}"
    };
    let verb = verb.replace("{role}", role);
    let name = database.name();
    let sql = Zeroizing::new(format!(
        "{verb} LOGIN CONNECTION LIMIT {CONNECTION_LIMIT} PASSWORD '{password}';
         -- A login may change its own password and defaults: making the tenant again takes that back.
         ALTER ROLE {role} RESET ALL;
         ALTER ROLE {role} IN DATABASE {name} RESET ALL;
         ALTER ROLE {role} IN DATABASE {name} SET search_path = {schema}, pg_temp;
         ALTER ROLE {role} IN DATABASE {name} SET statement_timeout = '10s';
         ALTER ROLE {role} IN DATABASE {name} SET idle_in_transaction_session_timeout = '10s';
         GRANT CONNECT ON DATABASE {name} TO {role};"
    ));
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_string())).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// The last step: hosts and status in one transaction.
async fn activate(control: &ControlPlane, tenant: TenantId, new: &NewTenant) -> Result<(), TenancyError> {
    let mut transaction = control.directory.begin().await.map_err(failed)?;
    for host in &new.hosts {
        let owner = sqlx::query(
            "INSERT INTO directory.tenant_host (host, tenant) VALUES ($1, $2)
             ON CONFLICT (host) DO UPDATE SET host = excluded.host RETURNING tenant",
        )
        .bind(host)
        .bind(tenant.as_uuid())
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
        if owner.try_get::<uuid::Uuid, _>(0).map_err(failed)? != tenant.as_uuid() {
            return Err(TenancyError::Taken { what: "host", value: host.clone() });
        }
    }
    sqlx::query(
        "UPDATE directory.tenant SET status = 'active', updated_at = $2 WHERE id = $1 AND status = 'provisioning'",
    )
    .bind(tenant.as_uuid())
    .bind(OffsetDateTime::from(control.clock.now()))
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t1_what_cannot_be_made_is_known_before_its_partner_is() {
        let new = |kind, partner: Option<&str>| NewTenant {
            kind,
            partner: partner.map(str::to_owned),
            slug: "acme".to_owned(),
            name: "Acme".to_owned(),
            region: "eu-1".to_owned(),
            hosts: vec!["acme.example".to_owned()],
            accent: None,
        };
        let partner = Some("northstar");
        for kind in [TenantKind::Clinic, TenantKind::Partner] {
            assert!(new(kind, partner).check().is_ok() && new(kind, None).check().is_err(), "{kind}");
        }
        let platform = TenantKind::Platform;
        assert!(new(platform, None).check().is_ok() && new(platform, partner).check().is_err());
    }
}
