//! What a host does when it is told to.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Rented, Shared, Site};
use crate::api::{Deed, Done, Order};
use crate::machine::{Machine, POWER_DOWN, Spec};
use crate::metadata::{Metadata, lock, setting_for};
use crate::network::MACHINE_V4;

/// Between two looks at a machine that is waited for.
const LOOK: Duration = Duration::from_millis(500);
/// The same once its kernel answers: a firewall with a limit, as Echora's image has one, keeps out whoever knocks more
/// often than six times in thirty seconds.
const KNOCK: Duration = Duration::from_secs(7);
const SSH: u16 = 22;

impl Shared {
    pub(super) async fn carry_out(&self, deed: Deed) -> Result<Done> {
        match deed {
            Deed::Start(order) => {
                let started = self.start(&order).await;
                if let Err(error) = &started {
                    self.broken.send_replace(Some(format!("{error:#}")));
                }
                started
            }
            Deed::PowerOn(id) => {
                self.with(&id, Machine::power_on)?.context("there is no such machine")?;
                self.come_up(&id).await
            }
            Deed::PowerOff(id) => {
                let cut = self.with(&id, |machine| Ok(machine.cut_power()))?;
                cut.context("there is no such machine")?.await?;
                Ok(Done::default())
            }
            Deed::ShutDown(id) => self.shut_down(&id).await,
            Deed::Snapshot { machine, snapshot } => self.snapshot(&machine, &snapshot).await,
            Deed::Delete(id) => {
                let rented = lock(&self.held).rented.take_if(|rented| rented.id == id);
                // Its end may take a moment, and whoever else is served here shall not wait for it.
                tokio::task::spawn_blocking(move || drop(rented)).await.context("the machine did not end")?;
                Ok(Done::default())
            }
            Deed::DeleteSnapshot(id) => {
                if let Some(file) = lock(&self.held).snapshots.remove(&id) {
                    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
                }
                Ok(Done::default())
            }
        }
    }

    async fn start(&self, order: &Order) -> Result<Done> {
        let site = &self.site;
        if let Some(there) = &lock(&self.held).rented {
            bail!("there is room for one machine, and {} takes it", there.id);
        }
        let backing = lock(&self.held).snapshots.get(&order.image).unwrap_or(&site.base).clone();
        let (keys, user_data) = (order.keys.clone(), order.user_data.clone());
        let mut setting = setting_for(&site.entry, keys, user_data, order.variables.clone());
        setting.instance.instance_id.clone_from(&order.id);
        setting.instance.region = Some(order.region.clone());
        setting.instance.hostname = Some(order.name.clone());
        setting.name.clone_from(&order.name);
        let metadata = Metadata::serve(&site.network, &site.entry.fixture, setting.clone()).await?;
        let spec = Spec {
            entry: &site.entry,
            setting: &setting,
            backing: &backing,
            script: order.script.as_ref(),
            cpus: site.cpus,
            memory: site.memory,
            accelerator: site.accelerator,
        };
        let machine = Machine::start(&site.network, &spec).await?;
        let rented = Rented { id: order.id.clone(), machine, _metadata: metadata };
        {
            let mut held = lock(&self.held);
            ensure!(!held.closed && held.rented.is_none(), "the host has no room for a machine any more");
            held.rented = Some(rented);
        }
        self.come_up(&order.id).await
    }

    /// Waits until the machine's SSH port answers.
    async fn come_up(&self, id: &str) -> Result<Done> {
        let door = SocketAddr::from((MACHINE_V4, SSH));
        let end = Instant::now() + self.site.patience;
        while let Err(error) = self.site.network.handle().connect(door).await {
            let late = Instant::now() > end;
            let looked_at = self.with(id, |machine| {
                machine.check()?;
                ensure!(
                    !late,
                    "the machine did not answer over SSH within {} s; the console's last lines:\n{}",
                    self.site.patience.as_secs(),
                    machine.console_tail()
                );
                Ok(())
            })?;
            if looked_at.is_none() {
                // It was deleted meanwhile: nobody waits for it any more.
                break;
            }
            let answers = error.downcast_ref::<std::io::Error>();
            let answers = answers.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused);
            tokio::time::sleep(if answers { KNOCK } else { LOOK }).await;
        }
        Ok(Site::promise())
    }

    async fn shut_down(&self, id: &str) -> Result<Done> {
        let pressed = self.with(id, |machine| Ok(machine.press_power_button()))?;
        pressed.context("there is no such machine")?.await?;
        self.go_off(id).await?;
        Ok(Done::default())
    }

    /// Waits until the machine is off; one that was deleted meanwhile is.
    async fn go_off(&self, id: &str) -> Result<()> {
        let end = Instant::now() + POWER_DOWN;
        while let Some(false) = self.with(id, Machine::is_off)? {
            ensure!(Instant::now() < end, "the machine did not power down in {} s", POWER_DOWN.as_secs());
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn snapshot(&self, machine: &str, snapshot: &str) -> Result<Done> {
        // An id may be a path of the provider's own.
        let file = self.site.snapshots.join(format!("snapshot-{}.qcow2", snapshot.replace('/', "-")));
        // It may have been told over SSH to go off, with nobody there who waited for that.
        self.go_off(machine).await.context("a snapshot needs the machine to be off")?;
        let keep = self.with(machine, |machine| Ok(machine.snapshot(&file)))?;
        let keep = keep.context("there is no such machine")?;
        {
            // Known from now on: a host that goes removes what is half written, too.
            let mut held = lock(&self.held);
            ensure!(!held.closed, "the host takes no snapshot any more");
            held.snapshots.insert(snapshot.to_owned(), file.clone());
        }
        let kept = keep.await;
        if kept.is_err() {
            lock(&self.held).snapshots.remove(snapshot);
            let _ = fs::remove_file(&file);
        }
        kept?;
        let bytes = fs::metadata(&file).with_context(|| format!("cannot look at {}", file.display()))?.len();
        #[expect(clippy::cast_precision_loss, reason = "no disk has 2^53 bytes")]
        let gigabytes = bytes as f64 / 1e9;
        Ok(Done { gigabytes, ..Done::default() })
    }

    /// Does something with the machine `id`; none when it is not here.
    fn with<T>(&self, id: &str, work: impl FnOnce(&mut Machine) -> Result<T>) -> Result<Option<T>> {
        let mut held = lock(&self.held);
        let rented = held.rented.as_mut().filter(|rented| rented.id == id);
        rented.map(|rented| work(&mut rented.machine)).transpose()
    }
}
