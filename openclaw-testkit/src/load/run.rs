//! The loop behind a load run.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    future::Future,
    time::Duration,
};

use tokio::{
    task::{Id, JoinError, JoinSet, yield_now},
    time::{Instant, sleep_until},
};

use super::{
    Phase,
    arrivals::float,
    errors::Named,
    report::Report,
    schedule::{Due, Schedule},
};

/// Operations that are started in one go before others get the thread.
const BATCH: usize = 64;

/// An operation with its number, on its way from the schedule to its answer.
#[derive(Clone, Copy, Debug)]
struct Op {
    number: u64,
    intended: Instant,
    phase: Option<usize>,
}

/// An operation under way, and when it was really started.
#[derive(Clone, Copy, Debug)]
struct Started {
    op: Op,
    at: Instant,
}

/// When it answered, and what.
type Answer = (Instant, Result<(), Cow<'static, str>>);

/// The state of a run. Nothing in it grows with the length of the run.
#[derive(Debug)]
pub(super) struct Run {
    start: Instant,
    warm_up: Duration,
    planned: Duration,
    in_flight: usize,
    queue: usize,
    patience: Duration,
    reports: Vec<Report>,
    /// When each phase began, and when it ended: as planned, or with its last answer.
    spans: Vec<(Instant, Instant)>,
    waiting: VecDeque<Op>,
    under_way: HashMap<Id, Started>,
    tasks: JoinSet<Answer>,
}

impl Run {
    pub(super) fn new(
        phases: Vec<Phase>,
        warm_up: Duration,
        in_flight: usize,
        queue: usize,
        patience: Duration,
    ) -> Self {
        let start = Instant::now();
        let (mut from, mut planned) = (start + warm_up, Duration::ZERO);
        let mut spans = Vec::with_capacity(phases.len());
        let mut reports = Vec::with_capacity(phases.len());
        for Phase { name, per_s, span } in phases {
            spans.push((from, from + span));
            (from, planned) = (from + span, planned + span);
            reports.push(Report { name, per_s, ..Report::default() });
        }
        Self {
            start,
            warm_up,
            planned,
            in_flight,
            queue,
            patience,
            reports,
            spans,
            waiting: VecDeque::new(),
            under_way: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    pub(super) async fn go<F, Fut, E>(mut self, schedule: Schedule, mut operation: F) -> Report
    where
        F: FnMut(u64, Instant) -> Fut + Send,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Named + Send + 'static,
    {
        let start = self.start;
        let ops = (0..).zip(schedule).map(|(number, Due { at, phase })| Op {
            number,
            intended: start + at,
            phase,
        });
        let mut ops = ops.peekable();
        let end = self.spans.last().map_or(start, |(_, end)| *end);
        let give_up = end + self.patience;
        loop {
            self.collect();
            let now = Instant::now();
            if now >= give_up {
                ops.for_each(|op| self.refuse(op));
                break;
            }
            let mut late = 0;
            while late < BATCH
                && let Some(op) = ops.next_if(|op| op.intended <= now)
            {
                self.offer(op, &mut operation);
                late += 1;
            }
            self.fill(&mut operation);
            if late == BATCH {
                // Far behind: the operations need the thread, too.
                yield_now().await;
                continue;
            }
            let next = ops.peek().map(|op| op.intended);
            if next.is_none() && self.tasks.is_empty() {
                break;
            }
            let wake = next.unwrap_or(give_up).min(give_up);
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                () = sleep_until(wake) => {}
            }
        }
        self.report()
    }

    /// Starts an operation that is due, lets it wait, or counts that it can't.
    fn offer<F, Fut, E>(&mut self, op: Op, operation: &mut F)
    where
        F: FnMut(u64, Instant) -> Fut,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Named + Send + 'static,
    {
        self.fill(operation);
        if self.waiting.is_empty() && self.tasks.len() < self.in_flight {
            self.start(op, operation);
        } else if self.waiting.len() < self.queue {
            self.waiting.push_back(op);
            let depth = self.waiting.len();
            if let Some(report) = self.of(op) {
                report.queue_peak = report.queue_peak.max(depth);
            }
        } else {
            self.refuse(op);
        }
    }

    fn refuse(&mut self, op: Op) {
        if let Some(report) = self.of(op) {
            report.not_started += 1;
        }
    }

    /// Starts what waits, as far as there is room.
    fn fill<F, Fut, E>(&mut self, operation: &mut F)
    where
        F: FnMut(u64, Instant) -> Fut,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Named + Send + 'static,
    {
        while self.tasks.len() < self.in_flight {
            let Some(op) = self.waiting.pop_front() else { return };
            self.start(op, operation);
        }
    }

    fn start<F, Fut, E>(&mut self, op: Op, operation: &mut F)
    where
        F: FnMut(u64, Instant) -> Fut,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Named + Send + 'static,
    {
        let at = Instant::now();
        let answer = operation(op.number, op.intended);
        let task = self.tasks.spawn(async move {
            let outcome = answer.await.map_err(|e| e.name());
            (Instant::now(), outcome)
        });
        self.under_way.insert(task.id(), Started { op, at });
        let under_way = self.tasks.len();
        if let Some(report) = self.of(op) {
            report.in_flight_peak = report.in_flight_peak.max(under_way);
        }
    }

    fn collect(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.ended(ended);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Answer), JoinError>) {
        let (id, (at, outcome)) = match ended {
            Ok(answered) => answered,
            Err(e) => (e.id(), (Instant::now(), Err("panicked".into()))),
        };
        let Some(Started { op, at: started }) = self.under_way.remove(&id) else { return };
        if let Some((_, end)) = op.phase.and_then(|phase| self.spans.get_mut(phase)) {
            *end = at.max(*end);
        }
        let Some(report) = self.of(op) else { return };
        match outcome {
            Ok(()) => {
                report.ok += 1;
                report.latency.record(at.saturating_duration_since(op.intended));
                report.service_time.record(at.saturating_duration_since(started));
            }
            Err(name) => report.errors.count(name),
        }
    }

    fn of(&mut self, op: Op) -> Option<&mut Report> {
        self.reports.get_mut(op.phase?)
    }

    fn report(mut self) -> Report {
        for Started { op, .. } in std::mem::take(&mut self.under_way).into_values() {
            if let Some(report) = self.of(op) {
                report.unfinished += 1;
            }
        }
        for op in std::mem::take(&mut self.waiting) {
            self.refuse(op);
        }
        for (report, (from, end)) in self.reports.iter_mut().zip(&self.spans) {
            report.elapsed = *end - *from;
        }
        if self.reports.len() == 1 {
            return self.reports.pop().unwrap_or_default();
        }
        let (first, last) =
            (self.start + self.warm_up, self.spans.iter().map(|(_, end)| *end).max());
        let mut whole =
            Report { elapsed: last.map_or(Duration::ZERO, |end| end - first), ..Report::default() };
        for report in &self.reports {
            whole.merge(report);
        }
        let planned = self.planned.as_secs_f64();
        whole.per_s = if planned > 0.0 { float(whole.offered()) / planned } else { 0.0 };
        whole.phases = self.reports;
        whole
    }
}
