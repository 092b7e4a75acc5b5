//! The boot sequence. Each step can be repeated after a power cut and has its deadlines in the means that it uses.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use provider_profiles::GuestPlan;

use crate::caddy::{self, Gate};
use crate::change;
use crate::clone;
use crate::compose;
use crate::console::Console;
use crate::credentials;
use crate::engine;
use crate::environment::Environment;
use crate::fence::{self, Going};
use crate::files;
use crate::inputs::Inputs;
use crate::instance::Instance;
use crate::login::LoginBlock;
use crate::memory::Memory;
use crate::owner::Backend;
use crate::ports;
use crate::secrets::{self, Owner};
use crate::settings::{self, Kept};
use crate::site::Site;
use crate::state::{self, DATABASE_MADE, State, instance_id};
use crate::swap;
use crate::system::System;
use crate::tuning;
use crate::turn::Turn;

mod ask;
mod domain;
pub(crate) mod door;
mod follow;

const STEPS: usize = 9;
/// The user that the backend runs as, in compose.yaml.
const BACKEND_USER: u32 = 10001;
/// How far the database has come.
const BEGUN: &str = "begun\n";
/// What is said when a server that was set up has lost its data.
const LOST: &str = "this server was set up before, and nobody has an account in its database now: restore the data, or remove \
                    /var/lib/echora/state.json and /var/lib/echora/database to begin anew";

/// Sets the machine up, or finds that it is.
pub fn boot(system: &System) -> Result<()> {
    let plan = plan(system)?;
    let mut boot = Boot {
        system,
        console: Console::new(system, &plan.consoles),
        plan,
        state: State::default(),
        step: 0,
        current: None,
        seconds: BTreeMap::new(),
    };
    let outcome = boot.run();
    if let Err(error) = &outcome {
        if let Some((name, _)) = boot.current {
            boot.show(name, Going::Wrong);
        }
        let what = if boot.state.finished { "this boot" } else { "first boot" };
        boot.console.say(&format!("{what} FAILED in step {}: {error:#}", boot.step));
        boot.console.say("what to do: cure it and run `systemctl restart echora-firstboot`, or reboot; it goes on from there");
    }
    boot.keep_times();
    outcome
}

struct Boot<'a> {
    system: &'a System,
    plan: GuestPlan,
    console: Console,
    state: State,
    step: usize,
    current: Option<(&'static str, Instant)>,
    /// Of each step that has ended.
    seconds: BTreeMap<String, f64>,
}

impl Boot<'_> {
    fn run(&mut self) -> Result<()> {
        self.begin("state", "looking at what has been done");
        if self.system.change().exists() {
            let _turn = Turn::take(self.system)?;
            change::undo_what_was_cut_off(self.system)?;
        }
        let id = instance_id(self.system);
        let original = self.read_state(&id)?;
        if self.state.is_finished_for(&id) {
            self.forget_secrets()?;
            settings::refuse_late(&self.system.settings)?;
            self.enter("size");
            tuning::follow(self.system, &self.console);
            return self.follow();
        }
        let _turn = Turn::take(self.system)?;
        Kept::remember(self.system, &self.system.settings)?;
        self.open_state(id, original.as_ref())?;

        self.begin("fence", "closing the door while this server is set up");
        caddy::write(self.system, Gate::Fence, &Site::default())?;
        engine::wait(self.system)?;
        // One that runs has what it was started with, and Compose leaves it alone.
        let ran = compose::caddy_runs(self.system)?;
        compose::stop_app(self.system)?;
        ports::check(self.system)?;
        // The database takes the longest to come up, nobody can reach it, and all that it needs is its password.
        self.make_keys()?;
        self.prepare_database()?;
        compose::start(self.system, &["caddy", "postgres"])?;
        if ran {
            compose::reload_started_caddy(self.system)?;
        }
        swap::ensure(self.system, &self.console);

        self.begin("metadata", "asking the provider who this machine is");
        let (instance, inputs) = self.ask(original.as_ref());
        self.state.inputs.clone_from(&inputs.used);
        let mut site = self.site(&inputs, &instance);

        self.begin("secrets", "making secrets");
        self.write_environment(&instance, &site)?;
        // The owner of a copy came along with its data.
        let owner = match &original {
            Some(_) => None,
            None => Some(secrets::owner(self.system, &inputs)?),
        };

        self.begin("stack", "starting the database and the app");
        compose::wait_for_database(self.system)?;
        // Whoever signs up first in an empty one owns it, and a copy's owner is not made anew.
        ensure!(original.is_none() || !compose::nobody_has_an_account(self.system)?, LOST);
        files::write(&self.system.database(), 0o600, DATABASE_MADE)?;
        compose::start(self.system, &["backend"])?;
        compose::wait_for_app(self.system)?;

        self.begin("owner", "making the owner's account");
        if let Some(owner) = &owner {
            self.make_owner(owner, &inputs)?;
        }

        self.begin("open", "opening the door");
        domain::prove(self.system, &self.console, &mut site)?;
        site.write(self.system)?;
        caddy::write(self.system, Gate::Site, &site)?;
        compose::reload_caddy(self.system)?;
        let url = site.url();
        door::check(self.system, &url)?;
        self.remember_place(&url, instance);

        self.begin("print", "printing the login");
        self.print(&url, owner.as_ref())?;
        domain::say_what_needs_one(&self.console, &site);

        self.begin("marker", "remembering that all is done");
        self.finish()
    }

    /// Announces a step and takes the time of the one before.
    fn begin(&mut self, name: &'static str, what: &str) {
        self.enter(name);
        self.step += 1;
        // A finished machine says nothing at its boots.
        if self.step > 1 {
            self.console.say(&format!("[{}/{STEPS}] {name}: {what}", self.step));
        }
        self.show(name, Going::Well);
    }

    fn enter(&mut self, name: &'static str) {
        self.close();
        self.current = Some((name, Instant::now()));
    }

    /// Tells visitors. A page that cannot be written keeps nobody out and nobody waiting.
    fn show(&self, step: &str, going: Going) {
        if let Err(error) = fence::write(self.system, step, going) {
            self.console.say(&format!("WARNING: {error:#}"));
        }
    }

    fn close(&mut self) {
        if let Some((name, began)) = self.current.take() {
            let milliseconds = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
            self.seconds.insert(name.to_owned(), f64::from(milliseconds) / 1000.0);
        }
    }

    /// Lets the doctor know how long this boot took. Not in the state: no boot of a finished server has to write that.
    fn keep_times(&mut self) {
        self.close();
        let kept = serde_json::to_string(&self.seconds)
            .map_err(anyhow::Error::from)
            .and_then(|times| files::write(&self.system.boot_times(), 0o600, &(times + "\n")));
        if let Err(error) = kept {
            self.warn(&format!("{error:#}"));
        }
    }

    /// What this boot goes on from. A server that was set up as another instance, or whose state is lost, is an original:
    /// its data and its login stay.
    fn read_state(&mut self, id: &str) -> Result<Option<State>> {
        let read = State::read(self.system).or_else(|error| {
            self.warn(&format!("{error:#}: it is put aside as {}", self.system.damaged_state().display()));
            files::rename(&self.system.state(), &self.system.damaged_state())?;
            anyhow::Ok(None)
        });
        if let Some(state) = read? {
            let is_original = state.finished && state.instance != id;
            self.state = state;
            if is_original {
                self.console.say(
                    "this machine is a copy of a configured one: its data and its login stay as they are",
                );
            }
            return Ok(is_original.then(|| self.state.clone()));
        }
        let was_set_up = state::was_set_up(self.system)?;
        if was_set_up {
            self.warn("this server was set up before, but there is no record of it: its data and its login stay as they are");
        }
        Ok(was_set_up.then(State::default))
    }

    /// From here on a boot that is cut off is known to be under way.
    fn open_state(&mut self, id: String, original: Option<&State>) -> Result<()> {
        if let Some(original) = original {
            let renewed = clone::renew_identity(self.system, &original.identity)?;
            if !renewed.is_empty() {
                self.console.say(&format!("made anew: {}", renewed.join(", ")));
            }
        }
        self.state = State { instance: id, version: env!("CARGO_PKG_VERSION").into(), ..State::default() };
        // A copy that is cut off must still be known as one: its original's state stays until its own marker.
        if original.is_none() { self.state.write(self.system) } else { Ok(()) }
    }

    /// The names and addresses of the site. What an earlier boot or the operator left damaged is only their wish.
    fn site(&self, inputs: &Inputs, instance: &Instance) -> Site {
        let earlier = Site::read(self.system).unwrap_or_else(|error| {
            self.warn(&format!("{error:#}"));
            None
        });
        Site::of(inputs, instance, earlier)
    }

    /// What must be there before anything starts; what is there stays.
    fn make_keys(&self) -> Result<()> {
        let path = self.system.environment();
        let mut environment = Environment::parse(&files::read(&path)?.unwrap_or_default());
        secrets::complete(&mut environment)?;
        // compose.yaml has defaults for a machine that does not tell.
        if let Ok(memory) = Memory::read(self.system) {
            tuning::fit(&mut environment, &memory);
        }
        files::write(&path, 0o600, &environment.render())
    }

    /// What this machine's address and its buyer's wishes add.
    fn write_environment(&self, instance: &Instance, site: &Site) -> Result<()> {
        let path = self.system.environment();
        let mut environment = Environment::parse(&files::read(&path)?.unwrap_or_default());
        announce(&mut environment, instance);
        files::write(&path, 0o600, &environment.render())?;
        files::write(&self.system.backend_environment(), 0o600, &site.passkeys())?;
        files::folder_of(&self.system.uploads(), BACKEND_USER)
    }

    /// A power cut while the database is made leaves one that its image takes for made and that never starts. Until
    /// it has been up once nobody can have written to it: then it is thrown away and made anew.
    fn prepare_database(&self) -> Result<()> {
        let progress = self.system.database();
        match files::read(&progress)?.as_deref() {
            // One that came from elsewhere is somebody's data.
            None if compose::database_exists(self.system)? => Ok(()),
            None => files::write(&progress, 0o600, BEGUN),
            Some(BEGUN) => {
                self.console.say("the database was cut off while it was made: making it anew");
                compose::discard_database(self.system)
            }
            Some(_) => Ok(()),
        }
    }

    fn make_owner(&self, owner: &Owner, inputs: &Inputs) -> Result<()> {
        let backend = Backend::new(&self.system.backend);
        let token = backend.ensure_owner(owner)?;
        backend.apply(inputs, &token)
    }

    fn print(&self, url: &str, owner: Option<&Owner>) -> Result<()> {
        let Some(owner) = owner else {
            self.console.say(&format!("this server is at {url}; the login stays the one that it had before"));
            return credentials::readdress(self.system, url);
        };
        let block = LoginBlock {
            url: url.to_owned(),
            username: owner.username.clone(),
            password: owner.password.clone(),
        };
        files::write(&self.system.credentials(), 0o600, &block.render())?;
        self.console.login(&block);
        Ok(())
    }

    /// From the marker on the login is the operator's to keep. A power cut after it leaves this to the next boot.
    fn forget_secrets(&self) -> Result<()> {
        files::remove(&self.system.owner())?;
        files::remove(&self.system.settings_file())
    }

    fn finish(&mut self) -> Result<()> {
        self.close();
        self.state.finished = true;
        self.state.seconds.clone_from(&self.seconds);
        self.state.identity = clone::identity(self.system)?;
        self.state.write(self.system)?;
        self.forget_secrets()?;
        let seconds: f64 = self.state.seconds.values().sum();
        self.console.say(&format!("ready after {} s", Duration::from_secs_f64(seconds).as_secs()));
        Ok(())
    }
}

/// The plan that was baked into this image.
pub(crate) fn plan(system: &System) -> Result<GuestPlan> {
    let path = system.plan();
    let text = files::read(&path)?
        .with_context(|| format!("{} is missing: this image is not complete", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// Set but empty would be taken literally, unset would ask strangers on the Internet.
fn announce(environment: &mut Environment, instance: &Instance) {
    environment.set("ANNOUNCED_IP", instance.address().unwrap_or("127.0.0.1"));
}
