//! What a build in an account needs, told all at once before anything is made.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use echora_rehearsal::images::ImageSource;
use echora_rehearsal::need::Missing;
use echora_rehearsal::process;
use echora_rehearsal::tools::{self, Tool};
use provider_profiles::{Base, Profile};
use tokio::process::Command;

use super::{on_path, registry};
use crate::account::{Account, BuildId, Wanted};
use crate::error::{Exit, Problem, refuse_all};
use crate::project::Project;

const INIT: Duration = Duration::from_secs(600);

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The program.
    pub packer: Tool,
    /// The account; none where the profile does not say how it is asked.
    pub account: Option<Account>,
    /// The container images.
    pub images: Vec<ImageSource>,
}

/// Checks for a build of `profile` on `base` that will be called `build`; `images` is what the user gave.
pub async fn account(
    project: &Project,
    profile: &Profile,
    base: &Base,
    build: &BuildId,
    images: Result<Vec<ImageSource>>,
) -> Result<Found> {
    let mut problems = Vec::new();
    let packer = keep(&mut problems, tools::installed(&project.path(""), "packer").await);
    if let Some(packer) = &packer {
        let template = project.path(format!("packer/generated/{}", profile.id));
        keep(&mut problems, plugin(packer, profile, &template).await);
    }
    if profile.packer.key.is_some() && !on_path("ssh-keygen") {
        let missing = Missing::new("ssh-keygen is not installed", "apt-get install openssh-client");
        problems.push(Problem::of(&missing.into()));
    }
    keep(&mut problems, project.guest_binary(base.architecture));
    let images = keep(&mut problems, images);
    for image in images.iter().flatten() {
        if let ImageSource::Reference { name, reference } = image
            && let Err(error) = registry::resolve(reference, base.architecture.image_name()).await
        {
            let what = format!("the container image {name} cannot be had: {error:#}");
            problems.push(Problem::new(Exit::Missing, what, "correct its reference in the file of --images"));
        }
    }
    problems.extend(unset(profile));
    let account = keep(&mut problems, Account::open(profile)).flatten();
    if let Some(account) = &account {
        let wanted = Wanted::of(profile, base, build);
        problems.extend(account.problems(&wanted).await);
    }
    match (packer, images) {
        (Some(packer), Some(images)) if problems.is_empty() => Ok(Found { packer, account, images }),
        _ => Err(refuse_all(&format!("a build for {} cannot start", profile.name), &problems).into()),
    }
}

/// What only the maintainer's environment can tell. Where the account can be asked, opening it tells of its token.
fn unset(profile: &Profile) -> impl Iterator<Item = Problem> {
    let packer = &profile.packer;
    let token = profile.api.is_none().then(|| (&packer.token.environment, packer.token.holds.in_words()));
    let settings = packer.account.values().map(|setting| (&setting.environment, setting.meaning.as_str()));
    token
        .into_iter()
        .chain(settings)
        .filter(|(name, _)| std::env::var_os(name).is_none_or(|value| value.is_empty()))
        .map(|(name, meaning)| {
            let what = format!("{name} is not set: {meaning}");
            Problem::new(Exit::Missing, what, "set it, or build here with --rehearse")
        })
}

/// Lets Packer look for the plugin, and get it where it can.
async fn plugin(packer: &Tool, profile: &Profile, template: &Path) -> Result<()> {
    let plugin = &profile.packer.plugin;
    let mut init = Command::new(&packer.path);
    init.arg("init").arg(template).env("CHECKPOINT_DISABLE", "1");
    match process::run(&mut init, "packer init", INIT).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let reason = process::last_lines(&format!("{error:#}"), 1);
            let what = format!("the plugin {} {} cannot be had: {reason}", plugin.source, plugin.version);
            let cure = "download its release and run `packer plugins install --path FILE SOURCE`";
            Err(Missing::new(what, cure).into())
        }
    }
}

fn keep<T>(problems: &mut Vec<Problem>, found: Result<T>) -> Option<T> {
    found.map_err(|error| problems.push(Problem::of(&error))).ok()
}
