//! A provider's deployment script: a form for the buyer in its head, and a hand-over to the guest in its body.

use echora_firstboot::form::{FIELDS, Field};
use provider_profiles::{DeploymentScript, Form, InputSource, Profile};

/// The script with its file's name, where the provider has such a thing.
pub(super) fn script(profile: &Profile) -> Option<(String, String)> {
    let script = profile.deployment_script.as_ref()?;
    let prefix = profile.inputs.iter().find_map(|source| match source {
        InputSource::Environment { prefix } => Some(prefix.as_str()),
        _ => None,
    })?;
    let head: String = FIELDS.iter().map(|field| tag(script, prefix, field)).collect();
    let text = BODY.replace("{header}", super::HEADER.trim_end()).replace("{fields}", head.trim_end());
    Some((format!("{}.sh", script.name.to_lowercase()), text))
}

fn tag(script: &DeploymentScript, prefix: &str, field: &Field) -> String {
    match script.form {
        // Without `default` a field is required: every one of them has a default here, if only an empty one.
        Form::Udf => {
            let name = format!("{prefix}{}", field.name).to_lowercase();
            let values = match field.choices.first() {
                Some(default) => format!("default=\"{default}\" oneOf=\"{}\"", field.choices.join(",")),
                // A secret's example would be somebody's password.
                None if field.is_secret() => "default=\"\"".to_owned(),
                None => format!("default=\"\" example=\"{}\"", field.example),
            };
            format!("# <UDF name=\"{name}\" label=\"{}\" {values} />\n", field.label)
        }
    }
}

/// What every deployment script does. It prints no value: the provider keeps what it prints.
const BODY: &str = r#"#!/bin/sh
{header}
#
{fields}
#
# Hands what the buyer filled in to first boot; the provider has put it into the environment.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

if ! command -v echora-firstboot >/dev/null; then
	printf 'error: this machine was not made from an image of Echora\nhint: choose the image that echora-images built, then this script\n' >&2
	exit 3
fi
# It may have begun without these settings; it can be cut off at any moment and goes on where it was.
systemctl stop echora-firstboot.service
code=0
echora-firstboot configure || code=$?
# Not waited for: it waits for parts of the system that may come after this script.
systemctl start --no-block echora-firstboot.service
exit "$code"
"#;
