//! Everything that first boot does to others, in order, with the gate that visitors met at that moment; and the
//! place where it is killed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that first boot starts.
const PROGRAMS: [&str; 5] = ["docker", "curl", "ssh-keygen", "systemctl", "systemd-machine-id-setup"];

const STACK: &str = include_str!("../../stack/compose.yaml");

/// All of them. Counts and kills as [`Journal::enter`] does; `refuse` holds a word that makes a call fail. Compose insists
/// on what compose.yaml asks for in every call, whatever service it is about.
const STUB: &str = r#"#!/bin/sh
set -eu
stack=$PWD
cd "$(dirname "$0")/.."
called="$(basename "$0") $*"
gate=none
sites=../var/lib/echora/caddy/echora.sites
if grep -q 'import fence' "$sites" 2>/dev/null; then gate=fence; fi
if grep -q 'import site' "$sites" 2>/dev/null; then gate=site; fi
echo "$gate $called" >>journal
number=$(wc -l <journal)
trap_at() { if [ -e trap ] && [ "$(cat trap)" = "$1 $number" ]; then kill -9 "$(cat pid)"; exit 0; fi; }
trap_at before
if [ -e refuse ]; then
	case "$called" in *"$(cat refuse)"*)
		if [ -e once ]; then rm once refuse; fi
		echo "no space left on device" >&2
		exit 1 ;;
	esac
fi
case "$called" in "docker compose "*)
	for name in $(cat required); do
		if ! printenv "$name" >/dev/null && ! grep -q "^$name=." "$stack/.env" 2>/dev/null; then
			echo "required variable $name is missing a value: is missing in .env" >&2
			exit 15
		fi
	done ;;
esac
answer=answers/$(basename "$0")
if [ -e "$answer" ]; then
	. "./$answer"
	trap_at after
	exit 0
fi
case "$called" in
*" psql "*) echo 12 ;;
*/api/health*) echo '{"status":"ok"}' ;;
*/api/auth/login*) echo '{"error":"Invalid credentials"}' ;;
ssh-keygen*)
	for type in ed25519 rsa; do
		key=${called##* }/etc/ssh/ssh_host_${type}_key
		if [ ! -e "$key" ]; then
			echo "new $number" >"$key"
			echo "new $type $number" >"$key.pub"
		fi
	done ;;
systemd-machine-id-setup*) if [ ! -s ../etc/machine-id ]; then echo "new $number" >../etc/machine-id; fi ;;
esac
trap_at after
"#;

/// A folder in the machine's root that the machine does not know of.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    folder: PathBuf,
}

impl Journal {
    pub(crate) fn new(root: &Path) -> Self {
        let folder = root.join("journal");
        fs::create_dir_all(folder.join("bin")).unwrap();
        let required = STACK.split("${").filter_map(|rest| rest.split_once(":?")).map(|(name, _)| name);
        fs::write(folder.join("required"), required.collect::<Vec<_>>().join("\n")).unwrap();
        let stub = folder.join("stub");
        fs::write(&stub, STUB).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&stub, mode).unwrap();
        for program in PROGRAMS {
            symlink("../stub", folder.join("bin").join(program)).unwrap();
        }
        Self { folder }
    }

    /// Lets a program answer with what a script prints; it finds the arguments in `$called`, and may `exit`.
    pub(crate) fn answer(&self, program: &str, script: &str) {
        fs::create_dir_all(self.folder.join("answers")).unwrap();
        fs::write(self.folder.join("answers").join(program), script).unwrap();
        let _ = symlink("../stub", self.folder.join("bin").join(program));
    }

    /// Lets the engine answer a question with this.
    pub(crate) fn tell(&self, path: &str, answer: &str) {
        fs::write(self.folder.join(format!("engine{}", path.replace('/', "_"))), answer).unwrap();
    }

    /// What the engine is to answer, if a test has a wish.
    pub(crate) fn told(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(format!("engine{}", path.replace('/', "_")))).ok()
    }

    /// Where the programs are found, before those of the machine that runs the test.
    pub(crate) fn programs(&self) -> String {
        format!("{}:/usr/bin:/bin", self.folder.join("bin").display())
    }

    /// A program that notes its process id and becomes the one of `words`.
    pub(crate) fn launcher(&self, words: &[String]) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"echo $$ >"$0"; exec "$@""#]).arg(self.folder.join("pid")).args(words);
        command
    }

    /// Kills first boot at the call of this number, `before` or `after` what it asks for is done.
    pub(crate) fn kill(&self, when: &str, number: usize) {
        fs::write(self.folder.join("trap"), format!("{when} {number}")).unwrap();
    }

    /// Makes every call of a program or the engine that contains `word` fail.
    pub(crate) fn refuse(&self, word: &str) {
        fs::write(self.folder.join("refuse"), word).unwrap();
    }

    /// Makes the next program call that contains `word` fail, and no further one.
    pub(crate) fn refuse_once(&self, word: &str) {
        fs::write(self.folder.join("once"), "").unwrap();
        self.refuse(word);
    }

    /// Nothing is killed or refused from now on, and the journal is empty.
    pub(crate) fn calm(&self) {
        for name in ["trap", "refuse", "once", "journal"] {
            let _ = fs::remove_file(self.folder.join(name));
        }
    }

    /// The lines so far: gate and call.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("journal")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A call over the network: noted, killed where that is due, and done by `act`. `None` when first boot is dead.
    pub(crate) fn enter<T>(&self, called: &str, act: impl FnOnce() -> T) -> Option<T> {
        let sites =
            fs::read_to_string(self.folder.join("../var/lib/echora/caddy/echora.sites")).unwrap_or_default();
        let gate = match (sites.contains("import site"), sites.contains("import fence")) {
            (true, _) => "site",
            (false, true) => "fence",
            (false, false) => "none",
        };
        let mut journal =
            fs::File::options().append(true).create(true).open(self.folder.join("journal")).unwrap();
        writeln!(journal, "{gate} {called}").unwrap();
        let number = self.lines().len();
        if self.is_killed("before", number) {
            return None;
        }
        let done = act();
        (!self.is_killed("after", number)).then_some(done)
    }

    /// Whether a call is one of those that fail.
    pub(crate) fn refuses(&self, called: &str) -> bool {
        fs::read_to_string(self.folder.join("refuse")).is_ok_and(|word| called.contains(&word))
    }

    /// Whether there is a file of that name, by which tests tell the stubs what there is.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.folder.join(name).exists()
    }

    fn is_killed(&self, when: &str, number: usize) -> bool {
        let due =
            fs::read_to_string(self.folder.join("trap")).is_ok_and(|trap| trap == format!("{when} {number}"));
        if due {
            let pid = fs::read_to_string(self.folder.join("pid")).unwrap();
            assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
        }
        due
    }
}
