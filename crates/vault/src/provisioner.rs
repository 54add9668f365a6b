//! A tenant's own identity provider, by its provisioning token: an account without factors that policy lets keep the accounts of
//! staff and nothing else.
//!
//! It counts as two factors, as programs with a key do: what it may do is bounded by its role, not by an assurance level.

/// The columns of a session, and when the token ends. Whoever never used it used it at the epoch. Nothing works by a token whose maker
/// does not run the tenant any more: they know it.
pub(crate) const LOOKUP: &str =
    "SELECT t.id, true, 2::smallint, t.created_at, coalesce(t.last_used_at, 'epoch'::timestamptz), t.created_at,
       NULL::uuid, p.id, p.suspended_at IS NOT NULL, p.patient,
       array(SELECT g.role FROM role_grant g WHERE g.person = p.id AND g.revoked_at IS NULL),
       false, false, false, t.expires_at
  FROM provisioning_token t JOIN person p ON p.id = t.person JOIN person m ON m.id = t.created_by
 WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND p.left_at IS NULL AND m.left_at IS NULL AND m.suspended_at IS NULL
   AND EXISTS (SELECT FROM role_grant g WHERE g.person = m.id AND g.role = 'tenant_admin' AND g.revoked_at IS NULL)";

/// Notes a use.
pub(crate) const TOUCH: &str = "UPDATE provisioning_token SET last_used_at = $2
  WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
