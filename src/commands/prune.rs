//! `prune`: removes what builds left in accounts, and nothing else.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::accounts;
use crate::account::{Account, Claims, Held, Kind, LONGEST, leftovers};
use crate::error::{Exit, Fault, refuse_all};
use crate::project::Project;
use crate::time::duration;
use crate::ui::{Mode, Ui};

/// What `prune` is told on the command line.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  echora-images prune --dry-run\n  echora-images prune --provider PROVIDER --older-than 2h\n\nWhat this checkout's dead builds left is removed at once, whatever else carries the mark of a build when it is old enough.\nSnapshots go only with dead builds of this checkout: those of others may be what a listing uses."
)]
pub struct Prune {
    /// Look at one provider only [default: all whose token is set]
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,

    /// Age from which machines and keys of builds that this checkout does not know are leftovers: 90m, 2h, 1d
    /// [default: the longest that a build takes, six hours]
    #[arg(long, value_name = "AGE", value_parser = duration)]
    older_than: Option<Duration>,

    /// Change nothing; say what would be removed
    #[arg(long)]
    dry_run: bool,

    /// One JSON event a line on stdout
    #[arg(long)]
    json: bool,
}

impl Prune {
    /// Removes leftovers and tells what was removed.
    pub async fn run(&self) -> Result<()> {
        let ui = Ui::new(Mode::detect(self.json), 0);
        let project = Project::find()?;
        let accounts = accounts::open(self.provider.as_deref(), |line| ui.say(&line))?;
        if accounts.is_empty() {
            let cure = "set the API token of a provider; `echora-images providers` names its variable";
            return Err(Fault::new(Exit::Missing, "no account to look at", cure).into());
        }
        let mut first = Ok(());
        for account in &accounts {
            match (self.prune(&ui, &project, account).await, &first) {
                (Err(error), Ok(())) => first = Err(error.context(account.provider().to_owned())),
                (Err(error), Err(_)) => ui.say(&format!("error: {}: {error:#}", account.provider())),
                (Ok(()), _) => {}
            }
        }
        first
    }

    async fn prune(&self, ui: &Ui, project: &Project, account: &Account) -> Result<()> {
        // How old something is, this machine's clock tells.
        if let Some(problem) = account.clock().await? {
            return Err(refuse_all("nothing was removed", &[problem]).into());
        }
        let plan = leftovers::plan(project, account, self.older_than.unwrap_or(LONGEST)).await?;
        if self.dry_run {
            plan.going().for_each(|held| tell(ui, account, "would remove", held));
        } else {
            plan.begin()?;
            let removed = plan.sweep(account).await?;
            for held in &removed {
                tell(ui, account, "removed", held);
            }
        }
        for held in plan.staying().filter(|held| held.kind != Kind::Label) {
            tell(ui, account, "kept", held);
        }
        for held in plan.unsure() {
            let event = json!({"event": "unsure", "provider": account.provider(), "kind": held.kind, "id": held.id, "name": held.name});
            ui.result(&format!("{}: {}", account.provider(), Claims::doubt(held)), &event);
        }
        if plan.going().next().is_none() {
            ui.say(&format!("{}: nothing is left over", account.provider()));
        }
        if self.dry_run { Ok(()) } else { plan.done() }
    }
}

fn tell(ui: &Ui, account: &Account, what: &str, held: &Held) {
    let event = json!({"event": what.replace(' ', "-"), "provider": account.provider(), "kind": held.kind, "id": held.id, "name": held.name, "build": held.build});
    ui.result(&format!("{}: {what} {held}", account.provider()), &event);
}
