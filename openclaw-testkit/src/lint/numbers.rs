//! Bounds: what is zero, and what contradicts another bound.

use super::{
    Severity::{Error, Warn},
    rule::Rule,
};

pub(super) const RULES: &[Rule<()>] = &[
    Rule {
        id: "no-pending",
        severity: Error,
        odd: |c, ()| (c.pending == 0).then(|| "pending is 0".to_owned()),
        why: "no message is ever taken in",
        mend: "allow at least one message on hand",
    },
    Rule {
        id: "no-lane",
        severity: Error,
        odd: |c, ()| (c.lane == 0).then(|| "lane is 0".to_owned()),
        why: "every message finds its conversation full and is refused",
        mend: "allow at least one message in a conversation",
    },
    Rule {
        id: "no-turns",
        severity: Error,
        odd: |c, ()| (c.turns == 0).then(|| "turns is 0".to_owned()),
        why: "messages are made durable and no agent ever gets one",
        mend: "let at least one turn run",
    },
    Rule {
        id: "no-sends",
        severity: Error,
        odd: |c, ()| (c.sends == 0).then(|| "sends is 0".to_owned()),
        why: "replies are made and none ever goes out",
        mend: "let at least one reply go out at a time",
    },
    Rule {
        id: "lane-over-pending",
        severity: Warn,
        odd: |c, ()| {
            (c.lane > c.pending).then(|| format!("lane {} > pending {}", c.lane, c.pending))
        },
        why: "one conversation can take all the room there is, and the lane's own bound never counts",
        mend: "keep lane well under pending",
    },
    Rule {
        id: "turns-over-pending",
        severity: Warn,
        odd: |c, ()| {
            (c.pending < c.turns).then(|| format!("pending {} < turns {}", c.pending, c.turns))
        },
        why: "so many turns can never run, because so many messages are never on hand",
        mend: "raise pending, or lower turns",
    },
    Rule {
        id: "sends-over-pending",
        severity: Warn,
        odd: |c, ()| {
            (c.pending < c.sends).then(|| format!("pending {} < sends {}", c.pending, c.sends))
        },
        why: "so many replies can never go out at once, because so many are never on hand",
        mend: "raise pending, or lower sends",
    },
    Rule {
        id: "no-turn-attempts",
        severity: Warn,
        odd: |c, ()| (c.turn_attempts == 0).then(|| "turn_attempts is 0".to_owned()),
        why: "it counts as 1: the first failure is the last",
        mend: "say 1, or allow more attempts",
    },
    Rule {
        id: "no-send-attempts",
        severity: Error,
        odd: |c, ()| (c.send_attempts == 0).then(|| "send_attempts is 0".to_owned()),
        why: "the attempts are spent before the first one: every reply becomes a dead letter",
        mend: "allow at least one attempt",
    },
    Rule {
        id: "no-body",
        severity: Error,
        odd: |c, ()| (c.limits.body == 0).then(|| "limits.body is 0".to_owned()),
        why: "every message that says anything is refused as too large",
        mend: "allow as many bytes as your channels bring",
    },
    Rule {
        id: "no-json",
        severity: Error,
        odd: |c, ()| {
            let (depth, nodes) = (c.limits.json_depth, c.limits.json_nodes);
            (depth == 0 || nodes == 0)
                .then(|| format!("limits.json_depth {depth}, limits.json_nodes {nodes}"))
        },
        why: "no object and no array is small enough",
        mend: "allow at least a few levels and values",
    },
    Rule {
        id: "string-over-body",
        severity: Warn,
        odd: |c, ()| {
            let (string, body) = (c.limits.string, c.limits.body);
            (string > body).then(|| format!("limits.string {string} > limits.body {body}"))
        },
        why: "a body that holds such a string is refused before, so the bound never counts",
        mend: "keep limits.string under limits.body",
    },
];
