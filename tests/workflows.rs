//! The workflows: sound by their own checker, no action that could change under us, and no secret where others' code runs.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use echora_rehearsal::cache::Cache;
use echora_rehearsal::tools;
use provider_profiles::Catalog;
use support::{program, root, stderr, stdout};

fn workflows() -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(root().join(".github/workflows")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found: Vec<_> = paths.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    assert!(found.len() >= 2);
    found
}

#[tokio::test]
async fn the_checker_of_workflows_finds_nothing() {
    let tool = tools::obtain(&Cache::user().unwrap(), root(), "actionlint").await.expect("it can be had");
    let files = workflows().into_iter().map(|(path, _)| path);
    // Its own look for a project would need a repository around it.
    let output = Command::new(tool.path).arg("-no-color").args(files).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn every_action_is_named_by_its_commit() {
    let mut actions = 0;
    for (path, text) in workflows() {
        for line in text.lines().filter(|line| line.contains("uses:")) {
            let told = format!("{}: {line}", path.display());
            let (_, action) = line.split_once("uses: ").expect(&told);
            let (action, version) = action.split_once(" # v").expect(&told);
            let (_, commit) = action.split_once('@').expect(&told);
            assert!(commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{told}");
            assert_eq!(version.split('.').count(), 3, "{told}");
            actions += 1;
        }
    }
    assert!(actions > 2);
}

/// By the indentation that actionlint and people read alike.
fn jobs(text: &str) -> Vec<String> {
    let (_, jobs) = text.split_once("\njobs:\n").expect("a workflow has jobs");
    let mut found: Vec<String> = Vec::new();
    for line in jobs.lines() {
        if line.len() > 2 && line.starts_with("  ") && !line[2..].starts_with(' ') {
            found.push(String::new());
        }
        found.last_mut().expect("it begins with a job").push_str(&format!("{line}\n"));
    }
    found
}

#[test]
fn secrets_are_for_jobs_that_a_maintainer_lets_through() {
    let mut guarded = 0;
    for (path, text) in workflows() {
        let path = path.display();
        assert!(!text.contains("pull_request_target"), "{path}: others' code would run with our rights");
        assert!(!text.contains(": write"), "{path}: nothing here writes to the repository");
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{path}: rights are not said");
        let others_code = text.contains("pull_request");
        for job in jobs(&text) {
            if job.contains("secrets") || job.contains("vars") {
                assert!(!others_code, "{path}: {job}");
                assert!(job.contains("\n    environment: "), "{path}: {job}");
                assert!(job.contains("\n    if: github.ref == 'refs/heads/main'\n"), "{path}: {job}");
                guarded += 1;
            }
        }
        let checkouts = text.matches("uses: actions/checkout@").count();
        assert_eq!(text.matches("persist-credentials: false").count(), checkouts, "{path}");
    }
    assert_eq!(guarded, 1);
}

fn matrix(chosen: &str) -> Output {
    let mut providers = program().args(["providers", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut jq = Command::new("jq");
    jq.args(["-c", "--arg", "chosen", chosen, "-f"]).arg(root().join(".github/matrix.jq"));
    let output = jq.stdin(providers.stdout.take().unwrap()).output().expect("jq is there");
    assert!(providers.wait().unwrap().success());
    output
}

#[test]
fn the_matrix_has_every_provider_with_every_processor() {
    let catalog = Catalog::embedded().unwrap();
    let jobs = |chosen: &str| -> Vec<serde_json::Value> {
        let output = matrix(chosen);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let pair = |id: &str, architecture: &str| (id.to_owned(), architecture.to_owned());
    let wanted: BTreeSet<_> = catalog
        .iter()
        .flat_map(|entry| entry.profile.default_bases().map(move |base| (entry, base)))
        .map(|(entry, base)| pair(&entry.profile.id, base.architecture.name()))
        .collect();
    let all = jobs("");
    let found: BTreeSet<_> = all
        .iter()
        .map(|job| pair(job["id"].as_str().unwrap(), job["architecture"].as_str().unwrap()))
        .collect();
    assert_eq!((found, all.len()), (wanted.clone(), wanted.len()));
    for job in &all {
        let packer = &catalog.find(job["id"].as_str().unwrap()).unwrap().profile.packer;
        let account: Vec<_> = packer.account.values().map(|setting| setting.environment.as_str()).collect();
        assert_eq!(job["token"], packer.token.environment);
        assert_eq!(job["holds"], serde_json::to_value(packer.token.holds).unwrap());
        assert_eq!(job["account"], serde_json::to_value(account).unwrap());
    }
    let workflow = fs::read_to_string(root().join(".github/workflows/images.yml")).unwrap();
    let names = workflow.split("{{").skip(1).flat_map(|rest| {
        let expression = rest.split("}}").next().unwrap();
        expression
            .split(" matrix.")
            .skip(1)
            .chain(expression.split(['[', '(']).filter_map(|part| part.strip_prefix("matrix.")))
    });
    let names: BTreeSet<_> =
        names.map(|name| name.split(|c: char| !c.is_ascii_lowercase()).next().unwrap()).collect();
    assert_eq!(names, all[0].as_object().unwrap().keys().map(String::as_str).collect());
    let ids: Vec<_> = catalog.ids().take(2).collect();
    let chosen: BTreeSet<_> =
        jobs(&ids.join("  ")).iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(chosen, ids.iter().map(|id| (*id).to_owned()).collect());
    let unknown = matrix("nimbus");
    assert!(!unknown.status.success() && stderr(&unknown).contains("nimbus"), "{}", stderr(&unknown));
}

/// With a tool that tells what it is given; it tells its secret to this test alone.
#[test]
fn a_build_gets_the_credential_as_the_provider_wants_it_and_the_accounts_settings() {
    let secret = "-----BEGIN KEY-----\ns3cr3t $x `y`\n-----END KEY-----";
    for entry in Catalog::embedded().unwrap().iter() {
        let folder = tempfile::tempdir().unwrap();
        let packer = &entry.profile.packer;
        let told = folder.path().join("told");
        let tool = folder.path().join("target/release/echora-images");
        fs::create_dir_all(tool.parent().unwrap()).unwrap();
        let names: Vec<_> = packer.account.values().map(|setting| setting.environment.as_str()).collect();
        let script = format!(
            "#!/bin/sh\nexec >{told}\necho \"$@\"\nfor name in {names}; do printenv \"$name\"; done\n\
             if [ -f \"${token}\" ]; then stat -c %a \"${token}\"; cat \"${token}\"; else printenv {token}; fi\n\
             if [ \"${{SECRET-}}${{VARIABLES-}}\" ]; then echo still there; fi\n",
            told = told.display(),
            names = names.join(" "),
            token = packer.token.environment,
        );
        fs::write(&tool, script).unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        let variables: serde_json::Map<_, _> =
            names.iter().map(|name| ((*name).to_owned(), format!("the {name}").into())).collect();
        let mut command = Command::new("sh");
        let script = root().join(".github/in-account.sh");
        command.arg(&script).arg("build").current_dir(folder.path());
        command.env("PROVIDER", &entry.profile.id).env("ARCHITECTURE", "aarch64").env("SECRET", secret);
        command.env("TOKEN", &packer.token.environment).env("ACCOUNT", names.join(" "));
        let holds = serde_json::to_value(packer.token.holds).unwrap();
        command.env("HOLDS", holds.as_str().unwrap());
        command.env("VARIABLES", serde_json::Value::Object(variables).to_string());
        let output = command.env("IMAGES", "i.toml").env("FRONTEND", "f").env("OUT", "o").output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let mut wanted =
            format!("build {} --arch aarch64 --images i.toml --frontend f --out o\n", entry.profile.id);
        wanted.extend(names.iter().map(|name| format!("the {name}\n")));
        if packer.token.holds == provider_profiles::Credential::KeyFile {
            wanted.push_str("600\n");
        }
        wanted.push_str(&format!("{secret}\n"));
        assert_eq!(fs::read_to_string(&told).unwrap(), wanted);
        assert!(!(stdout(&output) + &stderr(&output)).contains("s3cr3t"));

        let mut prune = Command::new("sh");
        prune.arg(&script).arg("prune").current_dir(folder.path());
        prune.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        for name in ["ARCHITECTURE", "IMAGES", "FRONTEND", "OUT"] {
            prune.env_remove(name);
        }
        let output = prune.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let wanted = wanted.split_once('\n').unwrap().1;
        let wanted = format!("prune --provider {}\n{wanted}", entry.profile.id);
        assert_eq!(fs::read_to_string(told).unwrap(), wanted);
    }
}
