//! Channels: what a platform does, against what the gateway expects of it.

use std::time::Duration;

use openclaw_core::{
    Effect,
    gateway::{AckPolicy, GatewayConfig},
};

use super::{
    ChannelFacts,
    Severity::{Error, Warn},
    rule::Rule,
    span,
    times::send_horizon,
};

pub(super) const RULES: &[Rule<ChannelFacts>] = &[
    Rule {
        id: "lost-refusals",
        severity: Warn,
        odd: |_, f| {
            let lost = !f.capabilities.redelivers && !f.capabilities.tells_refusals;
            lost.then(|| format!("channel {} neither redelivers nor tells refusals", f.name))
        },
        why: "a message that is refused because a lane is full is gone, and its sender never \
              hears of it",
        mend: "have the channel keep what is settled with `Retry`, or tell the sender",
    },
    Rule {
        id: "late-ack-in-vain",
        severity: Warn,
        odd: |_, f| {
            (f.ack == AckPolicy::Replied && !f.capabilities.redelivers)
                .then(|| format!("channel {} is acknowledged at the reply", f.name))
        },
        why: "it does not redeliver, so a later acknowledgement protects nothing",
        mend: "acknowledge what is recorded: it is durable by then",
    },
    Rule {
        id: "ack-deadline",
        severity: Error,
        odd: |c, f| {
            let late =
                f.ack_deadline.filter(|d| f.ack == AckPolicy::Replied && turn_and_send(c) > *d);
            late.map(|d| {
                let took = span(turn_and_send(c));
                format!(
                    "channel {} waits {} for an acknowledgement, a turn and its reply may take {took}",
                    f.name,
                    span(d)
                )
            })
        },
        why: "the platform takes a slow turn for a lost message and delivers it again and again",
        mend: "acknowledge what is recorded, or shorten turn_timeout and send_timeout",
    },
    Rule {
        id: "reply-deadline",
        severity: Warn,
        odd: |c, f| {
            f.reply_deadline.filter(|d| turn_and_send(c) > *d).map(|d| {
                let took = span(turn_and_send(c));
                format!(
                    "channel {} takes replies for {}, a turn and its reply may take {took}",
                    f.name,
                    span(d)
                )
            })
        },
        why: "the reply to a slow turn is refused when it comes",
        mend: "shorten turn_timeout and send_timeout",
    },
    Rule {
        id: "send-deadline",
        severity: Warn,
        odd: |c, f| {
            f.send_deadline.filter(|d| c.send_timeout >= *d).map(|d| {
                format!(
                    "send_timeout {}, but channel {} ends a request after {}",
                    span(c.send_timeout),
                    f.name,
                    span(d)
                )
            })
        },
        why: "the platform has given up long before, and a place among the sends waits for nothing",
        mend: "keep send_timeout under the platform's own deadline",
    },
    Rule {
        id: "forgotten-posts",
        severity: Warn,
        odd: |c, f| forgotten(f.capabilities.post, send_horizon(c), &f.name),
        why: "when the outcome is unknown, the last attempts are not made: the reply is parked",
        mend: "allow fewer attempts or shorter pauses, or have the platform remember keys for \
               longer",
    },
    Rule {
        id: "nobody-to-ask",
        severity: Error,
        odd: |_, f| {
            (f.capabilities.post == Effect::Reconcilable && !f.reconciles)
                .then(|| format!("channel {} declares posts reconcilable and has no hook", f.name))
        },
        why: "nobody can be asked, so every unknown outcome is parked at once",
        mend: "return `Some` from `reconcile`, or declare another effect",
    },
    Rule {
        id: "one-piece",
        severity: Warn,
        odd: |_, f| {
            f.capabilities.max_text.is_none().then(|| format!("channel {} has no max_text", f.name))
        },
        why: "a long reply goes out in one piece, and a platform with a limit refuses it",
        mend: "declare the platform's limit and its unit",
    },
    Rule {
        id: "no-parts",
        severity: Warn,
        odd: |_, f| {
            (f.capabilities.max_parts == 0).then(|| format!("channel {} has max_parts 0", f.name))
        },
        why: "it counts as 1: a long reply is cut to one message",
        mend: "say how many messages one reply may be split into",
    },
];

/// The longest that one attempt at a turn and one at its reply take.
fn turn_and_send(c: &GatewayConfig) -> Duration {
    c.turn_timeout.saturating_add(c.send_timeout)
}

/// Keys that are forgotten before the last attempt.
pub(super) fn forgotten(effect: Effect, horizon: Duration, name: &str) -> Option<String> {
    let Effect::Keyed { retention } = effect else { return None };
    (retention < horizon).then(|| {
        let (kept, needed) = (span(retention), span(horizon));
        format!("{name} remembers keys for {kept}, the attempts may take {needed}")
    })
}
