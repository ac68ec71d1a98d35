//! A skill written the plain way, with one flaw at a time planted into it.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use openclaw_core::{
    Call, Effect, Effects, Error, ErrorKind, Happened, Result, SkillId,
    channel::{Intent, Reconcile, Reconciled},
    skill::{Skill, SkillAnswer, SkillManifest},
};
use openclaw_testkit::{
    conformance::skill::{On, on},
    remote::{CountingRemote, RemoteKind},
};
use serde_json::{Value, json};

/// Something that a skill does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    ActsBeforeItRefuses,
    ActsTwice,
    ActsWhenWithheld,
    AnswersWithNothing,
    BeginsUnpolled,
    ChecksThenActs,
    DoesNothing,
    ErrorsQuote,
    ForgetsTheKey,
    HasNoHook,
    HookActs,
    HookForgets,
    HookInvents,
    IgnoresDeadlines,
    KeyCoversTheInput,
    KeyIsTheInput,
    KeyNamesTheAttempt,
    ManifestChanges,
    MixesAnswers,
    OneAtATime,
    OutputIsBare,
    PanicsAtOddValues,
    PureActs,
    RefusalsQuote,
    RefusesAsNotFound,
    RefusesTheSecondTime,
    RepeatsItself,
    RepeatsWhenDropped,
    RunTakesAnything,
    SaysItDid,
    SaysItDidNot,
    SwallowsErrors,
    TakesAnyOutput,
    TakesAnything,
    ValidateActs,
    VersionIsAWord,
}

#[derive(Debug)]
pub(crate) struct NaiveSkill {
    flaw: Flaw,
    manifests: [SkillManifest; 2],
    asked: AtomicUsize,
    remote: CountingRemote,
    slot: Mutex<Value>,
    done: Mutex<BTreeMap<String, Value>>,
    one: tokio::sync::Mutex<()>,
}

/// Makes naive skills with this flaw and this effect.
pub(crate) fn naive(flaw: Flaw, effect: Effect) -> On {
    let keyed = matches!(effect, Effect::Keyed { .. }) && flaw != Flaw::ChecksThenActs;
    let kind = if keyed { RemoteKind::Keyed } else { RemoteKind::Unkeyed };
    on(kind, move |remote| NaiveSkill::new(flaw, effect, remote))
        .refused([json!({ "order": "refused-order" }), json!(7)])
        .answers(|n, output| output["echo"]["order"] == format!("order-{n:08}"))
        .keeps_deadlines()
}

impl NaiveSkill {
    fn new(flaw: Flaw, effect: Effect, remote: CountingRemote) -> Self {
        let version = if flaw == Flaw::VersionIsAWord { "latest" } else { "1.0.0" };
        let mut manifest =
            SkillManifest::new(SkillId::new("naive").unwrap(), version).effect(effect);
        manifest.input = Some(Arc::new(json!({ "type": "object", "required": ["order"] })));
        manifest.output = Some(Arc::new(json!({ "type": "object", "required": ["echo"] })));
        let other = manifest.clone().describe("changed");
        Self {
            flaw,
            manifests: [manifest, other],
            asked: AtomicUsize::new(0),
            remote,
            slot: Mutex::default(),
            done: Mutex::default(),
            one: tokio::sync::Mutex::default(),
        }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// A call whose answer nobody waits for.
    fn act_now(&self) {
        let payload = json!("unasked");
        let mut call = Box::pin(self.remote.call(None, &payload));
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(_) | Poll::Pending));
    }

    fn check(&self, input: &Value) -> Result<()> {
        let order = input.get("order").and_then(Value::as_str);
        if order.is_some_and(|order| order.starts_with("order-")) {
            return Ok(());
        }
        let kind = match self.flaw {
            Flaw::RefusesAsNotFound => ErrorKind::NotFound,
            _ => ErrorKind::ValidationError,
        };
        let message = match (self.flaw, order) {
            (Flaw::RefusalsQuote, Some(order)) => format!("{order} is no order"),
            _ => "/order is no order".to_owned(),
        };
        Err(Error::new(kind, message))
    }

    fn key(&self, call: &Call<Arc<Value>>) -> Option<String> {
        let key = call.key().map(ToString::to_string)?;
        match self.flaw {
            Flaw::ForgetsTheKey => None,
            Flaw::KeyCoversTheInput => Some(format!("{key}{}", call.payload())),
            Flaw::KeyIsTheInput => Some(call.payload().to_string()),
            Flaw::KeyNamesTheAttempt => Some(format!("{key}{}", call.context().attempt())),
            _ => Some(key),
        }
    }

    async fn act(&self, call: &Call<Arc<Value>>) -> Result<Value> {
        let key = self.key(call);
        let pure = call.effect() == Effect::Pure;
        let ask = || async {
            match pure {
                true => self.remote.read(call.payload()).await,
                false => self.remote.call(key.as_deref(), call.payload()).await,
            }
        };
        match self.flaw {
            Flaw::ActsTwice | Flaw::PureActs => {
                self.remote.call(None, call.payload()).await?;
                ask().await
            }
            Flaw::DoesNothing => Ok(json!({ "echo": **call.payload() })),
            Flaw::RepeatsItself => match ask().await {
                Err(e) if e.happened() == Happened::Maybe => ask().await,
                answer => answer,
            },
            Flaw::ChecksThenActs => {
                let key = key.clone().unwrap_or_default();
                let seen = self.done.lock().unwrap().get(&key).cloned();
                if let Some(answer) = seen {
                    return Ok(answer);
                }
                tokio::task::yield_now().await;
                let answer = ask().await?;
                self.done.lock().unwrap().insert(key, answer.clone());
                Ok(answer)
            }
            _ => ask().await,
        }
    }

    async fn within(&self, call: &Call<Arc<Value>>) -> Result<Value> {
        match call.context().deadline() {
            Some(end) if !self.is(Flaw::IgnoresDeadlines) => {
                let late = |_late| Error::new(ErrorKind::Timeout, "no answer in time");
                tokio::time::timeout_at(end, self.act(call)).await.map_err(late)?
            }
            _ => self.act(call).await,
        }
    }

    fn told(&self, e: Error, input: &Value) -> Result<Value> {
        match self.flaw {
            Flaw::SwallowsErrors => Ok(Value::Null),
            Flaw::SaysItDid => Err(e.with_happened(Happened::Yes)),
            Flaw::SaysItDidNot => Err(e.with_happened(Happened::No)),
            Flaw::ErrorsQuote => Err(e.with("input", input)),
            _ => Err(e),
        }
    }

    async fn go(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let _one = match self.is(Flaw::OneAtATime) {
            true => Some(self.one.lock().await),
            false => None,
        };
        let withheld = call.context().effects() == Effects::Withheld;
        if withheld && call.effect() != Effect::Pure && !self.is(Flaw::ActsWhenWithheld) {
            return Err(Error::new(ErrorKind::Unsupported, "effects are withheld"));
        }
        if self.is(Flaw::ActsBeforeItRefuses) {
            self.remote.call(None, call.payload()).await?;
        }
        if !self.is(Flaw::RunTakesAnything) {
            self.check(call.payload())?;
        }
        *self.slot.lock().unwrap() = (**call.payload()).clone();
        let mut again = Again(self.is(Flaw::RepeatsWhenDropped).then(|| self.remote.clone()));
        let answer = self.within(&call).await;
        again.0 = None;
        let output = answer.or_else(|e| self.told(e, call.payload()))?;
        Ok(SkillAnswer::done(match self.flaw {
            Flaw::OutputIsBare => output["echo"].clone(),
            Flaw::MixesAnswers => json!({ "echo": self.slot.lock().unwrap().clone() }),
            _ => output,
        }))
    }
}

/// Acts once more when it is dropped armed.
struct Again(Option<CountingRemote>);

impl Drop for Again {
    fn drop(&mut self) {
        if let Some(remote) = self.0.take() {
            drop(tokio::spawn(async move { remote.call(None, &json!("again")).await }));
        }
    }
}

impl Skill for NaiveSkill {
    fn validate_output(&self, output: &Value) -> Result<()> {
        if output.get("echo").is_some() || self.is(Flaw::TakesAnyOutput) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::ValidationError, "there is no /echo"))
    }

    fn manifest(&self) -> &SkillManifest {
        let n = match self.is(Flaw::ManifestChanges) {
            true => self.asked.fetch_add(1, Ordering::SeqCst),
            false => 0,
        };
        &self.manifests[n % 2]
    }

    fn run<'s, 'a>(
        &'s self,
        call: Call<Arc<Value>>,
    ) -> Pin<Box<dyn Future<Output = Result<SkillAnswer>> + Send + 'a>>
    where
        's: 'a,
        Self: 'a,
    {
        if self.is(Flaw::BeginsUnpolled) {
            self.act_now();
        }
        Box::pin(self.go(call))
    }

    fn validate(&self, input: &Value) -> Result<()> {
        match self.flaw {
            Flaw::TakesAnything => Ok(()),
            Flaw::PanicsAtOddValues => {
                assert!(input["order"].is_string(), "a text");
                self.check(input)
            }
            Flaw::RefusesTheSecondTime if self.asked.fetch_add(1, Ordering::SeqCst) % 2 == 1 => {
                Err(Error::new(ErrorKind::ValidationError, "again?"))
            }
            Flaw::ValidateActs => {
                self.act_now();
                self.check(input)
            }
            _ => self.check(input),
        }
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        let declared = self.manifests[0].effect == Effect::Reconcilable;
        (declared && !self.is(Flaw::HasNoHook)).then_some(self)
    }
}

#[async_trait::async_trait]
impl Reconcile for NaiveSkill {
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled> {
        let key = intent.key.as_str();
        let doubt = self.remote.unsettled(key);
        if self.is(Flaw::HookActs) {
            self.remote.call(Some("hook"), &intent.request).await?;
        }
        Ok(match (self.flaw, self.remote.lookup(key), doubt) {
            (Flaw::HookInvents, None, _) | (Flaw::AnswersWithNothing, Some(_), _) => {
                Reconciled::Happened(Arc::new(Value::Null))
            }
            (_, Some(answer), _) => Reconciled::Happened(Arc::new(answer)),
            (Flaw::HookForgets, None, _) | (_, None, None) => Reconciled::DidNotHappen,
            (_, None, Some(rest)) => Reconciled::NotYetKnown { retry_after: rest },
        })
    }
}

pub(crate) const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(3_600) };
