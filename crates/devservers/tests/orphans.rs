//! Nothing outlives its parent: a process that started both servers is killed with `kill -9`.
#![expect(clippy::expect_used, reason = "helpers of tests fail the test")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use carekeep_devservers::{Postgres, PostgresOptions, Redis, RedisOptions, Scratch};

/// Every live process whose working directory or arguments name `dir`.
fn processes_of(dir: &str) -> Vec<u32> {
    let of_it = |pid: &u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let works_in = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(dir) || works_in.starts_with(dir)
    };
    let all = fs::read_dir("/proc").expect("processes").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(of_it).collect()
}

/// Starts the holder with `temporary` as its temporary directory; returns it and the directory of its servers once
/// they run.
fn start_holder(temporary: &Scratch) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_carekeep-devservers"))
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is built with the tests");
    let printed = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines().take(3);
    let printed: Vec<String> = printed.map(|line| line.expect("a line")).collect();
    assert!(
        matches!(&printed[..], [dir, _, _] if dir.starts_with('/')),
        "its directory and two URLs: {printed:?}"
    );
    (child, printed[0].clone())
}

fn until_nothing_is_left_of(dir: &str) {
    let start = Instant::now();
    while !processes_of(dir).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20), "left of {dir}: {:?}", processes_of(dir));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn kill_9_of_the_parent_leaves_no_server_behind() {
    let temporary = Scratch::new().expect("a directory");
    let (mut holder, dir) = start_holder(&temporary);
    let before = processes_of(&dir).len();
    assert!(before > 4, "positive control: servers and their workers run in {dir}, found {before}");
    let start = Instant::now();
    holder.kill().expect("kill -9");
    holder.wait().expect("its end");
    until_nothing_is_left_of(&dir);
    println!("{before} processes gone {:?} after kill -9 of their parent", start.elapsed());
    assert!(fs::exists(&dir).expect("an answer"), "a killed process leaves its directory");
    let (mut next, _) = start_holder(&temporary);
    assert!(!fs::exists(&dir).expect("an answer"), "the next one sweeps it");
    drop(next.stdin.take());
    assert!(next.wait().expect("its end").success());
}

#[test]
fn an_orderly_end_stops_the_servers_and_removes_their_directory() {
    let temporary = Scratch::new().expect("a directory");
    let (mut holder, dir) = start_holder(&temporary);
    drop(holder.stdin.take());
    assert!(holder.wait().expect("its end").success());
    assert_eq!(processes_of(&dir), Vec::<u32>::new());
    assert!(!fs::exists(&dir).expect("an answer"));
}

#[test]
fn servers_survive_the_thread_and_the_runtime_that_started_them() {
    let scratch = Scratch::new().expect("a directory");
    let path = scratch.path().to_owned();
    let start = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let postgres =
                Postgres::start(PostgresOptions::for_tests(path.join("pg"))).await.expect("Postgres");
            let redis = Redis::start(RedisOptions::for_tests(path.join("r"))).await.expect("Redis");
            (postgres, redis)
        })
    };
    // The parent-death signal is bound to the thread that forks: this one is over before we look.
    let (postgres, redis) = std::thread::spawn(start).join().expect("no panic");
    let url = postgres.superuser_url("postgres");
    let asked = Command::new("psql").args(["-X", "-A", "-t", "-c", "select 1", &url]).output().expect("psql");
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "1");
    assert!(postgres.is_running() && redis.is_running());
}
