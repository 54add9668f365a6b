//! Nothing outlives its parent: an example process starts both servers and is killed with `kill -9`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Every process that works in `dir` or has it in its arguments.
fn processes_of(dir: &str) -> Vec<u32> {
    let of_it = |pid: &u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let works_in = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(dir) || works_in.starts_with(dir)
    };
    let all = fs::read_dir("/proc").expect("processes").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(of_it).collect()
}

/// Starts the example; returns it and the directory of its servers once they run.
fn start_example(mode: &str) -> (Child, String) {
    let example = PathBuf::from(env!("CARGO_BIN_EXE_carekeep-devservers-example"));
    let mut child = Command::new(example)
        .arg(mode)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example was built with the tests");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    (child, line.trim().to_owned())
}

fn nothing_is_left_of(dir: &str) {
    let start = Instant::now();
    while !processes_of(dir).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20), "left of {dir}: {:?}", processes_of(dir));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn kill_9_of_the_parent_leaves_no_server_behind() {
    for mode in ["current", "threads", "blocking"] {
        let (mut example, dir) = start_example(mode);
        assert!(processes_of(&dir).len() > 5, "positive control: servers and their workers run in {dir}");
        let start = Instant::now();
        example.kill().expect("kill -9");
        example.wait().expect("its end");
        nothing_is_left_of(&dir);
        println!("{mode}: all gone {:?} after kill -9", start.elapsed());
        // The next start of anything of ours sweeps what the dead process left.
        fs::remove_dir_all(&dir).expect("its directory was left");
    }
}
