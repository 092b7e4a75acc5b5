//! A buyer's machine, ordered at the played API by the provider's own client: what the API tells the client is what first
//! boot learns on the machine, whether settings come in user-data, by the listing's form or by the provider's script.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use echora_firstboot::form::FIELDS;
use echora_firstboot::login;
use echora_rehearsal::api::{Options, Reachable, Token};
use echora_rehearsal::base;
use echora_rehearsal::cache::Cache;
use echora_rehearsal::front_door::{FrontDoor, Login};
use echora_rehearsal::host::{Host, Site};
use echora_rehearsal::machine::{Accelerator, KeyPair};
use echora_rehearsal::network::Network;
use echora_rehearsal::process::run;
use provider_profiles::{Catalog, Entry, InputSource, Simulator};
use serde_json::{Value, json};
use support::retarget::retarget;
use support::root;
use support::snapshot::shared;
use tokio::process::Command;

const BUILD: Duration = Duration::from_secs(600);
/// From the order to a machine that runs, and from there to its login.
const BOOT: Duration = Duration::from_secs(600);
const ASK: Duration = Duration::from_secs(120);
const SECRET: &str = "a $ecret \"of\" `the` form's own \\";

const CLIMBS: &str = "until [ \"$(systemctl show --value -p ExecMainStartTimestampMonotonic echora-climb)\" != 0 ]; do sleep 0.2; done";

/// Everything that may hold what somebody printed, and what a buyer sees who looks around.
const SHOWN: &str = "journalctl --no-pager -q; cat /var/log/cloud-init*.log /var/log/syslog 2>/dev/null; \
                     run-parts /etc/update-motd.d; ps axww; docker ps -a --no-trunc; systemctl show '*.service'; \
                     docker logs echora-backend 2>&1; docker logs echora-caddy 2>&1; docker logs echora-postgres 2>&1";

/// A provider whose API is described, with its client and what the buyer chooses.
struct Buyer {
    entry: Entry,
    simulator: Simulator,
    script: Option<String>,
    chosen: BTreeMap<String, String>,
}

fn buyers() -> Vec<Buyer> {
    let buyer = |entry: &Entry| {
        let simulator = Catalog::simulator(&entry.profile.id).unwrap()?;
        let script = entry.profile.deployment_script.as_ref().map(|script| {
            let name = format!("packer/generated/{}/{}.sh", entry.profile.id, script.name.to_lowercase());
            std::fs::read_to_string(root().join(name)).unwrap()
        });
        let mut chosen: BTreeMap<String, String> =
            FIELDS.iter().map(|field| (field.name.to_owned(), field.example.to_owned())).collect();
        for (name, value) in
            [("admin_username", "eve"), ("admin_password", SECRET), ("server_name", "Chez Ève")]
        {
            chosen.insert(name.to_owned(), value.to_owned());
        }
        Some(Buyer { entry: entry.clone(), simulator, script, chosen })
    };
    Catalog::embedded().unwrap().iter().filter_map(buyer).collect()
}

impl Buyer {
    /// The cloud-config that writes the settings where the provider has no form for them.
    fn user_data(&self) -> String {
        let form = |source: &InputSource| matches!(source, InputSource::MetadataVariable { .. });
        if self.script.is_some() || self.entry.profile.inputs.iter().any(form) {
            return String::new();
        }
        let content: String = self
            .chosen
            .iter()
            .map(|(name, value)| format!("{name} = {}\n", Value::from(value.as_str())))
            .collect();
        let file = json!({"path": "/etc/echora/config.toml", "permissions": "0600", "content": content});
        format!("#cloud-config\nwrite_files: [{file}]\n")
    }

    /// The test program of the provider's client.
    async fn client(&self, folder: &Path) -> PathBuf {
        let program = folder.join("client");
        let mut command = Command::new("go");
        command
            .args(["test", "-c", "-tags", "inside", "-o"])
            .arg(&program)
            .arg(format!("./{}", self.entry.profile.id));
        command.current_dir(root().join("rehearsal/clients")).env("CGO_ENABLED", "0");
        run(&mut command, "go test -c", BUILD).await.unwrap();
        program
    }

    /// Orders the machine, waits for its login, and looks at everything.
    async fn rent(&self) {
        let id = &self.entry.profile.id;
        let folder = tempfile::tempdir().unwrap();
        let program = self.client(folder.path()).await;
        let cache = Cache::user().unwrap();
        let kept = base::debian(&cache).await.unwrap();
        let disk = retarget(shared().await, &self.entry, folder.path()).await;
        let network = Arc::new(Network::create(&[]).await.unwrap());
        let host = Host::new(Site {
            entry: self.entry.clone(),
            network: Arc::clone(&network),
            base: disk,
            snapshots: folder.path().to_owned(),
            accelerator: Accelerator::detect(&cache, &kept.path.join(base::DISK)).await.unwrap(),
            cpus: 2,
            memory: 2048,
            patience: BOOT,
        });
        let token = Token { value: "token-of-a-test".into(), ..Token::default() };
        let options = Options { tokens: vec![token], speed: 1000.0, requests: None };
        let served =
            Reachable::serve(&network, self.simulator.clone(), &options, host.hypervisor()).await.unwrap();
        let key = KeyPair::generate().await.unwrap();
        let told = self.order(&network, &program, &served, &key, folder.path()).await;
        let console = host.wait_for(login::END, BOOT).await.unwrap();
        let block = login::find(&console).unwrap();
        let login = Login { url: block.url, username: block.username, password: block.password };
        let (owner, name) = (&self.chosen["admin_username"], &self.chosen["server_name"]);
        assert_eq!(
            (&login.username, login.url.as_str()),
            (owner, &*format!("https://{}", told["ipv4"].as_str().unwrap())),
            "{id}"
        );

        // The password that the buyer chose stands in the login and nowhere else.
        assert!(login.password == SECRET, "{id}: the password is another one");
        assert_eq!(console.matches("$ecret").count(), 1, "{id}: the console shows a secret");
        let role = FrontDoor::new(&network, &login.url).prove(&login).await.unwrap();
        assert_eq!(role, "owner", "{id}");

        // The domain has no name server to be found by: the machine is at its address and goes on looking.
        key.ssh(&network, CLIMBS, ASK).await.unwrap_or_else(|error| panic!("{id}: no climb: {error:#}"));
        let state = key.ssh(&network, "cat /var/lib/echora/state.json", ASK).await.unwrap();
        assert!(!state.contains("$ecret"), "{id}: the state shows a secret");
        let state: Value = serde_json::from_str(&state).unwrap();
        assert_eq!((&state["machine"], &state["instance"]), (&told["id"], &told["id"]), "{id}: {state:#}");
        assert_eq!(
            (&state["region"], &state["public_ipv4"]),
            (&told["region"], &told["ipv4"]),
            "{id}: {state:#}"
        );
        if told["ipv6"] != "" {
            assert_eq!(state["public_ipv6"], told["ipv6"], "{id}: {state:#}");
        }
        assert_eq!(state["inputs"]["server_name"]["value"], name.as_str(), "{id}: {state:#}");
        let shown = key.ssh(&network, SHOWN, ASK).await.unwrap();
        assert!(shown.len() > 1000 && !shown.contains("$ecret"), "{id}: a log shows a secret");
    }

    async fn order(
        &self,
        network: &Network,
        program: &Path,
        served: &Reachable,
        key: &KeyPair,
        folder: &Path,
    ) -> Value {
        let told = folder.join("told");
        let order = json!({"name": "chez-eve", "key": key.public(), "user_data": self.user_data(),
            "script": self.script.clone().unwrap_or_default(), "form": self.chosen, "seconds": BOOT.as_secs()});
        let mut command = network.command("sh");
        command.args(["-c", "exec \"$0\" -test.run '^TestOrdered$' >&2"]).arg(program).stdin(Stdio::null());
        command
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", folder);
        command.env("ORDER", order.to_string()).env("TOLD", &told).envs(served.environment.clone());
        run(&mut command, "the client", BOOT + ASK).await.unwrap();
        let ledger = served.api.ledger();
        let strays = ledger.strays();
        assert!(strays.is_empty(), "{}: {strays:#?}", self.entry.profile.id);
        serde_json::from_str(&std::fs::read_to_string(told).unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_the_providers_script_has_what_the_form_says() {
    let mut rented = 0;
    for buyer in buyers().iter().filter(|buyer| buyer.script.is_some()) {
        buyer.rent().await;
        rented += 1;
    }
    assert!(rented > 0, "no provider with a script has a described API");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "two minutes for each provider: make soak"]
async fn every_providers_machine_learns_what_its_api_told_the_client() {
    for buyer in buyers().iter().filter(|buyer| buyer.script.is_none()) {
        buyer.rent().await;
    }
}
