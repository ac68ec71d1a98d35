//! HTTP APIs for skills: requests from typed input, errors by status, pages, GraphQL.
//!
//! | | |
//! |---|---|
//! | [`Api`] | an API at one address, in one version: credentials, stack, what is remembered |
//! | [`Template`], [`Request`] | a request with places for the fields of a typed input |
//! | [`Exchange`], [`Answer`] | the requests of one skill call, and what came back |
//! | [`outcome`] | the table: what a status means, and whether it happened |
//! | [`Paging`], [`Pages`], [`Listing`] | lists in pages as one, within [`PageLimits`] |
//! | [`Operation`], [`Reply`] | GraphQL: variables in, data or a part of it out |
//! | [`Authorize`], [`Credential`] | whoever signs a request, right before it is sent |
//! | [`ApiUses`] | which skill uses which version of which API |
//!
//! There are no sockets here: everything goes through the [`Http`](openclaw_core::http::Http) port.
//!
//! A skill that moves a customer to another city, unless somebody else was faster:
//!
//! ```
//! use std::sync::Arc;
//!
//! use openclaw_core::{
//!     Call, Context, Effect, ErrorKind, IdempotencyKey, MessageId, Result, SkillId, TenantId,
//!     skill::{Skill, SkillAnswer, SkillManifest},
//! };
//! use openclaw_skills::{
//!     SkillCx,
//!     api::{Api, Template, VersionIn},
//!     schemars, skill_fn,
//! };
//! use serde_json::json;
//!
//! #[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
//! struct Move {
//!     customer: String,
//!     city: String,
//! }
//!
//! #[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
//! struct Customer {
//!     id: String,
//!     city: String,
//! }
//!
//! #[derive(Clone)]
//! struct Crm {
//!     api: Api,
//!     get: Template,
//!     put: Template,
//! }
//!
//! impl Crm {
//!     async fn move_to(&self, cx: SkillCx, input: Move) -> Result<Customer> {
//!         let crm = self.api.exchange(&cx);
//!         let read = crm.send(self.get.fill(&json!({ "customer": input.customer }))?).await?;
//!         let write = self.put.fill(&input)?;
//!         // Whoever was faster wins: then this is a CONFLICT, and nothing happened.
//!         let write = match read.etag() {
//!             Some(etag) => write.if_match(etag)?,
//!             None => write,
//!         };
//!         crm.read(write).await
//!     }
//! }
//!
//! # use bytes::Bytes;
//! # use openclaw_core::{OrFail, http::{Body, Http}};
//! # /// A CRM that knows one customer.
//! # #[derive(Debug)]
//! # struct Port;
//! # #[async_trait::async_trait]
//! # impl Http for Port {
//! #     async fn send(&self, call: Call<http::Request<Bytes>>) -> Result<http::Response<Body>> {
//! #         let request = call.payload();
//! #         let moved = request.headers().get("if-match").is_some_and(|tag| tag != "\"7\"");
//! #         let (status, city) = match (request.uri().path(), request.method().as_str()) {
//! #             ("/api/v3/customers/c%2F7", "GET") => (200, "Oslo"),
//! #             ("/api/v3/customers/c%2F7", "PUT") if !moved => (200, "Bergen"),
//! #             _ => (404, ""),
//! #         };
//! #         let body = json!({ "id": "c/7", "city": city }).to_string();
//! #         let response = http::Response::builder().status(status).header("etag", "\"7\"");
//! #         response.body(Body::full(body)).or_fail(ErrorKind::Unclassified)
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // `Port` stands for the client of the host: `openclaw_channels::guarded_http::GuardedHttp`.
//! let manifest = SkillManifest::new(SkillId::new("customer.move")?, "1.0.0")
//!     .api("crm", "v3")
//!     .effect(Effect::AtLeastOnce); // whoever moves twice to Bergen is in Bergen
//! let api = Api::builder("crm", "https://crm.test/api")?
//!     .pinned_by(&manifest, VersionIn::Path)?
//!     .resilience(Default::default())
//!     .build(Port)?;
//! let crm = Crm {
//!     api,
//!     get: Template::get("/customers/{customer}")?,
//!     put: Template::put("/customers/{customer}")?,
//! };
//! let skill = skill_fn(manifest, move |cx, input| {
//!     let crm = crm.clone();
//!     async move { crm.move_to(cx, input).await }
//! })?;
//!
//! let run = |customer: &str| {
//!     let input = Arc::new(json!({ "customer": customer, "city": "Bergen" }));
//!     let context = Context::new(TenantId::new("acme").expect("an id"));
//!     let key = IdempotencyKey::of(MessageId::from_u128(1), "move").expect("a name");
//!     skill.run(Call::skill(context, skill.manifest(), input).with_key(key))
//! };
//! let moved = run("c/7").await?;
//! assert_eq!(moved, SkillAnswer::done(json!({ "id": "c/7", "city": "Bergen" })));
//! let unknown = run("c/8").await.unwrap_err();
//! assert_eq!(unknown.kind(), ErrorKind::NotFound);
//! assert_eq!(unknown.public(), "the service has nothing under this name");
//! assert_eq!(run("../../admin").await.unwrap_err().kind(), ErrorKind::ValidationError);
//! # Ok(()) }
//! ```

mod answer;
mod authorize;
mod base;
mod client;
mod code;
mod etag;
mod exchange;
mod graphql;
mod outcome;
mod pages;
mod path;
mod request;
mod resilient;
mod signed;
mod template;
mod uses;
mod wire;

pub use self::{
    answer::Answer,
    authorize::{Authorize, Credential},
    client::{Api, ApiBuilder, VersionIn},
    exchange::Exchange,
    graphql::{GraphqlFault, Operation, Reply},
    outcome::outcome,
    pages::{Listing, PageLimits, Pages, Paging, Truncated},
    request::Request,
    template::Template,
    uses::{ApiUse, ApiUses},
};
pub(crate) use self::{authorize::check_live, signed::Signed};
