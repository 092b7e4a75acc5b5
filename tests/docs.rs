//! Every command in the documentation runs. What takes virtual machines is marked `sh vm`; the tests that boot them run
//! the same commands, and this one checks that they are commands of the tool. What is typed on a server is `sh server`.

mod support;

use std::fs;
use std::process::Command;

use support::{root, run, stderr, tracked};

/// Commands in fenced blocks of one kind, over all documents.
fn commands(kind: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in tracked(&["*.md"]) {
        let text = fs::read_to_string(&file).unwrap();
        let mut inside = false;
        for line in text.lines() {
            if line.starts_with("```") {
                inside = !inside && line == format!("```{kind}");
            } else if inside {
                found.push((file.display().to_string(), line.to_owned()));
            }
        }
    }
    found
}

#[test]
fn commands_run() {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_echora-images")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let commands = commands("sh");
    assert!(commands.len() >= 5, "{commands:?}");
    for (file, command) in commands {
        // The README's own two build and test everything: that they are targets is what can be asked here.
        let command = command
            .strip_prefix("make ")
            .map_or(command.clone(), |target| format!("make --dry-run {target}"));
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(root())
            .env("PATH", &path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{file}: {command}\n{}", stderr(&output));
    }
}

#[test]
fn commands_with_machines_are_commands_of_the_tool() {
    let commands = [commands("sh vm"), commands("sh account")].concat();
    assert!(commands.len() >= 5, "{commands:?}");
    for (file, command) in commands {
        // Its words up to the first value, with --help in place of the work.
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words[0], "echora-images", "{file}: {command}");
        let help = run(&[words[1], "--help"]);
        let known = String::from_utf8_lossy(&help.stdout).into_owned();
        let known = known.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(known.clone().any(|word| word == *option), "{file}: {command}: {option}");
        }
    }
}

/// What is typed on a server is in the help of the guest binary.
#[test]
fn commands_on_a_server_are_the_guests() {
    let help = fs::read_to_string(root().join("firstboot/src/arguments.rs")).unwrap();
    let commands = commands("sh server");
    assert!(commands.len() >= 5, "{commands:?}");
    for (file, command) in commands {
        let mut words = command.split_whitespace();
        let usage = format!(" {} ", words.next().unwrap());
        assert!(help.contains(&usage), "{file}: {command}: {usage}");
        for option in words.filter(|word| word.starts_with("--")) {
            assert!(help.contains(&format!("         {option} ")), "{file}: {command}: {option}");
        }
    }
}

#[test]
fn links_lead_somewhere() {
    for file in tracked(&["*.md"]) {
        let text = fs::read_to_string(&file).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let is_local = !target.contains("://") && !target.starts_with('#');
            let path = file.parent().unwrap().join(target);
            assert!(!is_local || path.exists(), "{}: {target}", file.display());
        }
    }
}

#[test]
fn make_help_lists_every_target() {
    let output = Command::new("make").arg("help").current_dir(root()).output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).unwrap();
    for target in targets.split_whitespace() {
        assert_eq!(
            help.lines().filter(|line| line.split_whitespace().nth(1) == Some(target)).count(),
            1,
            "{target}"
        );
    }
}
