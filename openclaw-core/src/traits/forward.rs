//! Every trait of core on `Arc` and `Box` of it, method by method.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::{
    agent::{Agent, Answer, Turn},
    channel::{Capabilities, Channel, Health, Outbound, Part, Receipt, Reconcile, Source},
    http::{Body, Http},
    model::{Model, ModelReply, ModelStream, Prompt},
    skill::{Skill, SkillAnswer, SkillManifest},
    store::{
        Commit, Entry, Key, Page, ScanQuery, Snapshot, StateStore, StoreCapabilities, StoreError,
        Txn,
    },
};
use crate::{AgentId, Call, ChannelId, Content, ModelId, Result};

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Channel + ?Sized> Channel for $pointer<T> {
            fn id(&self) -> &ChannelId {
                (**self).id()
            }
            fn capabilities(&self) -> &Capabilities {
                (**self).capabilities()
            }
            async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
                (**self).receive().await
            }
            async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
                (**self).send(call).await
            }
            fn render(&self, content: &Content) -> Vec<Part> {
                (**self).render(content)
            }
            async fn health(&self) -> Health {
                (**self).health().await
            }
            fn reconcile(&self) -> Option<&dyn Reconcile> {
                (**self).reconcile()
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Agent + ?Sized> Agent for $pointer<T> {
            fn id(&self) -> &AgentId {
                (**self).id()
            }
            async fn handle(&self, turn: Turn) -> Result<Answer> {
                (**self).handle(turn).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Skill + ?Sized> Skill for $pointer<T> {
            fn manifest(&self) -> &SkillManifest {
                (**self).manifest()
            }
            async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
                (**self).run(call).await
            }
            fn validate(&self, input: &Value) -> Result<()> {
                (**self).validate(input)
            }
            fn reconcile(&self) -> Option<&dyn Reconcile> {
                (**self).reconcile()
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Model + ?Sized> Model for $pointer<T> {
            fn id(&self) -> &ModelId {
                (**self).id()
            }
            async fn complete(&self, call: Call<Arc<Prompt>>) -> Result<ModelReply> {
                (**self).complete(call).await
            }
            async fn stream(&self, call: Call<Arc<Prompt>>) -> Result<Box<dyn ModelStream>> {
                (**self).stream(call).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Http + ?Sized> Http for $pointer<T> {
            async fn send(&self, call: Call<::http::Request<Bytes>>) -> Result<::http::Response<Body>> {
                (**self).send(call).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: StateStore + ?Sized> StateStore for $pointer<T> {
            fn capabilities(&self) -> StoreCapabilities {
                (**self).capabilities()
            }
            async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
                (**self).get_many(keys).await
            }
            async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
                (**self).scan(query).await
            }
            async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
                (**self).commit(txn).await
            }
            async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
                (**self).commit_many(txns).await
            }
        }
    )*};
}

forward!(Arc, Box);
