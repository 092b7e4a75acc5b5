//! `images`: the snapshots of builds, by the records here and the accounts that hold them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;

use super::accounts;
use crate::account::{Account, BuildId, Held, Kind, Sweep};
use crate::error::{Exit, Fault};
use crate::listings::Listings;
use crate::project::Project;
use crate::record::{Record, Snapshot};
use crate::render::columns;

/// What `images` is told on the command line.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  echora-images images list\n  echora-images images show echora-20261124-103205-a1b2c3\n  echora-images images delete echora-20261124-103205-a1b2c3"
)]
pub struct Images {
    #[command(subcommand)]
    command: Command,

    /// Look at one provider only [default: all whose token is set]
    #[arg(long, global = true, value_name = "PROVIDER")]
    provider: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List snapshots: whether the account holds them, whether a record is here, whether a listing uses them
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Print what is known of one snapshot, as JSON
    Show {
        /// Name of the build, or id of the snapshot
        image: String,
    },
    /// Delete one snapshot from its account; its record stays
    Delete {
        /// Name of the build, or id of the snapshot
        image: String,
    },
}

/// A snapshot of ours, as far as it is known.
struct Image {
    provider: String,
    build: BuildId,
    id: String,
    record: Option<Record>,
    held: Option<(Account, Held)>,
    listed: bool,
}

impl Images {
    /// Runs the command that was asked for.
    pub async fn run(&self) -> Result<()> {
        let project = Project::find()?;
        let images = self.images(&project).await?;
        match &self.command {
            Command::List { json: true } => {
                let list: Vec<_> = images.iter().map(Image::describe).collect();
                println!("{}", serde_json::to_string_pretty(&list)?);
            }
            Command::List { json: false } => {
                let header =
                    ["BUILD", "PROVIDER", "SNAPSHOT", "ACCOUNT", "RECORD", "LISTING"].map(str::to_owned);
                let rows: Vec<_> = [header].into_iter().chain(images.iter().map(Image::row)).collect();
                println!("{}", columns(&rows));
            }
            Command::Show { image } => {
                println!("{}", serde_json::to_string_pretty(&find(&images, image)?.describe())?);
            }
            Command::Delete { image } => find(&images, image)?.delete().await?,
        }
        Ok(())
    }

    /// Every snapshot that a record or an account knows, oldest first.
    async fn images(&self, project: &Project) -> Result<Vec<Image>> {
        let listings = Listings::read(project)?;
        let mut images = BTreeMap::new();
        for (build, (record, _)) in Record::of_accounts(&project.path("build")) {
            let Snapshot::Account { id } = &record.snapshot else { continue };
            if self.provider.as_ref().is_none_or(|provider| *provider == record.provider) {
                let (provider, id) = (record.provider.clone(), id.clone());
                let image = Image {
                    provider,
                    build: build.clone(),
                    id,
                    record: Some(record),
                    held: None,
                    listed: false,
                };
                images.insert(build, image);
            }
        }
        for account in accounts::open(self.provider.as_deref(), |line| eprintln!("{line}"))? {
            for held in account.held(Kind::Snapshot).await? {
                let Some(build) = held.build.clone() else { continue };
                let (provider, id) = (account.provider().to_owned(), held.id.clone());
                let used = listings.uses(&provider, &held);
                let image = images.entry(build.clone());
                let new = Image { provider, build, id, record: None, held: None, listed: false };
                let image = image.or_insert(new);
                // A build can have more than one; they stay and go together.
                image.listed |= used;
                image.held = Some((account.clone(), held));
            }
        }
        Ok(images.into_values().collect())
    }
}

fn find<'a>(images: &'a [Image], name: &str) -> Result<&'a Image> {
    let found = images.iter().find(|image| image.build.to_string() == name || image.id == name);
    let cure = "`echora-images images list` names them; an account is looked at when its token is set";
    let none = || Fault::new(Exit::Usage, format!("no image {name} is known"), cure);
    Ok(found.ok_or_else(none)?)
}

impl Image {
    fn row(&self) -> [String; 6] {
        let yes = |yes: bool, what: &str| if yes { what.to_owned() } else { "-".to_owned() };
        let (held, recorded) = (yes(self.held.is_some(), "held"), yes(self.record.is_some(), "here"));
        [
            self.build.to_string(),
            self.provider.clone(),
            self.id.clone(),
            held,
            recorded,
            yes(self.listed, "used"),
        ]
    }

    fn describe(&self) -> serde_json::Value {
        let held = self.held.as_ref().map(|(_, held)| held);
        json!({"build": self.build, "provider": self.provider, "snapshot": self.id, "listed": self.listed, "held": held, "record": self.record})
    }

    async fn delete(&self) -> Result<()> {
        let refused = |what: String, cure: &str| Fault::new(Exit::Usage, what, cure);
        if self.listed {
            let what = format!("a listing uses {}", self.build);
            return Err(
                refused(what, "submit another image first, and take this one out of listings.toml").into()
            );
        }
        let Some((account, _)) = &self.held else {
            let what = format!("no account that was looked at holds {}", self.build);
            return Err(refused(what, "set the token of its provider, unless it is gone already").into());
        };
        let whole = |held: &Held| [Kind::Snapshot, Kind::Label].contains(&held.kind);
        let goes = |held: &Held| held.build.as_ref() == Some(&self.build) && whole(held);
        let sweep = Sweep { finished: true, ..Sweep::default() };
        let removed = sweep.run(account, goes).await.context("the image could not be deleted")?;
        for held in removed.removed {
            println!("deleted {held}");
        }
        Ok(())
    }
}
