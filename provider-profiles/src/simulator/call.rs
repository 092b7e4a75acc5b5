//! One call of an API: what it takes, what it does, what it answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// HTTP method.
    pub method: String,
    /// Path. `{name}` stands for one segment and binds the resource that it names.
    pub path: String,
    /// What a token must be good for, where tokens have scopes: `RESOURCE:read_only` or `RESOURCE:read_write`.
    #[serde(default)]
    pub scope: Option<String>,
    /// The error for a token that is none.
    #[serde(default = "unauthorized")]
    pub stranger: String,
    /// What a name in the path stands for, where it is not the id of a resource of the kind with that name.
    #[serde(default)]
    pub bind: BTreeMap<String, Bind>,
    /// Fields of the body that must have these values for this call to be meant.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// Query parameters that it knows besides those of pages; one whose name ends in `*` may come several times, and
    /// `query` has a list of its values.
    #[serde(default)]
    pub query: Vec<String>,
    /// Fields of the body.
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
    /// What it does, in this order; a refusal undoes all of it.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Status of the reply.
    #[serde(default = "ok")]
    pub status: u16,
    /// Body of the reply, a template; empty without.
    #[serde(default)]
    pub body: String,
    /// A list in place of a body.
    #[serde(default)]
    pub list: Option<Listing>,
}

/// How a segment of a path names a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// Kinds that it may be of.
    pub kinds: Vec<String>,
    /// Fields of which one must have the segment's value.
    #[serde(default = "by_id")]
    pub by: Vec<String>,
    /// The error when there is none.
    #[serde(default = "not_found")]
    pub error: String,
}

/// A field of a request's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The types that it may have; null counts as absent.
    #[serde(rename = "type")]
    pub types: Vec<FieldType>,
    /// Whether the call is refused without it.
    #[serde(default)]
    pub required: bool,
    /// An expression that must hold for the value, `it`.
    #[serde(default)]
    pub check: Option<String>,
    /// The error when it does not.
    #[serde(default = "invalid")]
    pub error: String,
    /// Words of that error, a template over `field` and `it`.
    #[serde(default)]
    pub message: Option<String>,
}

/// A type of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldType {
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A list of texts.
    Strings,
    /// A list of whole numbers.
    Integers,
    /// A list of anything.
    List,
    /// An object.
    Object,
}

/// A list as reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Name of the list in the reply.
    pub key: String,
    /// The resources, an expression.
    pub of: String,
    /// Which of them, an expression over `it`.
    #[serde(default)]
    pub only: Option<String>,
    /// What is shown of each, a template over `it`, where it is not the kind's view.
    #[serde(default)]
    pub view: Option<String>,
}

/// Something that a call does: exactly one of `refuse`, `find`, `make`, `change`, `delete`, `host` and `later`; or, with
/// none of them, its `steps`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Only when this expression holds.
    #[serde(default, rename = "if")]
    pub only_if: Option<String>,
    /// Once for each item of this expression's list, `it`.
    #[serde(default)]
    pub each: Option<String>,
    /// Refuses the call with this error.
    #[serde(default)]
    pub refuse: Option<String>,
    /// Words of the error, a template.
    #[serde(default)]
    pub message: Option<String>,
    /// The field that the error is about.
    #[serde(default)]
    pub field: Option<String>,
    /// Binds this name to a resource, or refuses the call with `error`.
    #[serde(default)]
    pub find: Option<String>,
    /// Where to find it.
    #[serde(default)]
    pub among: Option<Bind>,
    /// The value that it is found by, an expression.
    #[serde(default)]
    pub is: Option<String>,
    /// Makes a resource of this kind.
    #[serde(default)]
    pub make: Option<String>,
    /// The name that it is bound to; the kind's without.
    #[serde(default, rename = "as")]
    pub name: Option<String>,
    /// Changes the resource that is bound to this name; one that has gone is left alone.
    #[serde(default)]
    pub change: Option<String>,
    /// Fields for `make` and `change`, a template of a JSON object.
    #[serde(default)]
    pub fields: Option<String>,
    /// Deletes the resource that is bound to this name.
    #[serde(default)]
    pub delete: Option<String>,
    /// Has the hypervisor do this: `start`, `power-on`, `power-off`, `shut-down`, `snapshot`, `delete` or
    /// `delete-snapshot`. With `later` the steps wait for it, else nobody does.
    #[serde(default)]
    pub host: Option<String>,
    /// The machine (for `delete-snapshot`, the snapshot) that the hypervisor's deed is about.
    #[serde(default)]
    pub on: Option<String>,
    /// The snapshot to be made.
    #[serde(default)]
    pub into: Option<String>,
    /// What goes on from now, by a name that faults know it by; `steps` when it has ended well, `failing` when not.
    #[serde(default)]
    pub later: Option<String>,
    /// How long that takes, in seconds.
    #[serde(default)]
    pub after: f64,
    /// What happens then; `host` has what the hypervisor told.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What happens when it fails.
    #[serde(default)]
    pub failing: Vec<Step>,
}

fn ok() -> u16 {
    200
}

fn unauthorized() -> String {
    "unauthorized".into()
}

fn by_id() -> Vec<String> {
    vec!["id".into()]
}

fn not_found() -> String {
    "not_found".into()
}

fn invalid() -> String {
    "invalid".into()
}
