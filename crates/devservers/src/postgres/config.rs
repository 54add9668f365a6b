//! `postgresql.conf` and `pg_hba.conf`, written anew at every start.

use std::fmt::Write as _;
use std::path::Path;

use super::{PostgresOptions, SUPERUSER};
use crate::account::Account;
use crate::error::ServerError;
use crate::secret::write_private;

/// What every private server is run with.
///
/// The log settings keep patient data out of the log: no statements, no parameters, no details (a duplicate key's
/// detail quotes the row), and no message of level ERROR at all, since its text can quote a value
/// (`invalid input syntax for type integer: "..."`); the client gets all of these.
const ALWAYS: &[(&str, &str)] = &[
    // For two gateway processes with connections as shipped, and all else. Only those that are opened cost anything.
    ("max_connections", "900"),
    ("unix_socket_permissions", "0700"),
    ("password_encryption", "scram-sha-256"),
    ("synchronous_commit", "on"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("datestyle", "ISO, YMD"),
    ("jit", "off"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_line_prefix", "%m [%p] %q%u@%d "),
    ("log_min_messages", "log"),
    ("log_min_error_statement", "panic"),
    ("log_statement", "none"),
    ("log_duration", "off"),
    ("log_min_duration_statement", "-1"),
    ("log_min_duration_sample", "-1"),
    ("log_transaction_sample_rate", "0"),
    ("log_parameter_max_length", "0"),
    ("log_parameter_max_length_on_error", "0"),
    ("log_error_verbosity", "terse"),
    ("log_connections", "off"),
    ("log_checkpoints", "off"),
    ("log_autovacuum_min_duration", "-1"),
];

/// What a server for tests is run with: nothing is kept beyond a crash of the machine, and no shared memory is left
/// behind in `/dev/shm` by a kill.
const FORGETFUL: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("dynamic_shared_memory_type", "mmap"),
    ("max_wal_size", "256MB"),
    ("checkpoint_timeout", "1h"),
];

/// What the configuration is made from.
pub(super) struct Settings<'a> {
    pub(super) options: &'a PostgresOptions,
    pub(super) socket_dir: &'a Path,
    pub(super) port: u16,
}

impl Settings<'_> {
    /// Writes both files into the data directory.
    pub(super) fn write(&self, owner: &Account) -> Result<(), ServerError> {
        for (name, text) in [("postgresql.conf", self.conf()?), ("pg_hba.conf", hba())] {
            let path = self.options.data_dir.join(name);
            write_private(&path, &text)?;
            owner.own(&path)?;
        }
        Ok(())
    }

    fn conf(&self) -> Result<String, ServerError> {
        let socket_dir = self.socket_dir.to_string_lossy();
        // A list, hence the inner quotes.
        let socket_dir = format!("\"{}\"", socket_dir.replace('"', "\"\""));
        let port = self.port.to_string();
        let listen = if self.options.tcp { "127.0.0.1" } else { "" };
        let place = [
            ("unix_socket_directories", socket_dir.as_str()),
            ("listen_addresses", listen),
            ("port", port.as_str()),
        ];
        let forgetful = if self.options.durable { &[] } else { FORGETFUL };
        let extra = self.options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut conf = String::from("# Written by carekeep-devservers at every start; changes are lost.\n");
        for (name, value) in ALWAYS.iter().chain(forgetful).copied().chain(place).chain(extra) {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            if name.is_empty() || !name.chars().all(plain) || value.contains(['\n', '\r', '\0']) {
                return Err(ServerError::BadSetting { name: name.to_owned() });
            }
            let value = value.replace('\\', "\\\\").replace('\'', "''");
            // Writing to a string cannot fail.
            let _ = writeln!(conf, "{name} = '{value}'");
        }
        Ok(conf)
    }
}

/// A password for everybody, by socket and by loopback; nobody from anywhere else.
fn hba() -> String {
    format!(
        "local all all scram-sha-256\nlocal replication {SUPERUSER} scram-sha-256\n\
         host all all 127.0.0.1/32 scram-sha-256\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(settings: &[(&str, &str)]) -> Result<String, ServerError> {
        let settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let options = PostgresOptions { settings, ..PostgresOptions::durable("/data") };
        Settings { options: &options, socket_dir: Path::new("/run/x"), port: 5432 }.conf()
    }

    #[test]
    fn settings_of_the_caller_come_last_and_cannot_add_lines() {
        let text = conf(&[("max_connections", "7"), ("a.b", "it's \\")]).expect("good settings");
        assert!(text.ends_with("max_connections = '7'\na.b = 'it''s \\\\'\n"), "{text}");
        for bad in [("x y", "1"), ("", "1"), ("x", "1\nfsync = off"), ("x'", "1")] {
            assert!(matches!(conf(&[bad]), Err(ServerError::BadSetting { .. })), "{bad:?}");
        }
    }

    #[test]
    fn nobody_is_trusted() {
        assert!(hba().lines().all(|line| line.ends_with("scram-sha-256")));
    }
}
