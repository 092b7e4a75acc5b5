//! The guest binary for 64-bit Arm, with the same machine around it.

use std::env;
use std::fs::{self, File};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::guest;

/// Cut off at every call or at random, one boot is a hundred: what is sure of one processor's binary is sure of the other's.
const LONG: [&str; 3] = ["kills", "cut_off", "killed"];
/// Far more than they take on a busy machine.
const FOR_EVER: Duration = Duration::from_secs(300);

#[test]
fn the_binary_for_arm_sets_machines_up_as_well() {
    let words = match guest::for_arm() {
        Ok(words) => words,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let line = words.join("\n");
    // Some tests would wait for a program that cannot run.
    let version = Command::new(&words[0]).args(&words[1..]).arg("--version").output().unwrap();
    assert!(version.status.success(), "{line} does not run: {version:?}");

    let told = tempfile::NamedTempFile::new().unwrap();
    let both = || File::options().append(true).open(told.path()).unwrap();
    let mut tests = Command::new(env::current_exe().unwrap());
    tests.env(guest::VARIABLE, line).args(["--skip", "the_binary_for_arm"]);
    for name in LONG {
        tests.args(["--skip", name]);
    }
    let mut tests = tests.stdout(both()).stderr(both()).spawn().unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = tests.try_wait().unwrap() {
            break Some(status);
        }
        if began.elapsed() > FOR_EVER {
            tests.kill().unwrap();
            tests.wait().unwrap();
            break None;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let told = fs::read_to_string(told.path()).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{told}");
    let passed = told.lines().filter(|line| line.ends_with(" ... ok")).count();
    assert!(passed > 40, "only {passed} tests were run with it:\n{told}");
    println!("{passed} tests with the binary for arm");
}
