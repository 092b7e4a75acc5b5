//! Metadata documents as trees of text, whatever they are written in.

use anyhow::{Context, Result, bail};
use provider_profiles::Format;
use saphyr_parser::{Event, Parser};
use serde_json::Value;

/// A value: scalars of every format are text, because types are where formats disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads a body.
    pub(crate) fn parse(format: Format, body: &str) -> Result<Self> {
        let node = match format {
            Format::Text => return Ok(Self::Text(body.trim().to_owned())),
            Format::Json => Self::of_json(serde_json::from_str(body).context("it is not JSON")?),
            Format::Yaml => of_yaml(body).context("it is not YAML")?,
        };
        match node {
            // To YAML almost any page is one long text.
            Self::Text(_) => bail!("it is a text where a map or a list is expected"),
            tree => Ok(tree),
        }
    }

    fn of_json(value: Value) -> Self {
        match value {
            Value::Null => Self::Text(String::new()),
            Value::String(text) => Self::Text(text),
            Value::Array(values) => Self::List(values.into_iter().map(Self::of_json).collect()),
            Value::Object(map) => {
                Self::Map(map.into_iter().map(|(key, value)| (key, Self::of_json(value))).collect())
            }
            scalar => Self::Text(scalar.to_string()),
        }
    }

    /// The text at `pointer`; nothing where there is none or an empty one.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        let steps = pointer.split('/').filter(|step| !step.is_empty());
        let node = steps.into_iter().try_fold(self, |node, step| node.step(step))?;
        match node {
            Self::Text(text) if !text.trim().is_empty() => Some(text.trim()),
            _ => None,
        }
    }

    fn step(&self, step: &str) -> Option<&Self> {
        match self {
            Self::Text(_) => None,
            Self::Map(entries) => entries.iter().find(|(key, _)| key == step).map(|(_, value)| value),
            Self::List(items) => match step.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(condition) => {
                    let (key, wanted) = condition.split_once('=')?;
                    items.iter().find(|item| item.text(key) == Some(wanted))
                }
                None => items.get(step.parse::<usize>().ok()?),
            },
        }
    }
}

/// Builds the tree from parser events: a resolver of types would read `52:54:00:12:34:56` as a number.
fn of_yaml(body: &str) -> Result<Node> {
    let mut open: Vec<(Node, Option<String>)> = Vec::new();
    for event in Parser::new_from_str(body) {
        let (event, _) = event?;
        let finished = match event {
            Event::SequenceStart(..) => {
                open.push((Node::List(Vec::new()), None));
                continue;
            }
            Event::MappingStart(..) => {
                open.push((Node::Map(Vec::new()), None));
                continue;
            }
            Event::Scalar(text, ..) => Node::Text(text.into_owned()),
            Event::SequenceEnd | Event::MappingEnd => open.pop().context("an end without a start")?.0,
            Event::Alias(_) => bail!("aliases are not expected in metadata"),
            _ => continue,
        };
        match open.last_mut() {
            None => return Ok(finished),
            Some((Node::List(items), _)) => items.push(finished),
            Some((Node::Map(entries), key)) => match (key.take(), finished) {
                (Some(key), value) => entries.push((key, value)),
                (None, Node::Text(text)) => *key = Some(text),
                (None, _) => bail!("a key is not a text"),
            },
            Some((Node::Text(_), _)) => bail!("a text cannot hold another value"),
        }
    }
    bail!("it is empty")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_of_yaml_stay_text() {
        let yaml = "mac: 52:54:00:12:34:56\nid: 0042\nlist:\n- {type: a, v6: true}\n- {type: b, v: ''}\n";
        let node = Node::parse(Format::Yaml, yaml).unwrap();
        assert_eq!(node.text("mac"), Some("52:54:00:12:34:56"));
        assert_eq!(node.text("id"), Some("0042"));
        assert_eq!(node.text("list/[v6=true]/type"), Some("a"));
        assert_eq!(node.text("list/1/type"), Some("b"));
        assert_eq!(node.text("list/[type=b]/v"), None, "empty is absent");
        assert_eq!(node.text("list/7/type"), None);
    }

    #[test]
    fn json_numbers_are_text_and_null_is_absent() {
        let node = Node::parse(Format::Json, r#"{"id": 4711, "no": null, "deep": {"a": ["x"]}}"#).unwrap();
        assert_eq!(node.text("id"), Some("4711"));
        assert_eq!(node.text("no"), None);
        assert_eq!(node.text("deep/a/0"), Some("x"));
        assert_eq!(node.text("deep"), None, "a map is no text");
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(Node::parse(Format::Json, "<html>").is_err());
        assert!(Node::parse(Format::Yaml, "").is_err());
        assert!(Node::parse(Format::Yaml, "<html>\n<body>wait</body>\n").is_err());
        assert!(Node::parse(Format::Yaml, "a: [").is_err());
    }
}
