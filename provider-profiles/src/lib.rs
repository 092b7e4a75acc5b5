//! What each cloud provider does, as data.
//!
//! A provider is one file in `profiles/` and one in `fixtures/`; every other part of the project derives from
//! them. The types here are the schema. Without the feature `catalog` only the guest's part of it is there: the
//! guest binary reads the plan that was baked into its image and carries no profile.

mod plan;

#[cfg(feature = "catalog")]
mod api;
#[cfg(feature = "catalog")]
mod catalog;
#[cfg(feature = "catalog")]
mod fixture;
#[cfg(feature = "catalog")]
mod maintainer;
#[cfg(feature = "catalog")]
mod profile;
#[cfg(feature = "catalog")]
mod simulator;

pub use plan::{Condition, Document, Fields, Format, GuestPlan, InputSource, Metadata, Place, TokenDance};

#[cfg(feature = "catalog")]
pub use api::{
    Api, ApiPageKind, ApiPages, ApiRefusal, Check, Offer, OfferArchitecture, OwnName, Register, Resource,
    Rights, SnapshotState,
};
#[cfg(feature = "catalog")]
pub use catalog::{Catalog, Entry, UnknownProvider};
#[cfg(feature = "catalog")]
pub use fixture::{ConfigDrive, Exchange, Fixture, Instance, Reply, Setting};
#[cfg(feature = "catalog")]
pub use maintainer::Maintainer;
#[cfg(feature = "catalog")]
pub use profile::{
    AccountSetting, Architecture, ArgumentNames, Base, Boot, Cleanup, Consoles, Credential, Datasource,
    DeploymentScript, Dmi, Doc, Form, Identity, KeyArguments, KeyDelivery, LabelKind, Labels, Packer, Plugin,
    Profile, Token,
};
#[cfg(feature = "catalog")]
pub use simulator::{
    Bind, Burst, Call, Conduct, ErrorReply, Field, FieldType, Kind, Listing, PageKind, Pages, Rate,
    Simulator, Step, UnknownFields,
};
