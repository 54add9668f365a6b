//! The bench's own rules, tried by Python's unittest (`tests/bench/test_bench.py`).

use std::process::Command;

#[test]
fn the_bench_throws_noisy_rounds_away_and_reads_its_tools_right() {
    let ran = Command::new("python3")
        .args(["-B", "-m", "unittest", "--verbose", "test_bench"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("Ran 8 tests"), "positive control: {said}");
}
