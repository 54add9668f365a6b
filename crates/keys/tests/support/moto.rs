//! A real moto server (AWS wire protocol) as a child of the test.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use carekeep_devservers::cache_dir;
use carekeep_keys::{AwsKms, AwsKmsOptions, StaticCredentials};

/// A running server. Start it in the test's own thread: it dies with the thread that started it, and on drop.
pub struct Moto {
    child: Child,
    port: u16,
}

impl Moto {
    pub fn start() -> Self {
        let venv = venv();
        // The port may be taken between asking for it and using it: then the child ends and another one is tried.
        for _ in 0..3 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let child = Command::new("setpriv")
                .args(["--pdeathsig", "KILL"])
                .arg(venv.join("bin/moto_server"))
                .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("setpriv (util-linux) starts moto_server");
            let mut server = Self { child, port };
            if server.wait_ready() {
                return server;
            }
        }
        panic!("moto_server ended three times at start: run {}/bin/moto_server by hand", venv.display());
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub async fn kms(&self) -> AwsKms {
        let mut options = AwsKmsOptions::new("eu-central-1");
        options.endpoint_url = Some(self.url());
        options.credentials = Some(StaticCredentials {
            access_key_id: "test".to_owned(),
            secret_access_key: "test".to_owned(),
        });
        // The first call loads half of moto; on a busy machine that takes seconds.
        options.attempt_timeout = Duration::from_secs(60);
        options.operation_timeout = Duration::from_secs(60);
        AwsKms::connect(options).await
    }

    fn wait_ready(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if self.answers() {
                return true;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("moto_server did not answer within 60 s");
    }

    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(b"GET /moto-api/data.json HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
            let mut head = [0; 12];
            stream.read_exact(&mut head)?;
            Ok(head.starts_with(b"HTTP/1.") && &head[9..] == b"200")
        };
        ask().unwrap_or(false)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The virtual environment of the test tools, which `./dev` makes before the tests.
fn venv() -> PathBuf {
    let named = std::env::var_os("CAREKEEP_VENV").map(PathBuf::from);
    let venv = named.unwrap_or_else(|| cache_dir().join("venv"));
    assert!(
        venv.join("bin/moto_server").exists(),
        "{} has no moto: run the tests by ./dev test",
        venv.display()
    );
    venv
}
