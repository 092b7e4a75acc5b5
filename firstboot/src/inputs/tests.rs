//! Precedence and defaults, over every setting and every pair of sources.

use std::cell::Cell;

use proptest::prelude::*;

use super::source::{file, handed, original};
use super::*;

/// Two good values of each setting and a bad one.
const VALUES: [(&str, [&str; 2], &str); 7] = [
    ("domain", ["a.example.org", "b.example.org"], "localhost"),
    ("email", ["a@example.org", "b@example.org"], "a@localhost"),
    ("admin_username", ["alice", "bob"], "a"),
    ("admin_email", ["a@example.org", "b@example.org"], "a@b..c"),
    ("admin_password", ["correct horse", "battery staple"], "hunter2"),
    ("server_name", ["Ours", "Theirs"], "a\u{1b}b"),
    ("registration", ["invite_only", "open"], "closed"),
];
const GIVEN: [Source; 4] = [Source::CommandLine, Source::File, Source::Provider, Source::Original];

fn giver(source: Source, name: &'static str, value: &str) -> Giver<'static> {
    let value = value.to_owned();
    Giver::of(source, move |asked| if asked == name { Said::Value(value.clone()) } else { Said::Nothing })
}

/// What came out of it for a setting: the value as the server gets it.
fn outcome(inputs: &Inputs, name: &str) -> Option<String> {
    match name {
        "admin_password" => inputs.password.as_ref().map(|chosen| chosen.0.clone()),
        "registration" => Some(if inputs.invite_only { "invite_only" } else { "open" }.to_owned()),
        _ => inputs.used[name].value.clone(),
    }
}

fn pairs() -> impl Iterator<Item = (Source, Source)> {
    GIVEN.into_iter().flat_map(|strong| {
        GIVEN.into_iter().filter(move |weak| strong < *weak).map(move |weak| (strong, weak))
    })
}

#[test]
fn the_stronger_source_wins_for_every_setting() {
    for (name, [one, other], _) in VALUES {
        for (strong, weak) in pairs() {
            let (inputs, problems) = choose(&mut [giver(strong, name, one), giver(weak, name, other)]);
            assert_eq!(outcome(&inputs, name).as_deref(), Some(one), "{name}: {strong} before {weak}");
            assert_eq!(inputs.used[name].source, strong.to_string(), "{name}");
            assert!(problems.is_empty(), "{problems:?}");
        }
    }
}

#[test]
fn a_bad_value_gives_way_to_the_next_good_one_and_both_are_named() {
    for (name, [good, _], bad) in VALUES {
        for (strong, weak) in pairs() {
            let (inputs, problems) = choose(&mut [giver(strong, name, bad), giver(weak, name, good)]);
            assert_eq!(outcome(&inputs, name).as_deref(), Some(good), "{name}: {strong} before {weak}");
            let shown = if name == "admin_password" { MASK } else { good };
            let told = problems.iter().any(|problem| {
                problem.starts_with(&format!("{name}: the value of {strong} is bad: "))
                    && problem.ends_with(&format!("using {shown} of {weak}"))
            });
            assert!(told && problems.len() == 1, "{problems:?}");
        }
    }
}

#[test]
fn a_bad_value_alone_is_named_with_the_default() {
    let (defaults, _) = choose(&mut []);
    for (name, _, bad) in VALUES {
        for source in GIVEN {
            let (inputs, problems) = choose(&mut [giver(source, name, bad)]);
            assert_eq!(inputs, defaults, "{name} of {source}");
            assert!(problems.len() == 1 && problems[0].starts_with(&format!("{name}: ")), "{problems:?}");
            assert!(problems[0].contains("; using ") && !problems[0].contains("hunter2"), "{problems:?}");
        }
    }
}

#[test]
fn an_empty_form_is_no_value() {
    for (name, [good, _], _) in VALUES {
        let (inputs, problems) =
            choose(&mut [giver(Source::File, name, " "), giver(Source::Provider, name, good)]);
        assert_eq!(outcome(&inputs, name).as_deref(), Some(good), "{name}");
        assert!(problems.is_empty(), "{problems:?}");
    }
}

/// A stronger value saves the question; a service that fails is told once and not asked again.
#[test]
fn a_source_is_asked_only_for_what_is_missing_and_only_while_it_works() {
    let asked = Cell::new(0);
    let broken = Giver::of(Source::Provider, |name| {
        asked.set(asked.get() + 1);
        assert_ne!(name, "domain", "the file has it");
        Said::Broken("it answered with status 503".into())
    });
    let (inputs, problems) = choose(&mut [giver(Source::File, "domain", "a.example.org"), broken]);
    assert_eq!(inputs.domain.as_deref(), Some("a.example.org"));
    assert_eq!(asked.get(), 1);
    assert_eq!(problems, ["the provider's variables cannot be read: it answered with status 503"]);
}

#[test]
fn nothing_given_is_all_defaults() {
    let (inputs, problems) = choose(&mut []);
    assert_eq!((inputs.username.as_str(), inputs.invite_only, problems.len()), ("admin", false, 0));
    assert_eq!(inputs.email(), "admin@echora.invalid");
    assert_eq!(inputs.used.len(), SETTINGS.len());
    assert!(inputs.used.values().all(|used| used.source == "default"));
}

#[test]
fn an_address_that_would_be_too_long_for_the_app_is_not_made() {
    let domain =
        format!("{}.example.org", ["x".repeat(60), "y".repeat(60), "z".repeat(60), "w".repeat(56)].join("."));
    let (inputs, _) = choose(&mut [giver(Source::File, "domain", &domain)]);
    assert_eq!(inputs.domain.as_deref(), Some(domain.as_str()));
    assert_eq!(inputs.email(), "admin@echora.invalid");
}

fn of_file(text: &str) -> (Inputs, Vec<String>) {
    let mut problems = Vec::new();
    let mut givers = vec![file(text, &mut problems)];
    let (inputs, more) = choose(&mut givers);
    (inputs, problems.into_iter().chain(more).collect())
}

#[test]
fn what_is_no_text_in_the_file_is_named() {
    let (inputs, problems) =
        of_file("server_name = 1\ndomain = true\nbackup = {schedule = 'daily'}\nadmin_user = 'eve'\n");
    for name in ["server_name", "domain", "backup"] {
        assert!(problems.iter().any(|problem| problem.starts_with(&format!("{name}: "))), "{problems:?}");
    }
    assert!(problems.iter().any(|problem| problem.ends_with("did you mean admin_username?")), "{problems:?}");
    assert_eq!(inputs, choose(&mut []).0);
}

#[test]
fn a_file_that_is_no_toml_is_named_without_its_content() {
    let (_, problems) = of_file("domain = 'x.org'\nadmin_password = topsecret\n");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("line 2") && !problems[0].contains("topsecret"), "{problems:?}");
}

#[test]
fn names_that_were_handed_in_and_are_unknown_are_named() {
    let mut problems = Vec::new();
    let values = [("domian".to_owned(), "a.example.org".to_owned())].into();
    let (inputs, _) = choose(&mut [handed(Source::CommandLine, values, &mut problems)]);
    assert_eq!(problems, ["the command line: unknown setting domian; did you mean domain?"]);
    assert_eq!(inputs.domain, None);
}

#[test]
fn a_copy_takes_what_its_original_was_given_but_not_its_defaults_or_its_mask() {
    let (first, _) = choose(&mut [
        giver(Source::CommandLine, "domain", "a.example.org"),
        giver(Source::File, "admin_password", "correct horse"),
    ]);
    let (copy, problems) = choose(&mut [original(&first.used)]);
    assert_eq!(copy.domain.as_deref(), Some("a.example.org"));
    assert_eq!(copy.password, None);
    assert_eq!(copy.used["admin_username"].source, "default");
    assert!(problems.is_empty(), "{problems:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is given, the owner's form is one that the app takes, and no secret is told.
    #[test]
    fn any_values_make_a_form_that_the_app_takes(
        values in proptest::collection::vec("[ -~äß\u{1b}\n]{0,40}|[a-z]{1,30}@[a-z.]{1,9}|[a-z0-9-]{1,63}(\\.[a-z]{2,63}){1,3}", 7),
        secret in "secret[ -~]{0,130}",
    ) {
        let mut givers: Vec<_> = VALUES.iter().zip(&values)
            .filter(|((name, ..), _)| *name != PASSWORD)
            .map(|((name, ..), value)| giver(Source::File, name, value)).collect();
        givers.push(giver(Source::Provider, PASSWORD, &secret));
        let (inputs, problems) = choose(&mut givers);
        let name = inputs.username.as_bytes();
        prop_assert!((2..=32).contains(&name.len()) && name.iter().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(b)));
        let email = inputs.email();
        let (local, host) = email.split_once('@').expect("an @");
        prop_assert!(!local.is_empty() && host.contains('.') && email.len() <= 254 && !email.contains(' '), "{}", email);
        prop_assert!(inputs.password.as_ref().is_none_or(|chosen| (8..=128).contains(&chosen.0.len())));
        let told = format!("{problems:?}{inputs:?}");
        prop_assert!(!told.contains("secret"), "{}", told);
        prop_assert!(!told.contains('\u{1b}'), "{}", told);
    }
}
