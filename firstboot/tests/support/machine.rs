//! A machine in a temporary folder: what lies on it, who is around it, and the real binary that boots it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use echora_firstboot::login::{self, LoginBlock};
use provider_profiles::{Catalog, Entry, GuestPlan, Instance, Setting};
use serde_json::Value;
use tempfile::TempDir;

use super::backend::App;
use super::checks::CONFIG;
use super::engine::Engine;
use super::guest;
use super::http::{Answer, Server};
use super::journal::Journal;
use super::provider::{self, Provider};

/// Far more than any boot here takes.
const FOR_EVER: Duration = Duration::from_secs(120);

/// The machine with its provider and its app.
pub(crate) struct Machine {
    // It ends before its sockets go.
    _engine: Engine,
    root: TempDir,
    pub(crate) plan: GuestPlan,
    pub(crate) journal: Journal,
    app: Arc<Mutex<App>>,
    /// What the app does to the reply of its next registration.
    pub(crate) spoil_registration: Arc<Mutex<Option<Spoil>>>,
    pub(crate) provider: Provider,
    setting: Arc<Mutex<Setting>>,
    trouble: Arc<Mutex<Trouble>>,
    backend: Server,
}

/// What a metadata service answers in place of the truth.
type Trouble = Box<dyn FnMut() -> Option<Answer> + Send>;

/// What becomes of a reply on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spoil {
    Lost,
    Half,
}

/// How a boot went.
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The first provider of the catalogue: for what does not depend on the provider.
pub(crate) fn any_provider() -> Entry {
    Catalog::embedded().unwrap().iter().next().unwrap().clone()
}

impl Machine {
    pub(crate) fn new() -> Self {
        let entry = any_provider();
        Self::of(&entry, entry.fixture.sample.clone())
    }

    /// A machine of a provider that tells `instance` of it.
    pub(crate) fn of(entry: &Entry, instance: Instance) -> Self {
        let root = tempfile::tempdir().unwrap();
        chown(root.path(), Some(10001), Some(10001))
            .expect("these tests must run as root: first boot gives files away");
        chown(root.path(), Some(0), Some(0)).unwrap();
        let journal = Journal::new(root.path());
        let app = Arc::new(Mutex::new(App::default()));
        let spoil_registration = Arc::new(Mutex::new(None));

        let trouble: Arc<Mutex<Trouble>> = Arc::new(Mutex::new(Box::new(|| None)));
        let (noted, troubled) = (journal.clone(), trouble.clone());
        let setting = provider::setting(instance);
        let provider = Provider::play(entry, setting.clone(), move |_, request, _| {
            noted
                .enter(&format!("metadata {} {}", request.method, request.path), || {
                    troubled.lock().unwrap()()
                })
                .unwrap_or(Some(Answer::Silence { open: false }))
        });
        let (noted, answering, spoil) = (journal.clone(), app.clone(), spoil_registration.clone());
        let backend = Server::start(move |request| {
            let called = format!("{} {}", request.method, request.path);
            let Some((status, body)) = noted.enter(&called, || answering.lock().unwrap().answer(request))
            else {
                return Answer::Silence { open: false };
            };
            let spoil = if request.path.ends_with("/register") { spoil.lock().unwrap().take() } else { None };
            match spoil {
                None => Answer::Reply(status, body.to_string()),
                Some(Spoil::Lost) => Answer::Silence { open: false },
                Some(Spoil::Half) => Answer::Half(body.to_string()),
            }
        });
        let plan = entry.profile.guest_plan();
        let engine = Engine::start(root.path(), &journal);
        let machine = Self {
            _engine: engine,
            root,
            plan,
            journal,
            app,
            spoil_registration,
            provider,
            setting,
            trouble,
            backend,
        };
        machine.lay_out();
        machine
    }

    /// What the image and the provider leave on a disk.
    fn lay_out(&self) {
        self.put("/etc/echora/provider.toml", &toml::to_string(&self.plan).unwrap());
        self.put("/opt/echora/compose.yaml", "services: {}\n");
        self.put("/opt/echora/Caddyfile", "import instance/*.sites\n");
        self.put("/var/lib/cloud/data/instance-id", "i-1\n");
        self.put("/sys/class/dmi/id/sys_vendor", &format!("{}\n", self.plan.dmi_vendors[0]));
        self.put("/etc/machine-id", "the original's\n");
        for kind in ["ed25519", "rsa"] {
            self.put(&format!("/etc/ssh/ssh_host_{kind}_key"), "the original's\n");
            self.put(&format!("/etc/ssh/ssh_host_{kind}_key.pub"), &format!("{kind}: the original's\n"));
        }
        for console in &self.plan.consoles {
            self.put(console, "");
        }
        fs::create_dir_all(self.path("/root")).unwrap();
    }

    /// From now on the provider tells these addresses.
    pub(crate) fn move_to(&self, v4: Option<&str>, v6: Option<&str>) {
        let instance = &mut self.setting.lock().unwrap().instance;
        // An empty text is how a template leaves an address out.
        instance.public_ipv4 = Some(v4.unwrap_or_default().to_owned());
        instance.public_ipv6 = Some(v6.unwrap_or_default().to_owned());
    }

    /// From now on the metadata service answers with what `trouble` gives, and the truth where that is nothing.
    pub(crate) fn trouble_metadata(&self, trouble: impl FnMut() -> Option<Answer> + Send + 'static) {
        *self.trouble.lock().unwrap() = Box::new(trouble);
    }

    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }

    pub(crate) fn put(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes the operator's settings as user-data does.
    pub(crate) fn configure(&self, text: &str) {
        self.put(CONFIG, text);
        fs::set_permissions(self.path(CONFIG), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The content of a file; empty when there is none.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    pub(crate) fn app(&self) -> MutexGuard<'_, App> {
        self.app.lock().unwrap()
    }

    /// Boots to the end of the program, however that comes.
    pub(crate) fn boot(&self) -> Run {
        self.run(self.command(&[]))
    }

    /// Boots and waits for nothing longer than a moment.
    pub(crate) fn boot_impatiently(&self) -> Run {
        self.run(self.command(&["--longest", "300"]))
    }

    /// The binary with this machine as its world, not yet started.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.command_by(&guest::words(), words)
    }

    /// The same under another name.
    pub(crate) fn command_as(&self, binary: &str, words: &[&str]) -> Command {
        self.command_by(&[binary.to_owned()], words)
    }

    fn command_by(&self, binary: &[String], words: &[&str]) -> Command {
        let mut command = self.journal.launcher(binary);
        command.args(words).arg("--root").arg(self.root.path());
        command.args(["--metadata", &self.provider.server.base, "--backend", &self.backend.base]);
        command.env_clear().env("PATH", self.journal.programs()).stdin(Stdio::null());
        command
    }

    /// Runs the binary with these words, which tries everything once.
    pub(crate) fn call(&self, words: &[&str]) -> Run {
        self.run(self.command(&[words, &["--longest", "0"]].concat()))
    }

    /// Runs a command of this machine to its end.
    pub(crate) fn run(&self, command: Command) -> Run {
        self.run_until(command, |_| false)
    }

    /// Runs a command of this machine to its end, or kills it as soon as `is_time` says so of the time that it has run.
    pub(crate) fn run_until(&self, mut command: Command, is_time: impl Fn(Duration) -> bool) -> Run {
        let (out, err) = (self.path("/journal/stdout"), self.path("/journal/stderr"));
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if is_time(began.elapsed()) {
                child.kill().unwrap();
            }
            if began.elapsed() > FOR_EVER {
                child.kill().unwrap();
                panic!("it did not end: {:?}", self.journal.lines());
            }
            thread::sleep(Duration::from_millis(1));
        };
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        Run { status, stdout: text(&out), stderr: text(&err) }
    }

    /// Boots while `act` is done to the machine, once the journal has `count` lines that contain `word`.
    pub(crate) fn boot_and(&self, word: &str, count: usize, act: impl FnOnce() + Send) -> Run {
        thread::scope(|scope| {
            scope.spawn(|| {
                let end = Instant::now() + FOR_EVER;
                while self.journal.lines().iter().filter(|line| line.contains(word)).count() < count {
                    assert!(Instant::now() < end, "it is not asked {count} times for {word}");
                    thread::sleep(Duration::from_millis(1));
                }
                act();
            });
            self.boot()
        })
    }

    /// Boots; the boot must succeed.
    pub(crate) fn boot_well(&self) -> Run {
        let run = self.boot();
        assert_eq!(run.status.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
        run
    }

    /// What stands on a console; all of them show the same.
    pub(crate) fn console(&self) -> String {
        let texts: Vec<String> = self.plan.consoles.iter().map(|device| self.read(device)).collect();
        assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
        texts[0].clone()
    }

    pub(crate) fn clear_consoles(&self) {
        self.plan.consoles.iter().for_each(|device| self.put(device, ""));
    }

    /// The newest login on the consoles.
    pub(crate) fn login(&self) -> Result<LoginBlock, login::Problem> {
        login::find(&self.console())
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.read("/var/lib/echora/state.json")).unwrap_or_default()
    }

    /// The steps of the last boot, in the order of the alphabet.
    pub(crate) fn steps(&self) -> Vec<String> {
        let times: Value = serde_json::from_str(&self.read("/run/echora/boot.json")).unwrap();
        times.as_object().unwrap().keys().cloned().collect()
    }

    /// A variable of the stack's environment.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let text = self.read("/opt/echora/.env");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    }

    /// The three that are made once and kept for ever.
    pub(crate) fn secrets(&self) -> [Option<String>; 3] {
        ["POSTGRES_PASSWORD", "JWT_SECRET", "HMAC_SECRET"].map(|name| self.variable(name))
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().permissions().mode() & 0o777
    }

    /// Every file with its content, but the consoles.
    pub(crate) fn files(&self) -> Vec<(PathBuf, String)> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() && !path.starts_with(self.path("/dev")) {
                    files.push((path.clone(), fs::read_to_string(&path).unwrap()));
                }
            }
        }
        files
    }
}

impl Run {
    pub(crate) fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }
}
