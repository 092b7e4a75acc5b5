//! The command line as a user meets it: output, errors, exit statuses.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use echora_firstboot::login::LoginBlock;
use provider_profiles::{Architecture, Catalog};
use support::{program, run, stderr, stdout};

fn block() -> LoginBlock {
    LoginBlock {
        url: "https://203.0.113.7".into(),
        username: "admin".into(),
        password: "abcd-efgh-2345-6789".into(),
    }
}

/// A PATH whose Packer says this of its version, with the folder that it lies in.
fn path_with_packer(version: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let packer = folder.path().join("packer");
    fs::write(&packer, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
    fs::set_permissions(&packer, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    (folder, path)
}

fn credentials(log: &str, arguments: &[&str]) -> std::process::Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), log).unwrap();
    program().arg("credentials").arg(file.path()).args(arguments).output().unwrap()
}

#[test]
fn credentials_reads_a_noisy_console() {
    let noisy =
        block().render().replace("Username", "[    3.14] usb: new device\r\nUsername").replace('\n', "\r\n");
    let output = credentials(&noisy, &[]);
    assert_eq!(
        stdout(&output),
        "URL:      https://203.0.113.7\nUsername: admin\nPassword: abcd-efgh-2345-6789\n"
    );
    let output = credentials(&noisy, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["password"], "abcd-efgh-2345-6789");
}

#[test]
fn credentials_says_which_of_none_and_damaged() {
    for (log, what) in
        [("login:".to_owned(), "no login"), (block().render().replace("efgh", "efgx"), "damaged")]
    {
        let output = credentials(&log, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(what) && stderr(&output).contains("hint: "), "{}", stderr(&output));
    }
    let output = run(&["credentials", "/no/such/file"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_unknown_provider_is_told_the_known_and_the_nearest() {
    let known = stdout(&run(&["providers", "--json"]));
    let known: Vec<serde_json::Value> = serde_json::from_str(&known).unwrap();
    let first = known[0]["id"].as_str().unwrap();
    let misspelt = format!("{}x", &first[..first.len() - 1]);
    for command in [["build", &misspelt, "--rehearse"], ["generate", &misspelt, "--check"]] {
        let output = run(&command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        let text = stderr(&output);
        assert!(text.contains(&format!("did you mean {first}?")), "{text}");
        assert!(known.iter().all(|provider| text.contains(provider["id"].as_str().unwrap())), "{text}");
    }
}

#[test]
fn a_missing_tool_is_named_before_anything_starts() {
    let empty = tempfile::tempdir().unwrap();
    let provider = support::default_provider();
    let output =
        program().args(["build", &provider, "--rehearse"]).env("PATH", empty.path()).output().unwrap();
    // The system's own folders for root are looked at too, so what is named depends on the machine.
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("qemu-system-x86_64") && stderr(&output).contains("make setup"),
        "{}",
        stderr(&output)
    );
}

/// Every provider: a processor that it has no base image for ends before anything starts, and so does one that local
/// machines do not have.
#[test]
fn a_processor_that_cannot_be_had_is_refused_with_those_that_can() {
    let mut refused = 0;
    for entry in Catalog::embedded().unwrap().iter() {
        let (id, bases) = (entry.profile.id.as_str(), &entry.profile.bases);
        let has_arm = bases.iter().any(|base| base.architecture == Architecture::Aarch64);
        let output = run(&["build", id, "--rehearse", "--arch", "arm64"]);
        assert_eq!(output.status.code(), Some(2), "{id}: {}", stderr(&output));
        let told = stderr(&output);
        if has_arm {
            assert!(told.contains("cannot be rehearsed") && told.contains("--arch"), "{told}");
        } else {
            assert!(told.contains("no base image for aarch64") && told.contains("one for x86_64"), "{told}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}

#[test]
fn an_account_that_lacks_settings_is_told_all_of_them_at_once() {
    let path = path_with_packer("Packer v1.16.0");
    for entry in Catalog::embedded().unwrap().iter() {
        let packer = &entry.profile.packer;
        let names: Vec<_> = [&packer.token.environment]
            .into_iter()
            .chain(packer.account.values().map(|setting| &setting.environment))
            .collect();
        let mut command = program();
        for name in &names {
            command.env_remove(name);
        }
        let output = command.args(["build", &entry.profile.id]).env("PATH", &path.1).output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(names.iter().all(|name| told.contains(&format!("\n  {name} is not set: "))), "{told}");
    }
}

#[test]
fn a_packer_that_is_too_old_is_told_both_versions() {
    let (_folder, path) = path_with_packer("Packer v1.6.6");
    let output = program().args(["build", &support::default_provider()]).env("PATH", path).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("1.6.6") && stderr(&output).contains("1.11.0"), "{}", stderr(&output));
}

#[test]
fn a_record_that_is_none_is_a_usage_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "{").unwrap();
    for record in [file.path().to_str().unwrap(), "/no/such/record"] {
        let output = run(&["boot", record]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
}

#[test]
fn help_completions_and_manual_come_from_one_definition() {
    let help = stdout(&run(&["--help"]));
    for command in ["build", "boot", "credentials", "generate", "providers", "completions", "man"] {
        assert!(help.contains(command), "{command}");
        assert!(stdout(&run(&[command, "--help"])).contains("Usage: "), "{command}");
    }
    assert!(stdout(&run(&["completions", "bash"])).contains("--rehearse"));
    assert!(stdout(&run(&["man"])).contains(".TH"));
}
