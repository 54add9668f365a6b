//! A child process that cannot outlive us.
//!
//! The kernel sends the parent-death signal when the *thread* that forked ends, so each child gets a thread of its own
//! that forks it and then waits for its end. Between fork and the request for that signal the parent could die
//! unnoticed: a shell line that runs after the request compares the parent and gives up when it has changed. The child
//! leads its own process group, so that Ctrl-C in a terminal reaches us first and we stop our servers in order.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::sync::watch;

use crate::error::ServerError;
use crate::files;

/// Runs what follows only while `$1` is still the parent.
const STILL_THE_PARENT: &str = r#"[ "$PPID" = "$1" ] || exit 1; shift; exec "$@""#;

/// A running child; dropping it does not end it (its owner decides how), the death of this process does.
#[derive(Debug)]
pub(crate) struct Guarded {
    pid: Pid,
    ended: Arc<Mutex<Option<ExitStatus>>>,
    end: watch::Receiver<Option<ExitStatus>>,
}

/// What to run and how.
pub(crate) struct Launch<'a> {
    /// `setpriv` with the account's arguments.
    pub(crate) prefix: Command,
    /// What the kernel sends the child when we die, as setpriv names it.
    pub(crate) death_signal: &'static str,
    /// The program and its arguments.
    pub(crate) program: &'a Path,
    /// The program's arguments.
    pub(crate) arguments: &'a [&'a str],
    /// The working directory.
    pub(crate) dir: &'a Path,
    /// Standard output and error go to the end of this file.
    pub(crate) log: &'a Path,
}

impl Launch<'_> {
    /// Starts the child. Its environment holds a search path, a locale and UTC, and nothing of ours.
    pub(crate) fn spawn(self) -> Result<Guarded, ServerError> {
        let (out, _) = files::open_log(self.log)?;
        let err = out.try_clone().map_err(ServerError::io("open", self.log))?;
        let mut command = self.prefix;
        command
            .args(["--pdeathsig", self.death_signal, "--", "/bin/sh", "-c", STILL_THE_PARENT, "sh"])
            .arg(std::process::id().to_string())
            .arg(self.program)
            .args(self.arguments)
            .env_clear()
            .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")])
            .current_dir(self.dir)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Guarded::spawn(command).map_err(ServerError::io("start", self.program))
    }
}

impl Guarded {
    fn spawn(mut command: Command) -> std::io::Result<Self> {
        let (report, reported) = mpsc::channel();
        let (announce, end) = watch::channel(None);
        let ended = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&ended);
        thread::Builder::new().name("devserver".to_owned()).spawn(move || match command.spawn() {
            Ok(child) => {
                // Nobody listens any more only when the caller's thread is gone; the child is waited for all the same.
                let _ = report.send(Ok(child.id()));
                let status = wait(child, &shared);
                announce.send_replace(Some(status));
            }
            Err(error) => {
                let _ = report.send(Err(error));
            }
        })?;
        let id = reported.recv().map_err(std::io::Error::other)??;
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| std::io::Error::other("the child has no process id"))?;
        Ok(Self { pid, ended, end })
    }

    /// The process id of the server itself.
    pub(crate) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal, unless the child has ended: its number could be somebody else's by then.
    pub(crate) fn signal(&self, signal: Signal) {
        let ended = lock(&self.ended);
        if ended.is_none() {
            // It can fail only with "no such process", which is what was wanted.
            let _ = rustix::process::kill_process(self.pid, signal);
        }
    }

    /// How it ended, if it has.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        *self.end.borrow()
    }

    /// Waits until the child has ended and is reaped, at most for `limit`.
    pub(crate) async fn ended_within(&mut self, limit: Duration) -> bool {
        let ended = self.end.wait_for(Option::is_some);
        matches!(tokio::time::timeout(limit, ended).await, Ok(Ok(_)))
    }

    /// Asks by `signal`, and kills what has not ended after `patience`. Returns whether asking was enough.
    pub(crate) async fn stop(&mut self, signal: Signal, patience: Duration) -> bool {
        self.signal(signal);
        if self.ended_within(patience).await {
            return true;
        }
        self.kill().await;
        false
    }

    /// Kills the child without asking and waits until it is reaped.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::KILL);
        // A killed child can linger in the kernel (a hung disk); waiting for ever would help nobody.
        let _ = self.ended_within(Duration::from_secs(10)).await;
    }

    /// The same as [`stop`](Self::stop) for `Drop`, which cannot await.
    pub(crate) fn stop_blocking(&self, signal: Signal, patience: Duration) {
        for (signal, patience) in [(signal, patience), (Signal::KILL, Duration::from_secs(10))] {
            self.signal(signal);
            let start = Instant::now();
            while self.status().is_none() && start.elapsed() < patience {
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

/// Waits for the end of `child`; the slot is filled under the same lock under which the child is reaped.
fn wait(mut child: Child, slot: &Mutex<Option<ExitStatus>>) -> ExitStatus {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let end = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(rustix::process::waitid(WaitId::Pid(pid), end), Err(rustix::io::Errno::INTR)) {}
    }
    let mut ended = lock(slot);
    // The only failure would be that somebody else reaped it: then it has ended as well.
    let status = child.wait().unwrap_or_default();
    *ended = Some(status);
    status
}

fn lock(slot: &Mutex<Option<ExitStatus>>) -> MutexGuard<'_, Option<ExitStatus>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
