//! Every trait of core on `Arc` and `Box` of it, method by method.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use serde_json::Value;

use super::{
    agent::{Agent, Answer, Turn},
    channel::{Capabilities, Channel, Health, Outbound, Part, Receipt, Reconcile, Source},
    http::{Body, Http},
    model::{Model, ModelReply, ModelStream, Prompt},
    rules::{Ask, Authorizer, Decision},
    skill::{RouteKey, Skill, SkillAnswer, SkillManifest, SkillSource},
    store::{
        Commit, Entry, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore, StoreCapabilities,
        StoreError, Txn, Version,
    },
};
use crate::{AgentId, Call, ChannelId, Content, ModelId, Result, SkillId};

/// What `async_trait` makes of an async method.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

// As `async_trait` would write them, but for the box around the box: the inner one is handed on.
macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: Channel + ?Sized> Channel for $pointer<T> {
            fn id(&self) -> &ChannelId {
                (**self).id()
            }
            fn capabilities(&self) -> &Capabilities {
                (**self).capabilities()
            }
            fn receive<'life0, 'async_trait>(&'life0 self) -> Boxed<'async_trait, Result<Option<Box<dyn Source>>>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).receive()
            }
            fn send<'life0, 'async_trait>(&'life0 self, call: Call<Outbound>) -> Boxed<'async_trait, Result<Receipt>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).send(call)
            }
            fn render(&self, content: &Content) -> Vec<Part> {
                (**self).render(content)
            }
            fn health<'life0, 'async_trait>(&'life0 self) -> Boxed<'async_trait, Health>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).health()
            }
            fn reconcile(&self) -> Option<&dyn Reconcile> {
                (**self).reconcile()
            }
        }

        #[deny(clippy::missing_trait_methods)]
        impl<T: Agent + ?Sized> Agent for $pointer<T> {
            fn id(&self) -> &AgentId {
                (**self).id()
            }
            fn handle<'life0, 'async_trait>(&'life0 self, turn: Turn) -> Boxed<'async_trait, Result<Answer>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).handle(turn)
            }
        }

        #[deny(clippy::missing_trait_methods)]
        impl<T: Skill + ?Sized> Skill for $pointer<T> {
            fn manifest(&self) -> &SkillManifest {
                (**self).manifest()
            }
            fn run<'life0, 'async_trait>(&'life0 self, call: Call<Arc<Value>>) -> Boxed<'async_trait, Result<SkillAnswer>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).run(call)
            }
            fn validate(&self, input: &Value) -> Result<()> {
                (**self).validate(input)
            }
            fn validate_output(&self, output: &Value) -> Result<()> {
                (**self).validate_output(output)
            }
            fn reconcile(&self) -> Option<&dyn Reconcile> {
                (**self).reconcile()
            }
        }

        #[deny(clippy::missing_trait_methods)]
        impl<T: SkillSource + ?Sized> SkillSource for $pointer<T> {
            fn list(&self, route: &RouteKey) -> Vec<Arc<dyn Skill>> {
                (**self).list(route)
            }
            fn find(&self, skill: &SkillId, version: Option<&str>, route: &RouteKey) -> Result<Arc<dyn Skill>> {
                (**self).find(skill, version, route)
            }
            fn exact(&self, skill: &SkillId, version: &str) -> Option<Arc<dyn Skill>> {
                (**self).exact(skill, version)
            }
        }

        #[deny(clippy::missing_trait_methods)]
        impl<T: Authorizer + ?Sized> Authorizer for $pointer<T> {
            fn decide(&self, ask: &Ask<'_>) -> Decision {
                (**self).decide(ask)
            }
        }

        #[deny(clippy::missing_trait_methods)]
        impl<T: Model + ?Sized> Model for $pointer<T> {
            fn id(&self) -> &ModelId {
                (**self).id()
            }
            fn complete<'life0, 'async_trait>(&'life0 self, call: Call<Arc<Prompt>>) -> Boxed<'async_trait, Result<ModelReply>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).complete(call)
            }
            fn stream<'life0, 'async_trait>(&'life0 self, call: Call<Arc<Prompt>>) -> Boxed<'async_trait, Result<Box<dyn ModelStream>>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).stream(call)
            }
        }

        #[deny(clippy::missing_trait_methods)]
        impl<T: Http + ?Sized> Http for $pointer<T> {
            fn send<'life0, 'async_trait>(&'life0 self, call: Call<::http::Request<Bytes>>) -> Boxed<'async_trait, Result<::http::Response<Body>>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).send(call)
            }
        }

        #[deny(clippy::missing_trait_methods)]
        impl<T: StateStore + ?Sized> StateStore for $pointer<T> {
            fn capabilities(&self) -> StoreCapabilities {
                (**self).capabilities()
            }
            fn get_many<'life0, 'life1, 'async_trait>(&'life0 self, keys: &'life1 [Key]) -> Boxed<'async_trait, Result<Snapshot<Vec<Option<Entry>>>, StoreError>>
            where
                'life0: 'async_trait,
                'life1: 'async_trait,
                Self: 'async_trait,
            {
                (**self).get_many(keys)
            }
            fn scan<'life0, 'async_trait>(&'life0 self, query: ScanQuery) -> Boxed<'async_trait, Result<Snapshot<Page>, StoreError>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).scan(query)
            }
            fn commit<'life0, 'async_trait>(&'life0 self, txn: Txn) -> Boxed<'async_trait, Result<Commit, StoreError>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).commit(txn)
            }
            fn commit_many<'life0, 'async_trait>(&'life0 self, txns: Vec<Txn>) -> Boxed<'async_trait, Vec<Result<Commit, StoreError>>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).commit_many(txns)
            }
            fn raise<'life0, 'async_trait>(&'life0 self, least: Version) -> Boxed<'async_trait, Result<(), StoreError>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).raise(least)
            }
            fn snapshot<'life0, 'async_trait>(&'life0 self) -> Boxed<'async_trait, Result<SharedStore, StoreError>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                (**self).snapshot()
            }
        }
    )*};
}

forward!(Arc, Box);
