//! A provider's Packer template, block by block. The provisioners are the same for all; what differs is data.

use hcl::expr::{
    Expression, FuncCall, Object, ObjectKey, TemplateExpr, Traversal, TraversalOperator, Variable,
};
use hcl::{Block, BlockBuilder, Body, Identifier};
use provider_profiles::{Base, LabelKind, Profile};

use super::arguments::Arguments;
use super::hcl::literal;
use crate::account::MAKER;

/// Where the payload lies in the machine while it is built: on disk, as Debian 13 keeps /tmp in memory.
pub const PAYLOAD_IN_MACHINE: &str = "/var/tmp/echora-payload";

/// Oldest Packer that reads these templates.
const PACKER: &str = ">= 1.11.0";
/// A build's own name, as `BuildId` makes and knows it.
const NAMED: &str = "echora-${formatdate(\"YYYYMMDD-hhmmss\", timestamp())}-${substr(uuidv4(), 0, 6)}";
const SOURCE_NAME: &str = "echora";
/// Package downloads on a slow mirror, and the clean-up of a large disk.
const LONG: &str = "45m";
const SHORT: &str = "15m";

pub(super) fn plugins(profile: &Profile) -> Body {
    let plugin = &profile.packer.plugin;
    let requirement: Object<ObjectKey, Expression> =
        [(key("source"), literal(&plugin.source)), (key("version"), literal(&plugin.version))]
            .into_iter()
            .collect();
    let required =
        Block::builder("required_plugins").add_attribute((plugin.name.as_str(), requirement)).build();
    let packer =
        Block::builder("packer").add_attribute(("required_version", PACKER)).add_block(required).build();
    Body::builder().add_block(packer).build()
}

pub(super) fn variables(profile: &Profile) -> Body {
    let packer = &profile.packer;
    let architecture =
        profile.default_base().map_or_else(String::new, |base| base.architecture.name().into());
    let token = format!("The account's {}", packer.token.holds.in_words());
    let token =
        from_environment("token", &token, &packer.token.environment).add_attribute(("sensitive", true));
    let account = packer
        .account
        .iter()
        .map(|(name, setting)| from_environment(name, &setting.meaning, &setting.environment).build());
    let blocks = [
        text("architecture", "Processor that the image is for", &architecture),
        variable("image", "Base image or OS, as the provider names it; null for the architecture's own")
            .add_attribute(("default", Expression::Null))
            .build(),
        text("plan", "Plan of the build machine; empty for the architecture's own", ""),
        text("region", "Where to build", &packer.region),
        text("snapshot", "Name of the build in what it makes; empty for one with the time in it", ""),
        text("version", "Version of echora-images that builds", "unknown"),
        text("payload", "Folder with what goes into the image, called echora-payload", "echora-payload"),
        text("scripts", "Folder of the provisioners; empty for those of this checkout", ""),
        text("packages", "File to write the list of packages to", "packages.txt"),
        text("manifest", "File to write Packer's manifest to", "manifest.json"),
    ];
    let key = packer.key.iter().flat_map(|_| {
        [
            optional("key", "SSH key of the account; null for one that the plugin makes"),
            optional("key_file", "File with its private half"),
        ]
    });
    let named = conditional("snapshot", NAMED);
    let scripts = conditional("scripts", "${path.root}/../../scripts");
    let locals = Block::builder("locals")
        .add_attribute(("bases", bases(profile)))
        .add_attribute(("image", unless_given("image", Expression::Null, of_base("image"))))
        .add_attribute(("plan", unless_given("plan", "", of_base("plan"))))
        .add_attribute(("snapshot", named))
        .add_attribute(("scripts", scripts))
        .add_attribute(("environment", environment(profile)))
        .build();
    Body::builder()
        .add_block(token.build())
        .add_blocks(account)
        .add_blocks(blocks)
        .add_blocks(key)
        .add_block(locals)
        .build()
}

/// The image and the plan of each architecture.
fn bases(profile: &Profile) -> Expression {
    let base = |base: &Base| -> (ObjectKey, Expression) {
        let fields = [(key("image"), expression(&base.image)), (key("plan"), literal(&base.plan))];
        (key(base.architecture.name()), fields.into_iter().collect::<Object<_, _>>().into())
    };
    profile.default_bases().map(base).collect::<Object<_, _>>().into()
}

/// `local.bases[var.architecture].FIELD`.
fn of_base(field: &str) -> Expression {
    let operators = [
        TraversalOperator::GetAttr(Identifier::sanitized("bases")),
        TraversalOperator::Index(of("var", "architecture")),
        TraversalOperator::GetAttr(Identifier::sanitized(field)),
    ];
    Traversal::new(of_name("local"), operators).into()
}

pub(super) fn source(profile: &Profile) -> Body {
    let packer = &profile.packer;
    let names = &packer.names;
    let mut arguments = Arguments::default();
    arguments.add(&packer.token.argument, of("var", "token"));
    for name in packer.account.keys() {
        arguments.add(name, of("var", name));
    }
    arguments.add(&names.image, of("local", "image"));
    arguments.add(&names.plan, of("local", "plan"));
    arguments.add(&names.region, of("var", "region"));
    arguments.add(&names.snapshot, of("local", "snapshot"));
    if let Some(machine) = &names.machine {
        arguments.add(machine, of("local", "snapshot"));
    }
    if let Some(key) = &packer.key {
        arguments.add(&key.id, of("var", "key"));
        arguments.add(&key.file, of("var", "key_file"));
    }
    for argument in &packer.labels.arguments {
        arguments.add(argument, labels(packer.labels.kind));
    }
    for (name, value) in &packer.arguments {
        arguments.add(name, expression(value));
    }
    let block = arguments.put(Block::builder("source").add_labels([packer.builder.as_str(), SOURCE_NAME]));
    Body::builder().add_block(block.build()).build()
}

/// Who made it, and in which build: what is left of a build is found by them.
fn labels(kind: LabelKind) -> Expression {
    match kind {
        LabelKind::List => vec![literal(MAKER), of("local", "snapshot")].into(),
        LabelKind::Map => {
            let build = (ObjectKey::Expression("build".into()), of("local", "snapshot"));
            let maker = (ObjectKey::Expression("made-by".into()), literal(MAKER));
            Object::from_iter([maker, build]).into()
        }
    }
}

/// Packer's built-in builder that does nothing but connect.
#[must_use]
pub fn null_source() -> Body {
    let block = Block::builder("source")
        .add_labels(["null", SOURCE_NAME])
        .add_attribute(("communicator", "ssh"))
        .add_attribute(("ssh_host", of("var", "ssh_host")))
        .add_attribute(("ssh_username", "root"))
        .add_attribute(("ssh_private_key_file", of("var", "ssh_private_key_file")))
        .add_attribute(("ssh_timeout", "5m"));
    let variables = [
        text("ssh_host", "Address of the machine", ""),
        text("ssh_private_key_file", "Key that lets root in", ""),
    ];
    Body::builder().add_blocks(variables).add_block(block.build()).build()
}

pub(super) fn build(builder: &str) -> Body {
    let script = |name: &str, timeout: &str| {
        let path = TemplateExpr::from(format!("${{local.scripts}}/{name}.sh"));
        provisioner("shell")
            .add_attribute(("script", path))
            .add_attribute(("environment_vars", of("local", "environment")))
            .add_attribute(("timeout", timeout))
            .build()
    };
    let upload = provisioner("file")
        .add_attribute(("source", of("var", "payload")))
        .add_attribute(("destination", "/var/tmp"))
        .build();
    let packages = provisioner("file")
        .add_attribute(("direction", "download"))
        .add_attribute(("source", format!("{PAYLOAD_IN_MACHINE}/packages.txt")))
        .add_attribute(("destination", of("var", "packages")))
        .build();
    let manifest = Block::builder("post-processor")
        .add_label("manifest")
        .add_attribute(("output", of("var", "manifest")))
        .add_attribute(("strip_path", true))
        .build();
    let build = Block::builder("build")
        .add_attribute(("sources", vec![format!("source.{builder}.{SOURCE_NAME}")]))
        .add_blocks([
            script("01-base", LONG),
            upload,
            script("02-echora", LONG),
            script("03-caddy", SHORT),
            script("04-firstboot", SHORT),
            packages,
            // Nothing may reconnect between these two and the end: the keys are gone.
            script("99-cleanup", LONG),
            script("verify", SHORT),
            manifest,
        ]);
    Body::builder().add_block(build.build()).build()
}

fn environment(profile: &Profile) -> Vec<Expression> {
    let cleanup = &profile.cleanup;
    let flag = |set: bool| if set { "1" } else { "0" }.to_owned();
    let fixed = [
        ("DEBIAN_FRONTEND", "noninteractive".to_owned()),
        ("NEEDRESTART_MODE", "a".to_owned()),
        ("LC_ALL", "C".to_owned()),
        ("ECHORA_PAYLOAD", PAYLOAD_IN_MACHINE.to_owned()),
        ("ECHORA_KERNEL_ARGUMENTS", cleanup.kernel_arguments.join(" ")),
        ("ECHORA_PURGE_PACKAGES", cleanup.purge_packages.join(" ")),
        ("ECHORA_REMOVE_PATHS", cleanup.remove_paths.join(" ")),
        ("ECHORA_ZERO_FILL", flag(cleanup.zero_fill)),
        ("ECHORA_TRIM", flag(cleanup.trim)),
    ];
    let version = TemplateExpr::from("ECHORA_VERSION=${var.version}");
    let fixed = fixed.into_iter().map(|(name, value)| literal(&format!("{name}={value}")));
    fixed.chain([version.into()]).collect()
}

fn provisioner(kind: &str) -> BlockBuilder {
    Block::builder("provisioner").add_label(kind)
}

fn variable(name: &str, description: &str) -> BlockBuilder {
    Block::builder("variable").add_label(name).add_attribute(("description", description))
}

fn text(name: &str, description: &str, default: &str) -> Block {
    variable(name, description)
        .add_attribute(("type", of_name("string")))
        .add_attribute(("default", literal(default)))
        .build()
}

/// A variable whose value comes from the environment unless it is given.
fn from_environment(name: &str, description: &str, environment: &str) -> BlockBuilder {
    let value = FuncCall::builder("env").arg(environment).build();
    variable(name, description).add_attribute(("default", Expression::from(value)))
}

fn optional(name: &str, description: &str) -> Block {
    variable(name, description).add_attribute(("default", Expression::Null)).build()
}

/// `var.NAME != "" ? var.NAME : DEFAULT`, the default being a template.
fn conditional(name: &str, default: &str) -> Expression {
    unless_given(name, "", TemplateExpr::from(default).into())
}

/// `var.NAME != NONE ? var.NAME : DEFAULT`.
fn unless_given(name: &str, none: impl Into<Expression>, default: Expression) -> Expression {
    use hcl::expr::{BinaryOp, BinaryOperator, Conditional, Operation};
    let given = BinaryOp::new(of("var", name), BinaryOperator::NotEq, none);
    let given = Operation::Binary(given);
    Conditional::new(given, of("var", name), default).into()
}

/// `SCOPE.NAME`.
fn of(scope: &str, name: &str) -> Expression {
    Traversal::new(of_name(scope), [TraversalOperator::GetAttr(Identifier::sanitized(name))]).into()
}

fn of_name(name: &str) -> Expression {
    Variable::sanitized(name).into()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::Identifier(Identifier::sanitized(name))
}

/// A fact as a literal.
fn expression(value: &toml::Value) -> Expression {
    match value {
        toml::Value::String(text) => literal(text),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.iter().map(expression).collect::<Vec<_>>().into(),
        toml::Value::Table(table) => {
            let object: Object<ObjectKey, Expression> = table
                .iter()
                .map(|(name, value)| (ObjectKey::Expression(name.clone().into()), expression(value)))
                .collect();
            object.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::render::format;

    proptest! {
        /// Whatever a fact holds, reading the template gives it back.
        #[test]
        fn values_come_back(text in r#"([a-z "'\\\n\t]|\$\{|%\{|\}|\$|%|ä|日|🦀){0,24}"#) {
            let body = Body::builder().add_attribute(("value", expression(&toml::Value::String(text.clone())))).build();
            let printed = format(&body).unwrap();
            let read: hcl::Value = hcl::from_str(&printed).unwrap();
            let value = read.as_object().and_then(|object| object.get("value")).and_then(hcl::Value::as_str);
            prop_assert_eq!(value, Some(text.as_str()), "{}", printed);
        }
    }
}
