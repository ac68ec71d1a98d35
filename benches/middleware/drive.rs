//! Calls a service in a loop, and says what a call costs.

use std::{
    convert::Infallible,
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use tower::Service;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Rounds, of which the fastest counts: whatever else runs on the machine only adds.
    pub(crate) rounds: u32,
    /// Calls a round.
    pub(crate) calls: u32,
}

/// Calls of which the allocations are counted.
pub(crate) const COUNTED: u32 = 1_000;

/// What a call costs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Nanoseconds of processor time of the calling thread.
    pub(crate) ns: f64,
    /// Heap allocations.
    pub(crate) allocs: f64,
}

/// Processor time of this thread.
pub(crate) fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Keeps this thread on one processor.
pub(crate) fn pin_to(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    // Not allowed everywhere: the figures are only less steady then.
    sched_setaffinity(None, &set).ok();
}

/// What a run of `call` costs.
pub(crate) fn measure(effort: Effort, mut call: impl FnMut()) -> Cost {
    let ns = measure_once(effort, &mut call);
    Cost { ns, allocs: allocs(call) }
}

/// What two kinds of runs cost, measured in turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside {
    /// Ours, and the peer's.
    pub(crate) costs: [Cost; 2],
    /// Our time by the peer's: the median of the rounds, each by the one beside it.
    ///
    /// For what leaves rows behind: two stores grow alike, and their fastest rounds are of two sizes.
    pub(crate) ratio: f64,
}

/// What a run of `ours` and one of `peers` cost, round by round in turn.
///
/// Whatever else the machine does is spread over both.
pub(crate) fn measure_beside(
    effort: Effort,
    mut ours: impl FnMut(),
    mut peers: impl FnMut(),
) -> Beside {
    let once = Effort { rounds: 1, ..effort };
    let rounds: Vec<[f64; 2]> = (0..effort.rounds)
        .map(|_| [measure_once(once, &mut ours), measure_once(once, &mut peers)])
        .collect();
    let [ns, peer_ns] = rounds.iter().fold([f64::MAX; 2], |[best, peer_best], [ns, peer_ns]| {
        [best.min(*ns), peer_best.min(*peer_ns)]
    });
    let mut ratios: Vec<f64> = rounds.iter().map(|[ns, peer_ns]| ns / peer_ns).collect();
    ratios.sort_by(f64::total_cmp);
    let costs = [Cost { ns, allocs: allocs(ours) }, Cost { ns: peer_ns, allocs: allocs(peers) }];
    Beside { costs, ratio: ratios.get(ratios.len() / 2).copied().unwrap_or_default() }
}

/// The time of a run of `call`, in nanoseconds.
pub(crate) fn measure_once(effort: Effort, mut call: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..effort.rounds {
        let began = cpu_time();
        (0..effort.calls).for_each(|_| call());
        let spent = (cpu_time() - began).as_secs_f64();
        best = best.min(spent * 1e9 / f64::from(effort.calls));
    }
    best
}

fn allocs(mut call: impl FnMut()) -> f64 {
    let counted = allocation_counter::measure(|| (0..COUNTED).for_each(|_| call()));
    f64::from(u32::try_from(counted.count_total).unwrap_or(u32::MAX)) / f64::from(COUNTED)
}

/// Polls to the end; nothing here waits for anybody.
pub(crate) fn finish<F: Future>(future: F) -> F::Output {
    let mut cx = Context::from_waker(Waker::noop());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}

/// One call, readiness included; its answer, unless it failed.
///
/// The outcome is taken apart where it lies, as callers do: to move one that was just written in
/// parts, as a whole, stalls the processor for longer than some layers take.
pub(crate) fn call<S, Req>(service: &mut S, request: Req) -> Option<S::Response>
where
    S: Service<Req>,
{
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match service.poll_ready(&mut cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => break,
            Poll::Ready(Err(_)) => return None,
        }
    }
    let mut future = pin!(service.call(request));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(answer)) => return Some(answer),
            Poll::Ready(Err(ref e)) => {
                black_box(e);
                return None;
            }
        }
    }
}

/// A service that answers what it is asked: at once, or at the second look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaf {
    pub(crate) pending: bool,
}

impl Service<u64> for Leaf {
    type Response = u64;
    type Error = Infallible;
    type Future = Answer<u64, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u64) -> Self::Future {
        // Nothing may be known of it before it is called.
        Answer { answer: Some(Ok(black_box(n))), pending: black_box(self.pending) }
    }
}

/// An answer that is there, at once or at the second look.
#[derive(Debug)]
pub(crate) struct Answer<Res, E> {
    pub(crate) answer: Option<Result<Res, E>>,
    pub(crate) pending: bool,
}

impl<Res: Unpin, E: Unpin> Future for Answer<Res, E> {
    type Output = Result<Res, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.answer.take().map_or(Poll::Pending, Poll::Ready)
    }
}
