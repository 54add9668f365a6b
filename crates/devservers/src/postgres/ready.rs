//! Is the server ready? Asked in its own protocol, until it says so, ends, or time is up.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::SUPERUSER;
use crate::process::Guarded;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(5);
/// One question has to be answered within this time.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Protocol 3.0 (PostgreSQL manual, "Message Formats", StartupMessage).
const PROTOCOL: u32 = 196_608;

/// How waiting ended.
pub(super) enum Outcome {
    /// It takes connections.
    Ready,
    /// Its process ended.
    Ended(ExitStatus),
    /// It neither ended nor answered.
    TooSlow,
}

/// Waits until the server behind `socket` asks for a password, which it does only when it takes connections.
pub(super) async fn wait(socket: &Path, process: &Guarded, limit: Duration) -> Outcome {
    let ask = async {
        loop {
            if let Some(status) = process.status() {
                return Outcome::Ended(status);
            }
            if matches!(timeout(ANSWER_LIMIT, asks_for_password(socket)).await, Ok(Ok(true))) {
                return Outcome::Ready;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    timeout(limit, ask).await.unwrap_or(Outcome::TooSlow)
}

/// Opens a connection as the superuser and looks at the first answer: `R` is a request to authenticate; a server that
/// starts, recovers or stops answers with an error instead.
async fn asks_for_password(socket: &Path) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut message = Vec::with_capacity(64);
    message.extend_from_slice(&PROTOCOL.to_be_bytes());
    for text in ["user", SUPERUSER, "database", "postgres"] {
        message.extend_from_slice(text.as_bytes());
        message.push(0);
    }
    message.push(0);
    let length = u32::try_from(message.len() + 4).unwrap_or(u32::MAX);
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&message).await?;
    Ok(stream.read_u8().await? == b'R')
}
