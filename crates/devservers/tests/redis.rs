//! A private Redis keeps its promises: private, quick, restartable, gone with its parent.
#![expect(clippy::expect_used, reason = "helpers of tests fail the test")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use carekeep_devservers::{Redis, RedisOptions, Scratch};

/// Sends commands and gives what is answered until the server closes (each list ends with QUIT).
fn say(redis: &Redis, commands: &str) -> String {
    let mut stream = UnixStream::connect(redis.socket()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
    stream.write_all(format!("{commands}\r\nQUIT\r\n").as_bytes()).expect("it takes it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn login(redis: &Redis) -> String {
    format!("AUTH {}", redis.password())
}

#[tokio::test]
async fn it_is_ready_quickly_and_needs_its_password() {
    let scratch = Scratch::new().expect("a directory");
    let start = Instant::now();
    let redis = Redis::start(RedisOptions::for_tests(scratch.path().join("r"))).await.expect("a server");
    println!("start of redis: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_millis(1500));
    assert!(say(&redis, "GET x").contains("NOAUTH"));
    assert!(say(&redis, "AUTH wrong").contains("WRONGPASS"));
    assert!(say(&redis, &format!("{}\r\nPING", login(&redis))).contains("+PONG"), "positive control");
    assert!(redis.url().contains(redis.password()));
    assert_eq!(redis.tcp_url(), None);
    let mode =
        |file: std::path::PathBuf| fs::metadata(file).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(redis.socket()), 0o700);
    assert_eq!(mode(scratch.path().join("r/redis.conf")), 0o600);
}

#[tokio::test]
async fn a_kept_server_keeps_its_data_over_a_restart_and_a_forgetful_one_does_not() {
    for (persistence, expected) in [(true, "$5\r\nthere"), (false, "$-1")] {
        let scratch = Scratch::new().expect("a directory");
        let options = RedisOptions { persistence, ..RedisOptions::for_tests(scratch.path().join("r")) };
        let mut redis = Redis::start(options).await.expect("a server");
        assert!(say(&redis, &format!("{}\r\nSET k there", login(&redis))).contains("+OK"));
        redis.stop().await;
        assert!(!redis.is_running());
        assert!(UnixStream::connect(redis.socket()).is_err(), "a stopped server takes nobody");
        redis.start_again().await.expect("a second start");
        let answer = say(&redis, &format!("{}\r\nGET k", login(&redis)));
        assert!(answer.contains(expected), "persistence {persistence}: {answer}");
    }
}

#[tokio::test]
async fn it_comes_back_on_the_same_socket_and_port_after_kill_9() {
    let scratch = Scratch::new().expect("a directory");
    let options = RedisOptions { tcp: true, ..RedisOptions::for_tests(scratch.path().join("r")) };
    let mut redis = Redis::start(options).await.expect("a server");
    let before = (redis.url(), redis.tcp_url());
    redis.kill().await;
    assert!(!redis.is_running());
    redis.start_again().await.expect("a second start");
    assert_eq!((redis.url(), redis.tcp_url()), before);
    let port = before.1.as_deref().and_then(|url| url.rsplit(':').next()).expect("a port").to_owned();
    assert!(std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok());
    assert!(say(&redis, &format!("{}\r\nPING", login(&redis))).contains("+PONG"));
}
