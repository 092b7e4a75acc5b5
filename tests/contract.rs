//! The stand-in app against the contract of the real one, on the PostgreSQL that rehearsals run.

mod support;

use support::{run, stderr, stdout};

#[test]
fn all_rows_hold_for_the_stand_in() {
    let output = run(&["contract"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output).lines().last(), Some("62 passed, 0 failed"));
}

#[test]
fn an_app_that_breaks_it_is_told() {
    let output = run(&["contract", "--app", "/bin/false"]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
}
