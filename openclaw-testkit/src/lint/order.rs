//! Which layer must not be around which.

use super::{
    Part::{
        self, Approval, AttemptTimeout, Breaker, Buffer, Claim, Concurrency, Fallback, Hedge,
        LoadShed, Lookup, Mark, RateLimit, Retry, TotalTimeout, Trace, Validate, Version,
    },
    Severity::{self, Error, Warn},
};

/// It is wrong when one of `outer` is anywhere around one of `inner`.
pub(super) struct Pair {
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    pub(super) outer: &'static [Part],
    pub(super) inner: &'static [Part],
    pub(super) why: &'static str,
    pub(super) mend: &'static str,
}

const REPEATS: &[Part] = &[Retry, Hedge];
const WAITS: &[Part] = &[RateLimit, Concurrency, Buffer];

pub(super) const PAIRS: &[Pair] = &[
    Pair {
        id: "rate-limit-outside-retry",
        severity: Error,
        outer: &[RateLimit],
        inner: REPEATS,
        why: "only the first attempt is counted: retries go past the limit, most of all when \
              the remote is busy",
        mend: "put the rate limit inside the retry",
    },
    Pair {
        id: "breaker-outside-retry",
        severity: Error,
        outer: &[Breaker],
        inner: REPEATS,
        why: "a call counts once however many attempts failed: the breaker opens late, and \
              retries hammer the remote until then",
        mend: "put the breaker inside the retry",
    },
    Pair {
        id: "concurrency-outside-retry",
        severity: Warn,
        outer: &[Concurrency],
        inner: REPEATS,
        why: "a permit is held while the retry sleeps: a few failing calls keep everybody else out",
        mend: "put the concurrency limit inside the retry",
    },
    Pair {
        id: "shed-inside-retry",
        severity: Warn,
        outer: REPEATS,
        inner: &[LoadShed],
        why: "what was shed is offered again at once, when there is least room for it",
        mend: "shed outside the retry, or have the policy not repeat what was shed",
    },
    Pair {
        id: "buffer-inside-retry",
        severity: Warn,
        outer: REPEATS,
        inner: &[Buffer],
        why: "each attempt joins the end of the queue, and attempts whose callers have gone \
              stay in it",
        mend: "put the buffer outside the retry, unless it is there to share a rate limit",
    },
    Pair {
        id: "claim-inside-retry",
        severity: Error,
        outer: REPEATS,
        inner: &[Claim],
        why: "the second attempt finds the claim of the first and takes it for somebody else's, \
              or consumes a second approval",
        mend: "claim once, outside the retry",
    },
    Pair {
        id: "approval-inside-retry",
        severity: Error,
        outer: REPEATS,
        inner: &[Approval],
        why: "the approval that the first attempt consumed is missing at the second",
        mend: "check the approval outside the retry",
    },
    Pair {
        id: "lookup-inside-retry",
        severity: Error,
        outer: REPEATS,
        inner: &[Lookup],
        why: "an attempt finds its own record and takes it for an earlier call's, and a replay \
              goes through limits and pauses",
        mend: "look into the ledger outside the retry",
    },
    Pair {
        id: "validation-inside-retry",
        severity: Warn,
        outer: REPEATS,
        inner: &[Validate],
        why: "input that is wrong is wrong at every attempt",
        mend: "validate outside the retry",
    },
    Pair {
        id: "version-inside-retry",
        severity: Error,
        outer: REPEATS,
        inner: &[Version],
        why: "two attempts of one call may go to two versions",
        mend: "resolve the version outside the retry",
    },
    Pair {
        id: "version-inside-validation",
        severity: Warn,
        outer: &[Validate, Lookup, Approval, Claim],
        inner: &[Version],
        why: "the input is judged before it is known which version judges it",
        mend: "resolve the version first",
    },
    Pair {
        id: "validation-inside-claim",
        severity: Warn,
        outer: &[Lookup, Approval, Claim],
        inner: &[Validate],
        why: "input that is refused leaves a record, or has consumed an approval",
        mend: "validate before anything is looked up or recorded",
    },
    Pair {
        id: "lookup-inside-claim",
        severity: Error,
        outer: &[Approval, Claim],
        inner: &[Lookup],
        why: "a call that was made before needs a new approval or a new claim to hear its own \
              answer",
        mend: "look into the ledger first",
    },
    Pair {
        id: "approval-inside-claim",
        severity: Error,
        outer: &[Claim],
        inner: &[Approval],
        why: "the effect is claimed before anybody knows whether it is allowed",
        mend: "check the approval first: the claim consumes it",
    },
    Pair {
        id: "timeout-around-claim",
        severity: Warn,
        outer: &[TotalTimeout, AttemptTimeout],
        inner: &[Claim],
        why: "the commit of the claim can be cut off: nobody knows then whether the approval is \
              consumed",
        mend: "put the total timeout inside the claim",
    },
    Pair {
        id: "total-timeout-inside-retry",
        severity: Error,
        outer: REPEATS,
        inner: &[TotalTimeout],
        why: "it begins anew with each attempt: nothing bounds the whole call",
        mend: "put the total timeout outside the retry",
    },
    Pair {
        id: "attempt-timeout-outside-retry",
        severity: Error,
        outer: &[AttemptTimeout],
        inner: REPEATS,
        why: "the time of one attempt has to do for all of them and their pauses",
        mend: "put the attempt timeout inside the retry",
    },
    Pair {
        id: "wait-inside-attempt-timeout",
        severity: Warn,
        outer: &[AttemptTimeout],
        inner: WAITS,
        why: "waiting for room uses the attempt's time up, and ends as a timeout of a remote \
              that was never asked",
        mend: "put what waits outside the attempt timeout",
    },
    Pair {
        id: "wait-outside-total-timeout",
        severity: Warn,
        outer: WAITS,
        inner: &[TotalTimeout],
        why: "nothing bounds how long a call waits for room",
        mend: "put the total timeout outside everything that waits",
    },
    Pair {
        id: "limit-inside-breaker",
        severity: Warn,
        outer: &[Breaker],
        inner: &[RateLimit, Concurrency, Buffer, LoadShed],
        why: "our own refusals and waits count as the remote's failures: load alone opens the \
              breaker",
        mend: "put the breaker inside the limits",
    },
    Pair {
        id: "rate-limit-inside-concurrency",
        severity: Warn,
        outer: &[Concurrency],
        inner: &[RateLimit],
        why: "a permit is held while a call waits for the rate",
        mend: "put the rate limit outside the concurrency limit",
    },
    Pair {
        id: "mark-outside-wait",
        severity: Error,
        outer: &[Mark],
        inner: &[RateLimit, Concurrency, Buffer, Breaker, LoadShed],
        why: "a call that only waits, or was refused, is taken for one that may have been sent, \
              and parked after a crash",
        mend: "put the dispatch mark innermost",
    },
    Pair {
        id: "mark-outside-retry",
        severity: Error,
        outer: &[Mark],
        inner: REPEATS,
        why: "the pause between two attempts looks like a call under way",
        mend: "mark each attempt, inside the retry",
    },
    Pair {
        id: "mark-outside-attempt-timeout",
        severity: Warn,
        outer: &[Mark],
        inner: &[AttemptTimeout],
        why: "the commit of the mark is in no attempt's time: a slow store adds to each attempt \
              unseen",
        mend: "put the dispatch mark inside the attempt timeout",
    },
    Pair {
        id: "mark-outside-claim",
        severity: Error,
        outer: &[Mark],
        inner: &[Claim],
        why: "a call is recorded as under way before it is recorded at all",
        mend: "claim first",
    },
    Pair {
        id: "fallback-inside-breaker",
        severity: Error,
        outer: &[Breaker],
        inner: &[Fallback],
        why: "every failure looks like a success: the breaker never opens",
        mend: "put the fallback outside the breaker: it answers for an open one, too",
    },
    Pair {
        id: "fallback-inside-retry",
        severity: Error,
        outer: REPEATS,
        inner: &[Fallback],
        why: "every failure looks like a success: nothing is ever tried again",
        mend: "put the fallback outside the retry",
    },
    Pair {
        id: "trace-inside",
        severity: Warn,
        outer: &[
            Validate,
            Lookup,
            Approval,
            Claim,
            TotalTimeout,
            Retry,
            Hedge,
            RateLimit,
            Concurrency,
            Breaker,
            AttemptTimeout,
            Buffer,
            LoadShed,
        ],
        inner: &[Trace],
        why: "refusals, waits and pauses outside the trace are not in it",
        mend: "trace outermost; a second trace inside may show the attempts",
    },
];
