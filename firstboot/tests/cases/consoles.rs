//! Consoles and a journal that take nothing.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::checks::CREDENTIALS;
use crate::support::machine::Machine;

/// A terminal whose other end reads nothing and which takes no more; it lives as long as that end.
fn full_terminal() -> (OwnedFd, PathBuf) {
    let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&end).unwrap();
    unlockpt(&end).unwrap();
    let path = PathBuf::from(ptsname(&end, Vec::new()).unwrap().to_str().unwrap());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let terminal = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap();
    while rustix::io::write(&terminal, &[b'x'; 512]).is_ok() {}
    (end, path)
}

#[test]
fn a_console_that_takes_nothing_hangs_no_boot() {
    let (_end, terminal) = full_terminal();
    let machine = Machine::new();
    let console = machine.path(&machine.plan.consoles[0]);
    fs::remove_file(&console).unwrap();
    symlink(terminal, &console).unwrap();
    assert_eq!(machine.boot_impatiently().status.code(), Some(0));
    assert_eq!(machine.state()["finished"], true);
    let other = machine.read(&machine.plan.consoles[1]);
    assert!(other.ends_with("s\n") && other.contains(&machine.read(CREDENTIALS)), "{other}");
}

#[test]
fn a_console_that_nobody_opens_hangs_no_boot() {
    let machine = Machine::new();
    let console = machine.path(&machine.plan.consoles[0]);
    fs::remove_file(&console).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &console, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    machine.boot_well();
    assert_eq!(machine.state()["finished"], true);
}

#[test]
fn a_journal_that_is_full_ends_no_boot() {
    let machine = Machine::new();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let status = machine.command(&[]).stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(machine.state()["finished"], true);
    assert!(machine.login().is_ok());
}
