//! The page that visitors meet until there is an owner: what is being done, in words. It tells no secret, no version and
//! no address; Caddy serves it with status 503 to whatever is asked.

use anyhow::Result;

use crate::files;
use crate::system::System;

/// What visitors read of each step. The page is not served before the second one and not after the seventh.
const WORDS: [(&str, &str); 6] = [
    ("fence", "Getting ready"),
    ("metadata", "Finding out its address"),
    ("secrets", "Making its keys"),
    ("stack", "Setting up the database"),
    ("owner", "Making the owner's account"),
    ("open", "Opening the door"),
];

/// What follows the step. Passkeys are bound to a name: <https://www.w3.org/TR/webauthn-3/#relying-party-identifier>;
/// microphones to a secure context: <https://www.w3.org/TR/mediacapture-streams/#dom-mediadevices-getusermedia>.
const NEEDS: &str = "This page becomes the site by itself.<br>Voice needs HTTPS, as this server has it; passkeys also need a domain, \
                     which the owner can give it at any time.";

/// How it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Going {
    /// The step is under way.
    Well,
    /// The step has failed; somebody has to look.
    Wrong,
}

/// Writes the page for a step of the boot; steps that visitors cannot meet change nothing.
pub(crate) fn write(system: &System, step: &str, going: Going) -> Result<()> {
    let Some(number) = WORDS.iter().position(|(name, _)| *name == step) else {
        return Ok(());
    };
    let folder = system.caddy();
    files::folder_of_all(&folder)?;
    files::write(&folder.join("starting.html"), 0o644, &page(number, going))
}

fn page(number: usize, going: Going) -> String {
    let (_, words) = WORDS[number];
    let (title, line, after) = match going {
        Going::Well => (
            "Echora is starting",
            format!("{words} <small>(step {} of {})</small>", number + 1, WORDS.len()),
            NEEDS,
        ),
        Going::Wrong => (
            "Echora could not start",
            format!("It stopped at: {words}"),
            "The machine's console says why and what to do. Nothing is lost.",
        ),
    };
    let steps: String = WORDS
        .iter()
        .enumerate()
        .map(|(index, _)| if index < number { "<i class=done></i>" } else { "<i></i>" })
        .collect();
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="3">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1.15rem/1.6 system-ui, sans-serif; display: grid; place-content: center; min-height: 90vh; margin: 0 1.5rem; text-align: center }}
h1 {{ font-size: 1.8rem; margin: 0 }}
small, p + p {{ opacity: .7 }}
div {{ display: flex; gap: .4rem; margin: 1.2rem auto; width: 15rem }}
i {{ flex: 1; height: .4rem; border-radius: .2rem; background: #8885 }}
.done {{ background: #4a7dff }}
</style>
<h1>{title}</h1>
<div aria-hidden="true">{steps}</div>
<p role="status">{line}</p>
<p>{after}</p>
</html>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_the_step_in_words_and_looks_again() {
        let page = page(3, Going::Well);
        assert!(page.contains("Setting up the database") && page.contains("step 4 of 6"), "{page}");
        assert!(page.contains(r#"http-equiv="refresh""#), "{page}");
        assert_eq!(page.matches("class=done").count(), 3, "{page}");
        assert!(page.contains("passkeys also need a domain"), "{page}");
    }

    #[test]
    fn a_failure_sends_to_the_console_and_tells_no_more() {
        let page = page(4, Going::Wrong);
        assert!(page.contains("could not start") && page.contains("console"), "{page}");
        assert!(!page.contains(env!("CARGO_PKG_VERSION")), "{page}");
    }
}
