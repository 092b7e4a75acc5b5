//! The machine's questions: who am I, and what does the buyer want?

use anyhow::Result;

use super::Boot;
use crate::files;
use crate::inputs::{self, Giver, Inputs, Source, source};
use crate::instance::Instance;
use crate::metadata::{Client, Patience};
use crate::settings::Kept;
use crate::state::State;

impl Boot<'_> {
    /// Metadata and inputs. A service that fails makes the boot degraded and loud, never dead.
    pub(super) fn ask(&self, original: Option<&State>) -> (Instance, Inputs) {
        self.compare_vendor();
        let mut client = self.client(Patience::default());
        let told = client.instance();
        let answers = told.is_ok();
        let instance = self.addressed(told);
        let mut problems = Vec::new();
        let mut givers = self.own_givers(&mut problems);
        if answers {
            // One service, one client: of several lists of variables the first counts.
            let list = self.plan.inputs.iter().find(|input| source::is_metadata(input));
            givers.extend(list.and_then(|input| source::metadata(input, &mut client)));
        } else if self.plan.inputs.iter().any(source::is_metadata) {
            problems.push("the settings that the provider's form asked for could not be read: defaults stand in, and registration is open unless /etc/echora/config.toml says otherwise".to_owned());
        }
        givers.extend(original.map(|state| source::original(&state.inputs)));
        let (inputs, more) = inputs::choose(&mut givers);
        for problem in problems.iter().chain(&more) {
            self.warn(problem);
        }
        (instance, inputs)
    }

    pub(super) fn client(&self, patience: Patience) -> Client<'_> {
        let base = self.system.metadata.as_deref();
        Client::new(&self.plan.metadata, base, patience.at_most(self.system))
    }

    /// The machine with an address, in the worst case the one of the default route.
    fn addressed(&self, told: Result<Instance>) -> Instance {
        let mut instance = told.unwrap_or_else(|error| {
            self.warn(&format!("{error:#}"));
            Instance::default()
        });
        for address in instance.drop_unreachable() {
            self.warn(&format!(
                "the provider calls {address} public, but the Internet cannot reach it: not used"
            ));
        }
        if instance.address().is_none() {
            self.warn("going on with the address of the default route; it may not be the public one");
            let Instance { public_ipv4, public_ipv6, .. } = Instance::of_default_route();
            instance = Instance { public_ipv4, public_ipv6, ..instance };
        }
        if instance.public_ipv4.is_none() {
            self.warn("voice needs a public IPv4 address, and none of this machine is known: the app listens for voice over IPv4 only");
        }
        instance
    }

    /// What lies on this machine: settings that were handed in, and the operator's file.
    fn own_givers(&self, problems: &mut Vec<String>) -> Vec<Giver<'static>> {
        let kept = Self::or_nothing(Kept::read(self.system), problems);
        // cloud-init writes files that everybody can read unless it is told otherwise, and a password may stand in it.
        let config = self.system.config();
        let closed = if config.exists() { files::close(&config) } else { Ok(()) };
        Self::or_nothing(closed, problems);
        let text = Self::or_nothing(files::read(&config), problems);
        let (command_line, provider) = kept.into_parts();
        let mut givers = vec![source::handed(Source::CommandLine, command_line, problems)];
        givers.extend(text.map(|text| source::file(&text, problems)));
        givers.push(source::handed(Source::Provider, provider, problems));
        givers
    }

    fn or_nothing<T: Default>(read: Result<T>, problems: &mut Vec<String>) -> T {
        read.unwrap_or_else(|error| {
            problems.push(format!("{error:#}"));
            T::default()
        })
    }

    /// The image says which provider it is for; a machine of another one still comes up, and says so.
    fn compare_vendor(&self) {
        let vendor =
            files::read(&self.system.path("/sys/class/dmi/id/sys_vendor")).ok().flatten().unwrap_or_default();
        let vendor = vendor.trim();
        if !vendor.is_empty() && !self.plan.dmi_vendors.iter().any(|known| known == vendor) {
            self.warn(&format!("this image is for {}, the machine is {vendor}", self.plan.name));
        }
    }

    pub(super) fn warn(&self, text: &str) {
        self.console.say(&format!("WARNING: {text}"));
    }
}
