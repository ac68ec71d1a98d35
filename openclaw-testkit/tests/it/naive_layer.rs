//! A tower layer written the plain way, with one flaw at a time planted into it.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use openclaw_core::{Error, ErrorKind};
use tower::{Layer, Service};

/// Something that a layer does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    CallsTheClone,
    CallsTwice,
    ChangesAnswers,
    ChangesRequests,
    ClonesReadiness,
    DiesOfAFailure,
    GivesUpEarly,
    HidesFailedReadiness,
    KeepsItsPlace,
    LosesTheWaker,
    MixesAnswers,
    NamesAnErrorOfItsOwn,
    NeverAsks,
    OneAtATime,
    PollsAllTheTime,
    ReadyOnce,
    RetriesTooOften,
    SpawnsTheCall,
    SwallowsErrors,
}

#[derive(Clone)]
pub(crate) struct NaiveLayer(pub(crate) Flaw);

#[derive(Default)]
struct Shared {
    dead: AtomicBool,
    slot: Mutex<u64>,
    one: tokio::sync::Mutex<()>,
    places: AtomicUsize,
}

pub(crate) struct Naive<S> {
    flaw: Flaw,
    inner: S,
    ready: bool,
    asked: bool,
    shared: Arc<Shared>,
}

impl<S: Clone> Clone for Naive<S> {
    fn clone(&self) -> Self {
        Self {
            flaw: self.flaw,
            inner: self.inner.clone(),
            ready: self.ready,
            asked: false,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> Layer<S> for NaiveLayer {
    type Service = Naive<S>;

    fn layer(&self, inner: S) -> Naive<S> {
        Naive { flaw: self.0, inner, ready: false, asked: false, shared: Arc::default() }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

impl<S> Service<u64> for Naive<S>
where
    S: Service<u64, Response = u64, Error = Error> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = u64;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.flaw {
            Flaw::NeverAsks => return Poll::Ready(Ok(())),
            Flaw::ClonesReadiness if self.ready => return Poll::Ready(Ok(())),
            Flaw::ReadyOnce if self.asked => return Poll::Pending,
            Flaw::KeepsItsPlace
                if !self.asked && self.shared.places.fetch_add(1, Ordering::SeqCst) > 100 =>
            {
                return Poll::Pending;
            }
            _ => {}
        }
        let mut deaf = Context::from_waker(Waker::noop());
        let cx = if self.flaw == Flaw::LosesTheWaker { &mut deaf } else { cx };
        let polled = self.inner.poll_ready(cx);
        if matches!(polled, Poll::Ready(Err(_))) && self.flaw == Flaw::HidesFailedReadiness {
            return Poll::Pending;
        }
        self.ready = matches!(polled, Poll::Ready(Ok(())));
        self.asked = self.ready;
        polled
    }

    fn call(&mut self, request: u64) -> Answering {
        (self.ready, self.asked) = (false, false);
        let clone = self.inner.clone();
        let inner = match self.flaw {
            Flaw::CallsTheClone => clone,
            _ => std::mem::replace(&mut self.inner, clone),
        };
        let (flaw, shared) = (self.flaw, Arc::clone(&self.shared));
        if flaw == Flaw::KeepsItsPlace {
            shared.places.fetch_sub(1, Ordering::SeqCst);
        }
        Box::pin(async move {
            let request = request + u64::from(flaw == Flaw::ChangesRequests);
            match flaw {
                Flaw::DiesOfAFailure | Flaw::MixesAnswers | Flaw::OneAtATime => {
                    together(flaw, inner, &shared, request).await
                }
                Flaw::GivesUpEarly | Flaw::PollsAllTheTime | Flaw::SpawnsTheCall => {
                    impatiently(flaw, inner, request).await
                }
                _ => alone(flaw, inner, request).await,
            }
        })
    }
}

/// What concerns one call.
async fn alone<S>(flaw: Flaw, mut inner: S, request: u64) -> Result<u64, Error>
where
    S: Service<u64, Response = u64, Error = Error>,
{
    let mut answer = inner.call(request).await;
    let more = match flaw {
        Flaw::CallsTwice => 1,
        Flaw::RetriesTooOften if answer.is_err() => 3,
        _ => 0,
    };
    for _ in 0..more {
        answer = again(&mut inner, request).await;
    }
    let own = |_inner| Error::new(ErrorKind::Unclassified, "something failed");
    match flaw {
        Flaw::ChangesAnswers => answer.map(|n| n + 1),
        Flaw::NamesAnErrorOfItsOwn => answer.map_err(own),
        Flaw::SwallowsErrors => Ok(answer.unwrap_or_default()),
        _ => answer,
    }
}

/// What concerns the calls of all clones.
async fn together<S>(flaw: Flaw, mut inner: S, shared: &Shared, request: u64) -> Result<u64, Error>
where
    S: Service<u64, Response = u64, Error = Error>,
{
    let _one = match flaw {
        Flaw::OneAtATime => Some(shared.one.lock().await),
        _ => None,
    };
    if shared.dead.load(Ordering::SeqCst) {
        return Err(Error::new(ErrorKind::CircuitOpen, "for ever"));
    }
    let answer = inner.call(request).await;
    shared.dead.store(flaw == Flaw::DiesOfAFailure && answer.is_err(), Ordering::SeqCst);
    if flaw != Flaw::MixesAnswers {
        return answer;
    }
    *shared.slot.lock().unwrap() = answer?;
    tokio::task::yield_now().await;
    Ok(*shared.slot.lock().unwrap())
}

/// What concerns waiting.
async fn impatiently<S>(flaw: Flaw, mut inner: S, request: u64) -> Result<u64, Error>
where
    S: Service<u64, Response = u64, Error = Error>,
    S::Future: Send + 'static,
{
    let mut call = Box::pin(inner.call(request));
    match flaw {
        Flaw::GivesUpEarly => {
            let late = |_late| Error::new(ErrorKind::Timeout, "too slow");
            tokio::time::timeout(Duration::from_millis(10), call).await.map_err(late)?
        }
        Flaw::SpawnsTheCall => {
            let lost = |_join| Error::new(ErrorKind::Unclassified, "lost");
            tokio::spawn(call).await.map_err(lost)?
        }
        _ => {
            std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                call.as_mut().poll(cx)
            })
            .await
        }
    }
}

async fn again<S>(inner: &mut S, request: u64) -> Result<u64, Error>
where
    S: Service<u64, Response = u64, Error = Error>,
{
    std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
    inner.call(request).await
}
