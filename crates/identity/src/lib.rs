//! Passkeys, TOTP, passwords, recovery codes, sessions, invites.
