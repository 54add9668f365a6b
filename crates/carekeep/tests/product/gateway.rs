//! `carekeep serve` processes: started, killed, started again.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use serde_json::Value;

use crate::installation::CAREKEEP;

/// A gateway process; ends when dropped.
pub(crate) struct Gateway {
    child: Child,
    /// The port of the public listener.
    pub(crate) port: u16,
    /// Where the internal listener is, such as `http://127.0.0.1:4711`.
    pub(crate) internal: String,
    said: Arc<Mutex<String>>,
}

impl Gateway {
    pub(crate) fn start(config: &Path) -> Self {
        Self::start_with(config, &[])
    }

    /// The same with variables in its environment.
    pub(crate) fn start_with(config: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(CAREKEEP)
            .args(["serve", "--config"])
            .arg(config)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let (kept, (serving, ready)) = (Arc::clone(&said), mpsc::channel());
        // All that it says is read, or it would wait for a reader one day.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
                if line.contains("\"serving\"") {
                    let _ = serving.send(line);
                }
            }
        });
        let Ok(line) = ready.recv_timeout(Duration::from_secs(60)) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the gateway does not serve:\n{}", said.lock().unwrap());
        };
        let line: Value = serde_json::from_str(&line).unwrap();
        let port = line["public"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        let internal = format!("http://{}", line["internal"].as_str().unwrap());
        Self { child, port, internal, said }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, as an orchestrator does, and gives all that it said.
    pub(crate) fn stop(mut self) -> String {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        self.child.wait().unwrap();
        self.said.lock().unwrap().clone()
    }

    /// All that it has said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
