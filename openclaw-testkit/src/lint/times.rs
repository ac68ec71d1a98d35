//! Times: what is zero, what is cut off, and what holds others up.

use std::time::Duration;

use openclaw_core::gateway::GatewayConfig;

use super::{
    Severity::{Error, Warn},
    rule::Rule,
    span,
};

/// The longest pause of core between two attempts at a turn.
const LONGEST_TURN_PAUSE: Duration = Duration::from_secs(5);
/// A longer pause before a part holds its conversation up for too long.
const LONG: Duration = Duration::from_secs(3600);

pub(super) const RULES: &[Rule<()>] = &[
    Rule {
        id: "no-turn-timeout",
        severity: Error,
        odd: |c, ()| c.turn_timeout.is_zero().then(|| "turn_timeout is 0".to_owned()),
        why: "every turn is late before it begins",
        mend: "give an agent the time it needs",
    },
    Rule {
        id: "no-send-timeout",
        severity: Error,
        odd: |c, ()| c.send_timeout.is_zero().then(|| "send_timeout is 0".to_owned()),
        why: "every send is cut off at once, and nobody knows whether it went out",
        mend: "give a channel the time it needs",
    },
    Rule {
        id: "no-turn-pause",
        severity: Error,
        odd: |c, ()| c.turn_pause.is_zero().then(|| "turn_pause is 0".to_owned()),
        why: "all attempts fall into one short outage, and a store that is away is asked in a loop",
        mend: "pause for about a second",
    },
    Rule {
        id: "no-send-pause",
        severity: Error,
        odd: |c, ()| c.send_pause.is_zero().then(|| "send_pause is 0".to_owned()),
        why: "all attempts fall into one short outage, and a store that is away is asked in a loop",
        mend: "pause for about a second",
    },
    Rule {
        id: "capped-turn-pause",
        severity: Warn,
        odd: |c, ()| {
            (c.turn_pause > LONGEST_TURN_PAUSE)
                .then(|| format!("turn_pause is {}", span(c.turn_pause)))
        },
        why: "a pause between turns is never longer than 5 s",
        mend: "say 5 s or less",
    },
    Rule {
        id: "held-lane",
        severity: Warn,
        odd: |c, ()| {
            let last = doubled(c.send_pause, c.send_attempts.saturating_sub(2));
            (c.send_attempts > 1 && last > LONG).then(|| {
                let attempts = c.send_attempts;
                format!("the pause before attempt {attempts} at a part is {}", span(last))
            })
        },
        why: "the pause doubles, and nothing overtakes a reply that waits in its conversation",
        mend: "allow fewer attempts, or begin with a shorter pause",
    },
    Rule {
        id: "long-defer",
        severity: Warn,
        odd: |c, ()| {
            (c.defer > c.send_timeout)
                .then(|| format!("defer {} > send_timeout {}", span(c.defer), span(c.send_timeout)))
        },
        why: "a reply that only waits keeps its place among the sends longer than the slowest send",
        mend: "keep defer at send_timeout or under it: longer waits belong into the store",
    },
    Rule {
        id: "no-seal",
        severity: Error,
        odd: |c, ()| c.seal_every.is_zero().then(|| "seal_every is 0".to_owned()),
        why: "the sealer never rests and takes a processor and the store for itself",
        mend: "seal every few seconds at most",
    },
    Rule {
        id: "no-read",
        severity: Error,
        odd: |c, ()| c.limits.read.is_zero().then(|| "limits.read is 0".to_owned()),
        why: "every client is too slow to send its body",
        mend: "give clients a few seconds",
    },
];

/// The pause after so many doublings, as core counts it.
fn doubled(pause: Duration, times: u32) -> Duration {
    pause.saturating_mul(1 << times.min(16))
}

/// From the first attempt at a part to the end of the last, when all of them are slow.
pub(super) fn send_horizon(c: &GatewayConfig) -> Duration {
    horizon(c.send_attempts, c.send_timeout, |i| doubled(c.send_pause, i))
}

/// From the first attempt at a turn to the end of the last, when all of them are slow.
pub(super) fn turn_horizon(c: &GatewayConfig) -> Duration {
    horizon(c.turn_attempts, c.turn_timeout, |i| doubled(c.turn_pause, i).min(LONGEST_TURN_PAUSE))
}

fn horizon(attempts: u32, each: Duration, pause: impl Fn(u32) -> Duration) -> Duration {
    // Beyond sixteen doublings all pauses are alike; a hundred attempts tell enough.
    let pauses = (0..attempts.saturating_sub(1).min(100)).map(pause);
    pauses.fold(each.saturating_mul(attempts.max(1)), Duration::saturating_add)
}
