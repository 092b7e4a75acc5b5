//! Whose it is that carries no build's name: a plugin may give a name of its own and take no label. Such a name tells when
//! it was made, and a build has noted when its builder was started.

use std::ops::RangeInclusive;

use super::{Begun, Held, Journal};
use crate::project::Project;

/// A builder names what it makes first within this many seconds, on a slow machine too.
const WINDOW: i64 = 60;

/// Builds that may have left such things.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    begun: Vec<Begun>,
}

impl Claims {
    /// Those of a checkout's builds for one provider that did not end well: the others' builders have removed it
    /// themselves.
    #[must_use]
    pub fn of(project: &Project, provider: &str) -> Self {
        let noted = Journal::noted(project).into_iter();
        let unfinished = noted.filter(|begun| begun.provider == provider && begun.record().is_none());
        Self { begun: unfinished.collect() }
    }

    /// What is said of something that is left open.
    #[must_use]
    pub fn doubt(held: &Held) -> String {
        format!("kept {held}: it may be a dead build's or somebody else's; nothing but you can tell")
    }

    /// Gives each build what can be nobody else's, and returns what may be a build's but could be another's too: two
    /// builds that began together, or two such things where a build makes one.
    pub(super) fn settle(&self, held: &mut [Held]) -> Vec<Held> {
        let claimed = |held: &Held, begun: &Begun| {
            let made = held.own_time.filter(|_| held.build.is_none());
            begun.window().zip(made).is_some_and(|(window, made)| window.contains(&made))
        };
        let claims: Vec<Vec<&Begun>> = held
            .iter()
            .map(|held| self.begun.iter().filter(|begun| claimed(held, begun)).collect())
            .collect();
        let mut unsure = Vec::new();
        for (held, by) in held.iter_mut().zip(&claims) {
            match by[..] {
                [] => {}
                [begun]
                    if claims.iter().flatten().filter(|other| other.build == begun.build).count() == 1 =>
                {
                    held.build = Some(begun.build.clone());
                }
                _ => unsure.push(held.clone()),
            }
        }
        unsure
    }
}

impl Begun {
    fn window(&self) -> Option<RangeInclusive<i64>> {
        self.builder.map(|started| started..=started + WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{BuildId, Kind};

    const FIRST: &str = "echora-20261124-103205-a1b2c3";
    const SECOND: &str = "echora-20261124-103305-a1b2c4";

    fn begun(name: &str, builder: Option<i64>) -> Begun {
        Begun {
            build: BuildId::read(name).unwrap(),
            provider: "cloud".into(),
            folder: "/nowhere".into(),
            builder,
            snapshot: None,
        }
    }

    fn key(own_time: Option<i64>) -> Held {
        let (id, name) = ("7".to_owned(), "key".to_owned());
        Held { kind: Kind::Key, id, name, build: None, created: None, own_time }
    }

    /// The builds that keys of these times are given to, and how many are left open.
    fn settled(builds: &[Begun], times: &[Option<i64>]) -> (Vec<String>, usize) {
        let mut held: Vec<Held> = times.iter().copied().map(key).collect();
        let unsure = Claims { begun: builds.to_vec() }.settle(&mut held).len();
        let owner = |held: Held| held.build.map_or_else(|| "-".to_owned(), |build| build.to_string());
        (held.into_iter().map(owner).collect(), unsure)
    }

    #[test]
    fn one_key_of_the_time_is_the_builds_and_others_are_nobodys() {
        let build = [begun(FIRST, Some(1000))];
        let times = [Some(999), Some(1003), Some(1000 + WINDOW + 1), None];
        assert_eq!(settled(&build, &times), (["-", FIRST, "-", "-"].map(String::from).to_vec(), 0));
        assert_eq!(settled(&[begun(FIRST, None)], &[Some(1003)]), (vec!["-".into()], 0));
    }

    #[test]
    fn with_two_that_it_may_be_nothing_is_given() {
        let none = vec!["-".to_owned(); 2];
        assert_eq!(settled(&[begun(FIRST, Some(1000))], &[Some(1003), Some(1004)]), (none, 2));
        let both = [begun(FIRST, Some(1000)), begun(SECOND, Some(1030))];
        assert_eq!(settled(&both, &[Some(1040)]), (vec!["-".into()], 1));
        // The first's is its own, the second's could be the first's as well.
        assert_eq!(settled(&both, &[Some(1003)]), (vec![FIRST.into()], 0));
        assert_eq!(settled(&both, &[Some(1003), Some(1040)]), (vec!["-".into(), "-".into()], 2));
    }
}
