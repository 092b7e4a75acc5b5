//! The schema of `simulators/<id>.toml`, and of its parts in `simulators/<id>/`: a provider's API as data, played by the
//! rehearsal.
//!
//! Texts called *template* are minijinja templates, *expression* a bare minijinja expression. Both see the names
//! that `provider-profiles/README.md` lists. Times are the provider's seconds; the rehearsal's clock may run faster.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::profile::Doc;

mod call;
mod part;

pub use call::{Bind, Call, Field, FieldType, Listing, Step};
pub(crate) use part::Part;

/// A provider's API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulator {
    /// Where calls, shapes and errors come from.
    pub provenance: Vec<Doc>,
    /// Environment variables that lead the provider's clients here: name -> template over `url` and `token`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The API's own host name, where clients have no setting for another.
    #[serde(default)]
    pub host: Option<String>,
    /// How the provider's Packer plugin behaves, where that tells providers apart.
    #[serde(default)]
    pub plugin: Conduct,
    /// Headers of every reply: name -> template over `scopes` (of the token) and `accepted` (the call's); an empty one
    /// is not sent.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the provider does with fields and parameters that it does not know.
    pub unknown_fields: UnknownFields,
    /// How many requests a token may make.
    pub rate: Rate,
    /// How lists are cut into pages.
    pub pages: Pages,
    /// Body of every error, a template over `code`, `message`, `field` and `status`.
    pub error_body: String,
    /// Errors by name; those of [`Simulator::ERRORS`] must be there.
    pub errors: BTreeMap<String, ErrorReply>,
    /// Kinds of resources.
    pub kinds: BTreeMap<String, Kind>,
    /// The calls; of those with the same method and path the first whose `when` holds answers.
    pub calls: Vec<Call>,
}

impl Simulator {
    /// Errors that the simulator itself answers with, so that every description has to say what they look like.
    pub const ERRORS: [&str; 12] = [
        "unauthorized",
        "forbidden",
        "not_found",
        "unknown_call",
        "malformed",
        "missing",
        "wrong_type",
        "unknown_field",
        "invalid",
        "too_many",
        "broken",
        "unavailable",
    ];
}

/// How a Packer plugin behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conduct {
    /// Errors after which it asks again.
    #[serde(default)]
    pub asks_again: Vec<String>,
    /// Kinds of what it leaves when a build ends before its machine has booted.
    #[serde(default)]
    pub leaves: Vec<String>,
    /// Argument of its template that ends its wait for a snapshot; none where it waits as long as that takes.
    #[serde(default)]
    pub snapshot_wait: Option<String>,
}

/// What becomes of a field that the provider does not know. Both are noted in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownFields {
    /// The call is carried out without it.
    Ignored,
    /// The call is refused with the error `unknown_field`.
    Refused,
}

/// A limit of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests in a window.
    pub requests: u32,
    /// Length of a window in seconds.
    pub seconds: u32,
    /// Headers of every reply: name -> template over `limit`, `remaining` and `reset` (Unix time).
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A limit of a shorter time besides, which no header tells.
    #[serde(default)]
    pub burst: Option<Burst>,
}

/// A limit of requests in a short time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// Requests in a window.
    pub requests: u32,
    /// Length of a window in seconds.
    pub seconds: u32,
}

/// How lists are cut into pages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// How a client names the page that it wants.
    pub kind: PageKind,
    /// Query parameter with the page's number or cursor.
    pub page: String,
    /// Query parameter with the number of items on a page.
    pub size: String,
    /// Items on a page unless the client says otherwise.
    pub default: usize,
    /// Fewest items on a page.
    #[serde(default = "one")]
    pub minimum: usize,
    /// Most items on a page.
    pub maximum: usize,
    /// Whether a number of items outside these is refused with the error `invalid`; it is put right without.
    #[serde(default)]
    pub strict: bool,
    /// Header with a filter of what the list shows, as JSON: fields with their values or with operators (`+neq`, `+gt`,
    /// `+gte`, `+lt`, `+lte`, `+contains`), `+and`, `+or`, `+order_by` and `+order`.
    #[serde(default)]
    pub filter: Option<String>,
    /// The whole reply, a template over `key`, `items`, `total`, `size`, `page`, `pages`, `next` and `previous` (page
    /// or cursor; none at the ends), `address` (of the list) and `query` (its other parameters, each with a leading `&`).
    pub body: String,
}

/// How a client names a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageKind {
    /// By its number, from 1 on.
    Number,
    /// By an opaque text that the page before told.
    Cursor,
}

/// An error's reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorReply {
    /// HTTP status.
    pub status: u16,
    /// The provider's code for it.
    #[serde(default)]
    pub code: String,
    /// The provider's words, a template over `field`; a step or field may say others.
    pub message: String,
    /// Further headers, as they are.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// A kind of resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// `number`, `uuid`, or a template over `n`, the resource's number among all.
    pub id: String,
    /// All its fields with what they are at first, as JSON. `id` and `created` come by themselves.
    pub fields: String,
    /// What calls show of it, a template over `it`.
    #[serde(default)]
    pub view: Option<String>,
    /// Whether an account holds it: what is left of it after a build is a leak.
    #[serde(default)]
    pub held: bool,
    /// The field that a person knows it by.
    #[serde(default)]
    pub name: Option<String>,
    /// What it costs an hour, an expression over `it` in the provider's currency.
    #[serde(default)]
    pub hourly: Option<String>,
    /// What the machine that plays it is made of, a template of JSON over `it`.
    #[serde(default)]
    pub order: Option<String>,
    /// What is there from the start, as a JSON list of objects.
    #[serde(default)]
    pub seeds: Option<String>,
}

fn one() -> usize {
    1
}
