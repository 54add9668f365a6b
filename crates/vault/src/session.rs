//! From a session token to a [`Caller`].
//!
//! The row is read at most once a [`TRUST`] per session and process, so a revocation, a role change or a suspension
//! takes effect everywhere within a second without a message bus. Limits are checked on every request, by the clock.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use carekeep_kernel::{DeviceId, PersonId, ResourceId, SessionId, Timestamp};
use carekeep_policy::{Aal, Principal, Role, RoleSet};
use sqlx::{Row, postgres::PgRow};

use crate::{
    AccessError, Activity, Origin,
    app::{self, App},
    caller::Caller,
    cell::Cell,
    last_use::{LastUse, LastUses},
    operations::OperationsConnections,
    provisioner, sqlstate,
};

/// How long a session row may be trusted without another look, counted from before it was read.
pub(crate) const TRUST: Duration = Duration::from_millis(900);

/// Limits on a session's life (NIST SP 800-63B-4, CAPABILITIES I7).
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Inactivity after which staff are signed out.
    pub staff_idle: Duration,
    /// Inactivity after which patients are signed out.
    pub patient_idle: Duration,
    /// Age after which anybody is signed out.
    pub absolute: Duration,
    /// How long after a use of which the row was not told at once it is. Shorter than any of the others.
    pub settled: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            staff_idle: Duration::from_secs(15 * 60),
            patient_idle: Duration::from_secs(30 * 60),
            absolute: Duration::from_secs(12 * 60 * 60),
            settled: Duration::from_secs(30),
        }
    }
}

/// Why a token does not make a caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// No such session, or it is over: all look alike.
    #[error("not signed in: sign in again")]
    Unknown,
    /// The session waits for a second factor or for enrolment.
    #[error("sign-in is not finished: give the second factor")]
    Unfinished,
    /// The session could not be looked up.
    #[error(transparent)]
    Unavailable(#[from] AccessError),
}

/// What a token is of. Its beginning says so, and is hashed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer {
    Session,
    App,
    Provisioner,
}

impl Bearer {
    /// What a token that somebody presents would be of, if it were one: what is nothing else is looked for among sessions.
    pub(crate) fn of(token: &str) -> Self {
        match token.get(..4) {
            Some("cka_") => Self::App,
            Some("ckp_") => Self::Provisioner,
            _ => Self::Session,
        }
    }

    const fn lookup(self) -> &'static str {
        match self {
            Self::Session => LOOKUP,
            Self::App => app::LOOKUP,
            Self::Provisioner => provisioner::LOOKUP,
        }
    }
}

/// A session row with its person, as last read.
pub(crate) struct SessionRow {
    read_at: Instant,
    id: SessionId,
    active: bool,
    aal: Aal,
    created: Timestamp,
    last_use: Arc<LastUse>,
    factor_at: Timestamp,
    device: Option<DeviceId>,
    device_confirmed: bool,
    device_required: bool,
    /// Looked after by the tenant, not working for it.
    patient_audience: bool,
    principal: Principal,
    /// Of an app's token.
    app: Option<Arc<App>>,
    /// Of an identity provider's token: when it ends.
    provisions_until: Option<Timestamp>,
}

/// Somebody who is suspended is told so by policy; somebody who left is nobody here. Whoever came in by a recovery code has one
/// factor until there is a second one again: otherwise the list of codes would be the second factor from then on. Nobody is a
/// records reader by signing in: that role is of programs, by their own tokens.
const LOOKUP: &str =
    "SELECT s.id, s.state = 'active' AND p.activated_at IS NOT NULL,
       CASE WHEN s.detail @> '{\"must_reenrol\": true}' THEN 1::smallint ELSE s.aal END, s.created_at, s.last_seen_at,
       s.factor_at, s.device, p.id, p.suspended_at IS NOT NULL, p.patient,
       array(SELECT g.role FROM role_grant g WHERE g.person = p.id AND g.revoked_at IS NULL AND g.role <> 'records_reader'),
       p.audience = 'patient', d.confirmed_at IS NOT NULL,
       coalesce((SELECT confirmed_devices FROM sign_in_settings), false)
  FROM session s JOIN person p ON p.id = s.person LEFT JOIN device d ON d.id = s.device AND d.revoked_at IS NULL
 WHERE s.token_hash = $1 AND s.revoked_at IS NULL AND p.left_at IS NULL";

/// Notes a use.
const TOUCH: &str = "UPDATE session SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2";

/// Reads a session row, or that of another token; `None` when there is no live one.
async fn load(
    cell: &Cell,
    (token_hash, bearer): (&[u8; 32], Bearer),
    last_uses: &LastUses,
) -> Result<Option<SessionRow>, AccessError> {
    let read_at = Instant::now();
    let row = cell
        .operations()
        .first_row(sqlx::query(bearer.lookup()).bind(&token_hash[..]))
        .await
        .map_err(|error| AccessError::unavailable("sessions", sqlstate(&error)))?;
    // Nothing is remembered of tokens that are nobody's.
    row.map(|row| decode(cell, (&row, read_at), bearer, last_uses.of(*token_hash)))
        .transpose()
        .map_err(|error| AccessError::unavailable("sessions", sqlstate(&error)))
}

fn decode(
    cell: &Cell,
    (row, read_at): (&PgRow, Instant),
    bearer: Bearer,
    last_use: Arc<LastUse>,
) -> Result<SessionRow, sqlx::Error> {
    let at = |index: usize| row.try_get::<time::OffsetDateTime, _>(index).map(Timestamp::from);
    let roles: Vec<String> = row.try_get(10)?;
    // A role name that this binary does not know grants nothing.
    let roles: RoleSet = roles.iter().filter_map(|role| role.parse::<Role>().ok()).collect();
    last_use.read(at(4)?);
    Ok(SessionRow {
        read_at,
        id: SessionId::from_uuid(row.try_get(0)?),
        active: row.try_get(1)?,
        aal: match row.try_get::<i16, _>(2)? {
            3 => Aal::Three,
            2 => Aal::Two,
            _ => Aal::One,
        },
        created: at(3)?,
        last_use,
        factor_at: at(5)?,
        device: row.try_get::<Option<uuid::Uuid>, _>(6)?.map(DeviceId::from_uuid),
        device_confirmed: row.try_get(12)?,
        device_required: row.try_get(13)?,
        patient_audience: row.try_get(11)?,
        principal: Principal {
            tenant: cell.tenant(),
            tenant_kind: cell.kind(),
            person: PersonId::from_uuid(row.try_get(7)?),
            suspended: row.try_get(8)?,
            patient: row.try_get::<Option<uuid::Uuid>, _>(9)?.map(ResourceId::from_uuid),
            roles,
        },
        app: (bearer == Bearer::App).then(|| app::decode(row)).transpose()?,
        provisions_until: (bearer == Bearer::Provisioner).then(|| at(14)).transpose()?,
    })
}

impl SessionRow {
    /// The caller that this session makes at `now`, or why it makes none.
    pub(crate) fn caller(
        &self,
        now: Timestamp,
        origin: Origin,
        tenant_active: bool,
        limits: &SessionLimits,
    ) -> Result<Caller, SessionError> {
        if !self.is_live(now, limits) {
            return Err(SessionError::Unknown);
        }
        if !self.active {
            return Err(SessionError::Unfinished);
        }
        if self.is_use(origin.activity) {
            self.last_use.used(now);
        }
        Ok(Caller {
            principal: self.principal,
            session: self.id,
            aal: self.aal,
            factor_at: self.factor_at,
            device: self.device,
            device_confirmed: self.device_confirmed,
            device_required: self.device_required,
            tenant_active,
            origin,
            now,
            signed_out_at: self.ends(limits),
            app: self.app.clone(),
            provisioner: self.provisions_until.is_some(),
        })
    }

    /// Whether the session is within its limits.
    fn is_live(&self, now: Timestamp, limits: &SessionLimits) -> bool {
        now < self.ends(limits)
    }

    /// When the session ends if it is not used any more. What an app was given for longer than a session ends by itself only,
    /// and so does an identity provider's token.
    fn ends(&self, limits: &SessionLimits) -> Timestamp {
        if let Some(until) = self.provisions_until {
            return until;
        }
        let idle = if self.patient_audience { limits.patient_idle } else { limits.staff_idle };
        let session = (self.created + limits.absolute).min(self.last_use.at() + idle);
        match &self.app {
            Some(app) if app.bound => session.min(app.expires),
            Some(app) => app.expires,
            None => session,
        }
    }

    /// That an app works does not mean that the person is there.
    fn is_use(&self, activity: Activity) -> bool {
        activity == Activity::Use && self.app.is_none()
    }

    /// Writes down the use that `caller` is, without making the request wait for it: now if that is due, and otherwise when the
    /// session may have come to rest. A lost note costs the person at most one early sign-out.
    pub(crate) fn note_use(
        &self,
        operations: &OperationsConnections,
        caller: &Caller,
        limits: &SessionLimits,
    ) {
        if !self.is_use(caller.origin.activity) {
            return;
        }
        let sql = if self.provisions_until.is_some() { provisioner::TOUCH } else { TOUCH };
        if self.last_use.is_due(caller.now()) {
            tokio::spawn(touch(operations.clone(), sql, self.id, caller.now()));
        } else if self.last_use.awaits() {
            let (last_use, session, rest) = (Arc::clone(&self.last_use), self.id, limits.settled);
            // Whoever waits keeps no tenant's connections that was suspended meanwhile.
            let operations = operations.downgrade();
            tokio::spawn(async move {
                tokio::time::sleep(rest).await;
                if let (Some(at), Some(operations)) = (last_use.settle(), operations()) {
                    touch(operations, sql, session, at).await;
                }
            });
        }
    }
}

async fn touch(operations: OperationsConnections, sql: &'static str, session: SessionId, at: Timestamp) {
    let touch = sqlx::query(sql).bind(session.as_uuid()).bind(time::OffsetDateTime::from(at));
    if let Err(error) = operations.first_row(touch).await {
        tracing::warn!(cause = sqlstate(&error), "a session's last use could not be noted");
    }
}

/// A tenant's sessions as this process knows them.
#[derive(Clone)]
pub(crate) struct KnownSessions {
    /// As last read, by token hash; trusted for [`TRUST`] and no longer.
    rows: moka::future::Cache<[u8; 32], Arc<SessionRow>>,
    last_uses: LastUses,
}

/// How many sessions of one tenant a process remembers.
const MOST: u64 = 100_000;

impl KnownSessions {
    pub(crate) fn new() -> Self {
        let rows = moka::future::Cache::builder().max_capacity(MOST).time_to_live(TRUST).build();
        Self { rows, last_uses: LastUses::new(MOST) }
    }

    /// The row of a token.
    pub(crate) async fn row(
        &self,
        cell: &Cell,
        (token_hash, bearer): ([u8; 32], Bearer),
    ) -> Result<Arc<SessionRow>, SessionError> {
        if let Some(row) = self.rows.get(&token_hash).await {
            if row.read_at.elapsed() < TRUST {
                return Ok(row);
            }
            // Reading it took a while: it leaves before its time in the cache is over.
            self.rows.invalidate(&token_hash).await;
        }
        let loaded = self.rows.try_get_with(token_hash, async {
            let row = load(cell, (&token_hash, bearer), &self.last_uses).await?;
            row.map(Arc::new).ok_or(SessionError::Unknown)
        });
        Box::pin(loaded).await.map_err(|error: Arc<SessionError>| (*error).clone())
    }
}
