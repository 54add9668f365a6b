//! Passwords of private servers: random, kept in files that only their owner reads.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use carekeep_kernel::{OsRandom, Random as _};
use data_encoding::HEXLOWER;

use crate::error::ServerError;

/// 128 random bits as 32 hexadecimal digits, which need no quoting anywhere.
pub(crate) fn generate() -> String {
    let mut bytes = [0_u8; 16];
    OsRandom.fill(&mut bytes);
    HEXLOWER.encode(&bytes)
}

/// Writes `text` to a new file with mode 0600; a file that is already there is replaced, not followed.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), ServerError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(ServerError::io("replace", path)(error));
        }
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(ServerError::io("write", path))
}
