//! What would go wrong with an account is found before anything is made in it.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::DateTime;
use provider_profiles::{Architecture, Base, Offer, OfferArchitecture, Profile, Rights};
use reqwest::header::{DATE, HeaderMap};
use serde_json::{Value, json};

use super::client::Answer;
use super::{Account, BuildId, Kind, Refused, place};
use crate::error::{Exit, Problem};
use crate::time::utc;

/// Signatures and certificates of this time are refused or not valid yet on a clock that is off by more.
const CLOCK: Duration = Duration::from_secs(300);

/// What a build asks of the provider's offer.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Region to build in.
    pub region: String,
    /// Plan to build on.
    pub plan: String,
    /// Base image, as the builder names it.
    pub image: String,
    /// Processor of both.
    pub architecture: Architecture,
    /// Smallest plan that the image has to fit.
    pub smallest_plan: Option<String>,
    /// Name of the snapshot to be.
    pub snapshot: String,
}

impl Wanted {
    /// What a build by `profile` on `base` asks for.
    #[must_use]
    pub fn of(profile: &Profile, base: &Base, build: &BuildId) -> Self {
        let image = match &base.image {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Self {
            region: profile.packer.region.clone(),
            plan: base.plan.clone(),
            image,
            architecture: base.architecture,
            smallest_plan: base.smallest_plan.clone(),
            snapshot: build.to_string(),
        }
    }
}

impl Account {
    /// Everything that would keep a build from its end, as far as the account tells.
    pub async fn problems(&self, wanted: &Wanted) -> Vec<Problem> {
        let answer = match self.client.get(&self.api.check.account).await {
            Ok(answer) => answer,
            // Without a token that is taken nothing else can be asked.
            Err(error) => return vec![self.not_let_in(&error)],
        };
        let mut problems: Vec<Problem> = clock(&answer.headers).into_iter().collect();
        let parts = [
            self.rights(&answer).await,
            self.quota(&answer).await.map(Vec::from_iter),
            self.offer(wanted).await,
            self.name(&wanted.snapshot).await.map(Vec::from_iter),
        ];
        for part in parts {
            match part {
                Ok(found) => problems.extend(found),
                Err(error) => problems.push(Problem::of(&error)),
            }
        }
        problems
    }

    /// The price of an hour on a plan, where the provider tells it, with its currency.
    pub async fn price(&self, plan: &str) -> Result<Option<(f64, String)>> {
        let offer = &self.api.check.plans;
        let plans = self.list(&offer.list, &offer.items).await?;
        let plan = named(&plans, offer, plan).next();
        let price = plan.and_then(|plan| place::number(plan, offer.price.as_deref()?));
        Ok(price.map(|price| (price / offer.price_hours, self.api.currency.clone())))
    }

    /// Whether this machine's clock is wrong, by the account's.
    pub async fn clock(&self) -> Result<Option<Problem>> {
        Ok(clock(&self.client.get(&self.api.check.account).await?.headers))
    }

    fn not_let_in(&self, error: &anyhow::Error) -> Problem {
        let check = &self.api.check;
        let Some(refused) = error.downcast_ref::<Refused>().filter(|r| [401, 403].contains(&r.status)) else {
            let what = format!("{} cannot be asked: {error:#}", self.provider);
            return Problem::new(Exit::Failed, what, "see to the network, or wait for the provider");
        };
        match check.refusals.iter().find(|refusal| refused.says.contains(&refusal.holds)) {
            Some(known) => {
                Problem::new(Exit::Refused, format!("{} ({})", known.means, refused.says), &known.cure)
            }
            None => {
                let what = match refused.status {
                    403 => "the API token lacks a right: it may not read the account (status 403)".to_owned(),
                    status => format!("the API token is not valid (status {status})"),
                };
                Problem::new(Exit::Refused, what, format!("make another on {}", check.token_page))
            }
        }
    }

    async fn rights(&self, account: &Answer) -> Result<Vec<Problem>> {
        let (granted, needed) = match &self.api.check.rights {
            Rights::Probe { paths, deletes } => {
                let mut missing = Vec::new();
                for (path, right) in paths {
                    let answer = self.client.post(path, &json!({})).await;
                    let error = answer.err().with_context(|| format!("POST {path} took an empty order"))?;
                    missing.extend(is_missing(error)?.then_some(right));
                }
                for (path, right) in deletes {
                    // What is not there cannot be deleted, and that is no error here.
                    if let Err(error) = self.client.delete(path).await {
                        missing.extend(is_missing(error)?.then_some(right));
                    }
                }
                return Ok(missing.into_iter().map(|right| self.lacks(right)).collect());
            }
            Rights::Header { name, needed } => {
                let header = account.headers.get(name).and_then(|value| value.to_str().ok());
                (header.unwrap_or_default().split_whitespace().map(str::to_owned).collect(), needed)
            }
            Rights::List { place, needed } => (place::texts(&account.body, place), needed),
        };
        let has = |needed: &&String| needed.split('|').any(|one| granted.iter().any(|right| right == one));
        Ok(needed.iter().filter(|needed| !has(needed)).map(|right| self.lacks(right)).collect())
    }

    fn lacks(&self, right: &str) -> Problem {
        let right = right.trim_start_matches("*|").replace('|', " or ");
        let cure = format!("make one that has it on {}", self.api.check.token_page);
        Problem::new(Exit::Refused, format!("the API token lacks a right: {right}"), cure)
    }

    async fn quota(&self, account: &Answer) -> Result<Option<Problem>> {
        let limit = self.api.check.machine_limit.as_ref().and_then(|at| place::number(&account.body, at));
        let Some(limit) = limit else { return Ok(None) };
        let machines = self.held(Kind::Machine).await?.len();
        let full = u32::try_from(machines).is_ok_and(|machines| f64::from(machines) >= limit);
        Ok(full.then(|| {
            let what = format!("the account holds {machines} machines, and {limit} are allowed");
            Problem::new(Exit::Refused, what, "delete one, or ask the provider for a higher limit")
        }))
    }

    async fn offer(&self, wanted: &Wanted) -> Result<Vec<Problem>> {
        let check = &self.api.check;
        let mut problems = Vec::new();
        let mut refuse = |what: String| {
            problems.push(Problem::new(
                Exit::Refused,
                what,
                "choose another with --region or --plan, or correct the profile",
            ));
        };
        let regions = self.list(&check.regions.list, &check.regions.items).await?;
        match named(&regions, &check.regions, &wanted.region).next() {
            None => refuse(format!("there is no region {}", wanted.region)),
            Some(region) if !available(region, &check.regions) => {
                refuse(format!("the region {} is closed at present", wanted.region));
            }
            Some(_) => {}
        }
        let plans = self.list(&check.plans.list, &check.plans.items).await?;
        let images = self.list(&check.images.list, &check.images.items).await?;
        let parts =
            [("plan", &plans, &check.plans, &wanted.plan), ("image", &images, &check.images, &wanted.image)];
        for (what, items, offer, id) in parts {
            match find(items, offer, id, wanted.architecture) {
                None => refuse(format!("there is no {what} {id}")),
                Some(item) if !is_for(item, offer, wanted.architecture) => {
                    refuse(format!("the {what} {id} is not for {}", wanted.architecture.name()));
                }
                Some(item) if !available(item, offer) => {
                    refuse(format!("the {what} {id} cannot be had at present"));
                }
                Some(item) if !is_in(item, offer, &wanted.region) => {
                    refuse(format!("the {what} {id} cannot be had in {}", wanted.region));
                }
                Some(_) => {}
            }
        }
        let disk = |items: &[Value], offer: &Offer, id: &str| {
            let item = find(items, offer, id, wanted.architecture)?;
            Some(place::number(item, offer.disk.as_deref()?)? / offer.per_gigabyte)
        };
        let built_on = disk(&plans, &check.plans, &wanted.plan);
        if let (Some(needed), Some(disk)) = (disk(&images, &check.images, &wanted.image), built_on)
            && needed > disk
        {
            refuse(format!(
                "the image {} needs {needed} GB, the plan {} has {disk}",
                wanted.image, wanted.plan
            ));
        }
        if let Some(smallest) = &wanted.smallest_plan {
            match (disk(&plans, &check.plans, smallest), built_on) {
                // What cannot be had at all was told above.
                (None, _) if *smallest != wanted.plan => {
                    refuse(format!("there is no plan {smallest}, which the image is to fit"));
                }
                (Some(least), Some(disk)) if disk > least => refuse(format!(
                    "a snapshot of {disk} GB does not fit {smallest} with {least}: disks never shrink"
                )),
                _ => {}
            }
        }
        Ok(problems)
    }

    async fn name(&self, name: &str) -> Result<Option<Problem>> {
        let taken = self.held(Kind::Snapshot).await?.into_iter().find(|held| held.name == name);
        Ok(taken.map(|held| {
            let what = format!("the snapshot name {name} is taken by {}", held.id);
            Problem::new(Exit::Refused, what, "delete that snapshot, or choose another name")
        }))
    }
}

/// Whether a try was refused for want of a right; any other refusal says that there is one.
fn is_missing(error: anyhow::Error) -> Result<bool> {
    match error.downcast_ref::<Refused>().map(|refused| refused.status) {
        Some(401 | 403) => Ok(true),
        Some(400..500) => Ok(false),
        _ => Err(error),
    }
}

/// Whether this machine's clock is right, by the reply's own time.
fn clock(headers: &HeaderMap) -> Option<Problem> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let off = utc().signed_duration_since(DateTime::parse_from_rfc2822(date).ok()?);
    (off.abs().to_std().unwrap_or(CLOCK) > CLOCK).then(|| {
        let what = format!("this machine's clock is {} s off the provider's", off.num_seconds());
        Problem::new(Exit::Missing, what, "set it, for example with `timedatectl set-ntp true`")
    })
}

fn named<'a>(items: &'a [Value], offer: &Offer, id: &str) -> impl Iterator<Item = &'a Value> {
    items.iter().filter(move |item| place::text(item, &offer.id).as_deref() == Some(id))
}

/// The one of that name for a processor, or another of that name where there is none.
fn find<'a>(items: &'a [Value], offer: &Offer, id: &str, architecture: Architecture) -> Option<&'a Value> {
    let fits = named(items, offer, id).find(|item| is_for(item, offer, architecture));
    fits.or_else(|| named(items, offer, id).next())
}

/// Whether it is for a processor; a provider that tells none has one for all that it offers.
fn is_for(item: &Value, offer: &Offer, architecture: Architecture) -> bool {
    let fits = |at: &OfferArchitecture| place::text(item, &at.place).as_ref() == at.words.get(&architecture);
    offer.architecture.as_ref().is_none_or(fits)
}

fn available(item: &Value, offer: &Offer) -> bool {
    let flag = offer.available.as_ref().and_then(|at| place::first(item, at));
    flag != Some(&Value::Bool(false))
}

/// Whether a region has it; a provider that names no regions has it everywhere.
fn is_in(item: &Value, offer: &Offer, region: &str) -> bool {
    offer.regions.as_ref().is_none_or(|at| place::texts(item, at).iter().any(|one| one == region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_held_against_the_replys_date() {
        let dated = |minutes: i64| {
            let date = utc() + chrono::Duration::minutes(minutes);
            HeaderMap::from_iter([(DATE, date.to_rfc2822().parse().unwrap())])
        };
        assert!(clock(&dated(2)).is_none() && clock(&HeaderMap::new()).is_none());
        for off in [-6, 6] {
            assert!(clock(&dated(off)).unwrap().to_string().contains("clock is"), "{off}");
        }
    }
}
