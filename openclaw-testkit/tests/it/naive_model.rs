//! A model without a provider's protocol, with one flaw at a time planted into it.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use openclaw_core::{
    Call, Error, ErrorKind, ModelId, Result,
    model::{Model, ModelReply, ModelStream, Prompt, Stop, Usage},
};
use openclaw_testkit::conformance::model::{Meets, ModelHarness, ModelPeer};

/// Something that a model does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    AsksTwice,
    BeginsUnpolled,
    BreaksAreReplies,
    CallsLoseTheirArguments,
    CompleteRetries,
    EndsOnce,
    ErrorsQuote,
    FinishesAnywhere,
    ForgetsToCount,
    ForgetsTools,
    IdChanges,
    IgnoresDeadlines,
    MixesReplies,
    OneAtATime,
    OnePiece,
    PiecesAreTrimmed,
    PiecesRepeat,
    RefusalsAreServerErrors,
    RepeatsWhenDropped,
    SendsEmptyPieces,
    StopsAreEnds,
    StreamsCountNothing,
    StreamsRefuseLate,
    TrimsWords,
}

/// Makes naive models with this flaw.
pub(crate) struct Naive(pub(crate) Flaw);

/// Makes naive models that leave streaming to the trait.
pub(crate) struct Plain;

#[derive(Debug, Default)]
struct Provider {
    prompts: Mutex<Vec<Prompt>>,
    script: Mutex<VecDeque<Meets>>,
}

#[derive(Debug)]
struct NaiveModel {
    flaw: Flaw,
    ids: [ModelId; 2],
    asked: AtomicUsize,
    provider: Arc<Provider>,
    slot: Mutex<Prompt>,
    one: tokio::sync::Mutex<()>,
}

impl NaiveModel {
    fn new(flaw: Flaw, provider: &Arc<Provider>) -> Self {
        Self {
            flaw,
            ids: ["law/naive", "law/other"].map(|id| ModelId::new(id).unwrap()),
            asked: AtomicUsize::new(0),
            provider: Arc::clone(provider),
            slot: Mutex::default(),
            one: tokio::sync::Mutex::default(),
        }
    }
}

#[async_trait::async_trait]
impl ModelHarness for Naive {
    async fn fresh(&self) -> (Box<dyn Model>, Box<dyn ModelPeer>) {
        let provider = Arc::default();
        (Box::new(NaiveModel::new(self.0, &provider)), Box::new(Peer(provider)))
    }

    fn streams_in_pieces(&self) -> bool {
        true
    }

    fn keeps_deadlines(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct PlainModel(NaiveModel);

#[async_trait::async_trait]
impl ModelHarness for Plain {
    async fn fresh(&self) -> (Box<dyn Model>, Box<dyn ModelPeer>) {
        let provider = Arc::default();
        let model = PlainModel(NaiveModel::new(Flaw::None, &provider));
        (Box::new(model), Box::new(Peer(provider)))
    }
}

#[async_trait::async_trait]
impl Model for PlainModel {
    fn id(&self) -> &ModelId {
        self.0.id()
    }

    async fn complete(&self, call: Call<Arc<Prompt>>) -> Result<ModelReply> {
        self.0.complete(call).await
    }
}

struct Peer(Arc<Provider>);

#[async_trait::async_trait]
impl ModelPeer for Peer {
    async fn script(&self, next: Meets) {
        self.0.script.lock().unwrap().push_back(next);
    }

    async fn requests(&self) -> usize {
        self.0.prompts.lock().unwrap().len()
    }

    async fn prompts(&self) -> Option<Vec<Prompt>> {
        Some(self.0.prompts.lock().unwrap().clone())
    }
}

impl Provider {
    fn take(&self, prompt: &Prompt) -> Meets {
        self.prompts.lock().unwrap().push(prompt.clone());
        let last = prompt.messages.last().map(|message| message.text.to_string());
        let echo = || Meets::Answer(ModelReply::text(last.unwrap_or_default()));
        self.script.lock().unwrap().pop_front().unwrap_or_else(echo)
    }
}

/// What a provider has accepted: the reply, or a part of it that nothing follows.
type Accepted = std::result::Result<ModelReply, String>;

impl NaiveModel {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn error(&self, kind: ErrorKind, prompt: &Prompt) -> Error {
        let e = Error::new(kind, "the provider failed");
        match self.flaw {
            Flaw::ErrorsQuote => e.with("prompt", format!("{:?}", prompt.messages)),
            _ => e,
        }
    }

    async fn ask(&self, prompt: &Arc<Prompt>) -> Result<Accepted> {
        *self.slot.lock().unwrap() = (**prompt).clone();
        tokio::task::yield_now().await;
        let mut sent = match self.is(Flaw::MixesReplies) {
            true => self.slot.lock().unwrap().clone(),
            false => (**prompt).clone(),
        };
        if self.is(Flaw::ForgetsTools) {
            sent.tools.clear();
        }
        let mut meets = self.provider.take(&sent);
        let refused = matches!(meets, Meets::Refuse { .. });
        if self.is(Flaw::AsksTwice) || (refused && self.is(Flaw::CompleteRetries)) {
            meets = self.provider.take(&sent);
        }
        match meets {
            Meets::Answer(reply) => Ok(Ok(self.told(reply))),
            Meets::Refuse { .. } if self.is(Flaw::RefusalsAreServerErrors) => {
                Err(self.error(ErrorKind::ServerError, prompt))
            }
            Meets::Refuse { retry_after } => {
                Err(self.error(ErrorKind::RateLimited, prompt).with_retry_after(retry_after))
            }
            Meets::Break(text) => Ok(Err(text)),
            _ => std::future::pending().await,
        }
    }

    fn told(&self, mut reply: ModelReply) -> ModelReply {
        match self.flaw {
            Flaw::TrimsWords => reply.text = reply.text.trim().to_owned(),
            Flaw::CallsLoseTheirArguments => {
                for call in &mut reply.calls {
                    call.input = serde_json::json!({});
                }
            }
            Flaw::StopsAreEnds => reply.stop = Stop::End,
            Flaw::ForgetsToCount => reply.usage = Usage::default(),
            _ => {}
        }
        reply
    }

    async fn accepted(&self, call: &Call<Arc<Prompt>>) -> Result<Accepted> {
        let _one = match self.is(Flaw::OneAtATime) {
            true => Some(self.one.lock().await),
            false => None,
        };
        let mut again = Again(
            self.is(Flaw::RepeatsWhenDropped)
                .then(|| (Arc::clone(&self.provider), Arc::clone(call.payload()))),
        );
        let accepted = match call.context().deadline() {
            Some(end) if !self.is(Flaw::IgnoresDeadlines) => {
                let late = |_late| Error::new(ErrorKind::Timeout, "no reply in time");
                tokio::time::timeout_at(end, self.ask(call.payload())).await.map_err(late)?
            }
            _ => self.ask(call.payload()).await,
        };
        again.0 = None;
        accepted
    }

    async fn whole(&self, call: Call<Arc<Prompt>>) -> Result<ModelReply> {
        match self.accepted(&call).await? {
            Ok(reply) => Ok(reply),
            Err(half) if self.is(Flaw::BreaksAreReplies) => Ok(ModelReply::text(half)),
            Err(_) => Err(self.error(ErrorKind::Unavailable, call.payload())),
        }
    }
}

/// Asks twice when it is dropped armed.
struct Again(Option<(Arc<Provider>, Arc<Prompt>)>);

impl Drop for Again {
    fn drop(&mut self) {
        if let Some((provider, prompt)) = self.0.take() {
            drop(provider.take(&prompt));
            drop(provider.take(&prompt));
        }
    }
}

#[async_trait::async_trait]
impl Model for NaiveModel {
    fn id(&self) -> &ModelId {
        let n = match self.is(Flaw::IdChanges) {
            true => self.asked.fetch_add(1, Ordering::SeqCst),
            false => 0,
        };
        &self.ids[n % 2]
    }

    fn complete<'s, 'a>(
        &'s self,
        call: Call<Arc<Prompt>>,
    ) -> Pin<Box<dyn Future<Output = Result<ModelReply>> + Send + 'a>>
    where
        's: 'a,
        Self: 'a,
    {
        if self.is(Flaw::BeginsUnpolled) {
            drop(self.provider.take(call.payload()));
        }
        Box::pin(self.whole(call))
    }

    async fn stream(&self, call: Call<Arc<Prompt>>) -> Result<Box<dyn ModelStream>> {
        let accepted = self.accepted(&call).await;
        let broken = self.error(ErrorKind::Unavailable, call.payload());
        let (reply, end) = match accepted {
            Ok(Ok(reply)) => (reply, None),
            Ok(Err(half)) if self.is(Flaw::BreaksAreReplies) => (ModelReply::text(half), None),
            Ok(Err(half)) => (ModelReply::text(half), Some(broken)),
            Err(late) if self.is(Flaw::StreamsRefuseLate) => (ModelReply::default(), Some(late)),
            Err(e) => return Err(e),
        };
        Ok(Box::new(Words::new(self.flaw, reply, end)))
    }
}

/// A reply word by word, and the error behind them.
#[derive(Debug)]
struct Words {
    flaw: Flaw,
    pieces: VecDeque<String>,
    reply: ModelReply,
    error: Option<Error>,
    ended: bool,
}

impl Words {
    fn new(flaw: Flaw, mut reply: ModelReply, error: Option<Error>) -> Self {
        let mut pieces: VecDeque<String> = match flaw {
            Flaw::OnePiece if reply.text.is_empty() => VecDeque::new(),
            Flaw::OnePiece => [reply.text.clone()].into(),
            _ => reply.text.split_inclusive(' ').map(ToOwned::to_owned).collect(),
        };
        match flaw {
            Flaw::PiecesAreTrimmed => {
                pieces = pieces.iter().map(|piece| piece.trim().to_owned()).collect();
            }
            Flaw::PiecesRepeat => pieces.extend(pieces.back().cloned()),
            Flaw::SendsEmptyPieces => pieces.push_front(String::new()),
            Flaw::StreamsCountNothing => reply.usage = Usage::default(),
            _ => {}
        }
        Self { flaw, pieces, reply, error, ended: false }
    }
}

#[async_trait::async_trait]
impl ModelStream for Words {
    async fn next(&mut self) -> Result<Option<String>> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if let Some(piece) = self.pieces.pop_front() {
            return Ok(Some(piece));
        }
        if let Some(e) = self.error.take() {
            return Err(e);
        }
        if self.ended && self.flaw == Flaw::EndsOnce {
            return Err(Error::new(ErrorKind::Conflict, "it has ended"));
        }
        self.ended = true;
        Ok(None)
    }

    async fn finish(self: Box<Self>) -> Result<ModelReply> {
        if self.ended || self.flaw == Flaw::FinishesAnywhere {
            return Ok(self.reply);
        }
        Err(Error::new(ErrorKind::Conflict, "it has not ended"))
    }
}
