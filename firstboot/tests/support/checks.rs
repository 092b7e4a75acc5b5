//! What must hold of a machine after a boot.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::backend::User;
use super::machine::{Machine, Run, any_provider};

pub(crate) const STATE: &str = "/var/lib/echora/state.json";
pub(crate) const OWNER: &str = "/var/lib/echora/owner.json";
pub(crate) const SITES: &str = "/var/lib/echora/caddy/echora.sites";
pub(crate) const CREDENTIALS: &str = "/root/echora-credentials";
pub(crate) const CONFIG: &str = "/etc/echora/config.toml";
pub(crate) const INSTANCE: &str = "/var/lib/cloud/data/instance-id";

/// Files whose content must differ between a machine and its copy.
pub(crate) const IDENTITY: [&str; 3] =
    ["/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub", "/etc/ssh/ssh_host_rsa_key.pub"];

/// All that must hold once a machine is set up.
pub(crate) fn assert_is_set_up(machine: &Machine) {
    let login = machine.login().unwrap_or_else(|problem| panic!("{problem}: {}", machine.console()));
    let app = machine.app();
    let owners: Vec<_> = app.users.iter().filter(|user| user.role == "owner").collect();
    assert_eq!((owners.len(), app.users.len()), (1, 1), "{:?}", app.users);
    assert_eq!(
        (&login.username, &login.password),
        (&owners[0].username, &owners[0].password),
        "the login is the owner's"
    );
    assert_eq!(login.render(), machine.read(CREDENTIALS));
    assert_eq!(machine.state()["finished"], true);
    assert_eq!(machine.state()["instance"], machine.read(INSTANCE).trim());
    assert_eq!(machine.state()["url"], login.url);
    assert!(machine.read(SITES).contains("import site") && !machine.read(SITES).contains("import fence"));
    assert!(!machine.path(OWNER).exists(), "the owner's password is kept no longer than it is needed");
    for path in [CREDENTIALS, "/opt/echora/.env", STATE, "/var/lib/echora/backend.env"] {
        assert_eq!(machine.mode(path), 0o600, "{path}");
    }
    assert_eq!(fs::metadata(machine.path("/var/lib/echora/uploads")).unwrap().uid(), 10001);
    for secret in machine.secrets() {
        let secret = secret.expect("it is in .env");
        assert!(secret.len() == 64 && secret.bytes().all(|b| b.is_ascii_hexdigit()), "{secret}");
    }
    drop(app);
    assert_nothing_leaks(machine);
}

/// Secrets are in files of root's and on the consoles, the password beside them in nothing but the credentials.
fn assert_nothing_leaks(machine: &Machine) {
    let password = machine.login().unwrap().password;
    let secrets: Vec<String> = machine.secrets().into_iter().flatten().chain([password.clone()]).collect();
    // The arguments of all calls and the output of the last boot are there for everybody to see.
    let seen_by_all = machine.path("/journal");
    for (path, content) in machine.files() {
        let open_to_others =
            fs::metadata(&path).unwrap().mode() & 0o077 != 0 || path.starts_with(&seen_by_all);
        if open_to_others || path == machine.path(STATE) {
            let leaked = secrets.iter().any(|secret| content.contains(secret.as_str()));
            assert!(!leaked, "a secret is in {}", path.display());
        }
        let may_have_it = [CREDENTIALS, CONFIG].iter().any(|known| path == machine.path(known));
        assert!(may_have_it || !content.contains(&password), "the password is in {}", path.display());
    }
}

/// The console and the journal say what failed and what to do; the fence is up.
pub(crate) fn assert_failed_loudly(machine: &Machine, run: &Run) {
    let console = machine.console();
    assert!(console.contains("FAILED") && console.contains("what to do"), "{console}");
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    assert_ne!(machine.state()["finished"], true);
    assert!(machine.login().is_err(), "no login is shown: {console}");
    let sites = machine.read(SITES);
    assert!(sites.contains("import fence") && !sites.contains("import site"), "{sites}");
}

/// What a copy keeps.
pub(crate) fn treasure(machine: &Machine) -> ([Option<String>; 3], Vec<User>, String) {
    (machine.secrets(), machine.app().users.clone(), machine.read(CREDENTIALS))
}

pub(crate) fn assert_is_a_good_copy(machine: &Machine) {
    assert!(machine.console().contains("copy"), "{}", machine.console());
    assert!(machine.login().is_err(), "a copy shows no login: the one that works is the original's");
    assert_eq!((&machine.state()["finished"], &machine.state()["instance"]), (&true.into(), &"i-2".into()));
    assert_eq!(machine.variable("ANNOUNCED_IP"), any_provider().fixture.sample.public_ipv4);
    assert_eq!(machine.variable("MINE").as_deref(), Some("kept"));
    assert!(machine.read(SITES).contains("import site"));
    assert!(!machine.path(OWNER).exists());
    assert!(
        !machine.journal.lines().iter().any(|line| line.contains("/api/auth/register")),
        "{:#?}",
        machine.journal.lines()
    );
    for path in IDENTITY {
        let text = machine.read(path);
        assert!(!text.is_empty() && !text.contains("the original's"), "{path}: {text:?}");
    }
}
