//! The last check finds what is planted, names it in one line, and finds nothing else.

use std::fs;

use crate::defects::{Defect, LEFT, LEFT_FILES, LEFT_IN_HOMES, MISSING};
use crate::machine::{Machine, checkout};

fn finds(machine: &Machine, expected: &str) {
    let run = machine.run("verify.sh");
    let lines: Vec<_> = run.err.lines().filter_map(|line| line.strip_prefix("verify: ")).collect();
    assert_eq!(lines, [expected], "{run:?}");
    assert!(
        run.err.ends_with(
            "error: 1 of the promises of this image do not hold\nhint: each line above names one\n"
        ),
        "{run:?}"
    );
    assert_eq!((run.code, run.out.as_str()), (Some(5), ""), "{run:?}");
}

fn finds_files(files: &[(&str, &str)]) {
    for (what, path) in files {
        let machine = Machine::clean();
        machine.write(path, "left\n");
        finds(&machine, &format!("{what}: {path}"));
    }
}

fn finds_all(defects: &[Defect]) {
    for (line, plant) in defects {
        let machine = Machine::clean();
        plant(&machine);
        finds(&machine, line);
    }
}

#[test]
fn a_clean_machine_passes() {
    let run = Machine::clean().run("verify.sh");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    let counted = run.out.strip_prefix("verify: ").and_then(|line| line.strip_suffix(" checks passed\n"));
    assert!(counted.unwrap().parse::<usize>().unwrap() > 60, "{run:?}");
}

// In parts, so that they run side by side.
#[test]
fn each_file_that_is_left_is_found_1() {
    finds_files(&LEFT_FILES[..26]);
}

#[test]
fn each_file_that_is_left_is_found_2() {
    finds_files(&LEFT_FILES[26..]);
}

#[test]
fn every_home_is_searched() {
    finds_files(&LEFT_IN_HOMES);
}

#[test]
fn other_traces_of_the_build_are_found() {
    finds_all(&LEFT);
}

#[test]
fn what_is_missing_is_found() {
    finds_all(&MISSING);
}

#[test]
fn several_findings_are_counted() {
    let machine = Machine::clean();
    machine.write("/etc/ssh/ssh_host_rsa_key", "key");
    machine.write("/etc/ssh/ssh_host_rsa_key.pub", "key");
    machine.state("docker/volumes", "a\nb\n");
    let run = machine.run("verify.sh");
    assert!(run.err.contains("\nerror: 4 of the promises"), "{run:?}");
    assert_eq!(run.err.lines().filter(|line| line.starts_with("verify: ")).count(), 4, "{run:?}");
}

#[test]
fn packers_own_script_and_private_folders_of_services_are_no_finding() {
    let machine = Machine::clean();
    let script = machine.root("/tmp/script_1234.sh");
    fs::copy(checkout("packer/scripts/verify.sh"), &script).unwrap();
    machine.write("/tmp/systemd-private-1-app/tmp/x", "x");
    let run = machine.run_file(&script, &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
}
