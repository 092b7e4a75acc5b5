//! Deployment scripts: the form in their head, and what they do on a machine whose provider fills the environment.
//! Takes root, for a mount namespace in which the guest's programs are stubs.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use echora_firstboot::form::FIELDS;
use echora_images::project::Project;
use provider_profiles::{Architecture, Catalog, Entry};
use support::{root, stderr, stdout};
use tempfile::TempDir;

/// Every provider with a script, with the script as it is committed.
fn scripts() -> Vec<(Entry, PathBuf)> {
    let script = |entry: &Entry| {
        let name = entry.profile.deployment_script.as_ref()?.name.to_lowercase();
        let path = root().join("packer/generated").join(&entry.profile.id).join(format!("{name}.sh"));
        Some((entry.clone(), path))
    };
    let found: Vec<_> = Catalog::embedded().unwrap().iter().filter_map(script).collect();
    assert!(!found.is_empty());
    found
}

/// The attributes of each field in the script's head.
fn fields(script: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(script).unwrap();
    let tags = text.lines().filter_map(|line| line.strip_prefix("# <UDF ")?.strip_suffix(" />"));
    let attributes = |tag: &str| {
        let mut parts = tag.split('"');
        let mut found = BTreeMap::new();
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            let name = name.trim().strip_suffix('=').unwrap_or_else(|| panic!("{tag}"));
            found.insert(name.to_owned(), value.to_owned());
        }
        found
    };
    tags.map(attributes).collect()
}

/// A machine whose programs are in one folder and whose files are in another.
struct Machine {
    folder: TempDir,
}

impl Machine {
    /// With the guest binary of an image for this provider.
    fn of(entry: &Entry) -> Self {
        let machine = Self::stock();
        let project = Project::find().unwrap();
        let binary = project.guest_binary(Architecture::X86_64).expect("make guest builds it");
        let (binary, root) = (binary.display(), machine.path("root").display().to_string());
        machine.program("echora-firstboot", &format!("exec {binary} \"$@\" --root {root}"));
        let plan = toml::to_string(&entry.profile.guest_plan()).unwrap();
        machine.put("root/etc/echora/provider.toml", &plan);
        machine.put("root/var/lib/cloud/data/instance-id", "i-1\n");
        machine
    }

    /// As the provider's own image is.
    fn stock() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        machine.program("systemctl", &format!("echo \"$*\" >>{}", machine.path("journal").display()));
        machine
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn put(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        let path = format!("bin/{name}");
        self.put(&path, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(self.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script as the provider does: as root, the form in the environment.
    fn deploy(&self, script: &Path, variables: &[(String, String)]) -> Output {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", "mount --bind \"$1\" /usr/local/bin; exec \"$2\"", "sh"]);
        command.arg(self.path("bin")).arg(self.executable(script));
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", "/root");
        command.envs(variables.iter().cloned()).output().unwrap()
    }

    /// The provider makes the script executable and starts it by its first line.
    fn executable(&self, script: &Path) -> PathBuf {
        let copy = self.path("script");
        fs::copy(script, &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).unwrap();
        copy
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.path("journal")).unwrap_or_default()
    }

    /// What first boot will find, by name.
    fn kept(&self) -> BTreeMap<String, String> {
        let file = self.path("root/var/lib/echora/settings.toml");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let kept: toml::Table = toml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        kept["provider"].clone().try_into().unwrap()
    }
}

/// A field's variable.
fn variable(field: &BTreeMap<String, String>) -> String {
    field["name"].to_uppercase()
}

#[test]
fn the_form_has_every_setting_and_asks_for_none() {
    for (entry, script) in scripts() {
        let fields = fields(&script);
        assert_eq!(fields.len(), FIELDS.len());
        for (field, setting) in fields.iter().zip(FIELDS) {
            let name = &field["name"];
            assert!(name.ends_with(setting.name) && name.len() < 64, "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(!field["label"].is_empty() && field.contains_key("default"), "{name}");
            // The name decides whether the provider keeps a value encrypted and shows it to nobody.
            assert_eq!(name.contains("password"), setting.is_secret(), "{name}");
            assert!(!(setting.is_secret() && field.contains_key("example")), "{name}");
            if let Some(choices) = field.get("oneOf") {
                assert!(choices.split(',').any(|choice| choice == field["default"]), "{name}");
            }
        }
        let size = fs::metadata(&script).unwrap().len();
        let limit = entry.profile.deployment_script.unwrap().limit_bytes as u64;
        assert!(size > 0 && size <= limit, "{size} bytes");
        let output = Command::new("shellcheck").arg(&script).output().expect("shellcheck is there");
        assert!(output.status.success(), "{}", stdout(&output));
    }
}

#[test]
fn what_the_buyer_fills_in_is_what_first_boot_finds_and_nobody_else() {
    let secret = "p\"a$s`s '#wörd";
    for (entry, script) in scripts() {
        let machine = Machine::of(&entry);
        let mut wanted = BTreeMap::new();
        let mut variables = Vec::new();
        for (field, setting) in fields(&script).iter().zip(FIELDS) {
            let value = if setting.is_secret() { secret } else { setting.example };
            variables.push((variable(field), value.to_owned()));
            wanted.insert(setting.name.to_owned(), value.to_owned());
        }
        let output = machine.deploy(&script, &variables);
        let told = stdout(&output) + &stderr(&output);
        assert!(output.status.success(), "{told}");
        assert_eq!(machine.kept(), wanted);
        assert!(!told.contains(secret) && !machine.journal().contains(secret), "{told}");
        let unit = "echora-firstboot.service";
        assert_eq!(machine.journal(), format!("stop {unit}\nstart --no-block {unit}\n"));
    }
}

#[test]
fn a_form_left_as_it_is_changes_nothing() {
    for (entry, script) in scripts() {
        let machine = Machine::of(&entry);
        let variables: Vec<_> =
            fields(&script).iter().map(|field| (variable(field), field["default"].clone())).collect();
        let output = machine.deploy(&script, &variables);
        assert!(output.status.success(), "{}", stderr(&output));
        let chosen: BTreeMap<_, _> = FIELDS
            .iter()
            .filter_map(|field| Some((field.name.to_owned(), (*field.choices.first()?).to_owned())))
            .collect();
        assert_eq!(machine.kept(), chosen);
    }
}

#[test]
fn a_machine_from_another_image_is_told_so_and_left_alone() {
    for (_, script) in scripts() {
        let machine = Machine::stock();
        let output = machine.deploy(&script, &[]);
        assert_eq!(output.status.code(), Some(3));
        assert!(
            stderr(&output).contains("image") && stderr(&output).contains("hint: "),
            "{}",
            stderr(&output)
        );
        assert_eq!(machine.journal(), "");
    }
}

#[test]
fn settings_that_cannot_be_kept_end_in_an_error_and_first_boot_goes_on() {
    for (entry, script) in scripts() {
        let machine = Machine::of(&entry);
        fs::remove_file(machine.path("root/etc/echora/provider.toml")).unwrap();
        let output = machine.deploy(&script, &[("DOMAIN".into(), "chat.example.org".into())]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(machine.journal().ends_with("start --no-block echora-firstboot.service\n"));
    }
}
