//! Whole gateways under a seed: the same seed gives the same run, and the promise holds in all.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use openclaw_core::{
    AgentId,
    agent::{Answer, agent_fn},
};
use openclaw_testkit::sim::{Sim, Workload};

const SEEDS: u64 = 60;

#[test]
fn every_seed_keeps_the_promise_and_gives_the_same_run_twice() {
    let mut hashes = BTreeSet::new();
    for seed in 0..SEEDS {
        let report = Sim::new(seed).run();
        assert!(report.is_ok(), "{report}");
        let again = Sim::new(seed).run();
        assert_eq!(again.trace_hash, report.trace_hash, "seed {seed} did not repeat");
        hashes.insert(report.trace_hash.to_string());
    }
    assert_eq!(hashes.len() as u64, SEEDS, "different seeds give different runs");
}

#[test]
fn a_gateway_of_the_host_keeps_the_promise() {
    for seed in 0..5 {
        let report = Sim::new(seed)
            .gateway(|builder| {
                let id = AgentId::new("shout").expect("a literal id is valid");
                builder.agent(agent_fn(id, |turn| async move {
                    Ok(Answer::text(turn.text().to_uppercase()))
                }))
            })
            .workload(Workload::texts(|_, n| format!("hello {n}")).messages(20))
            .run();
        assert!(report.is_ok(), "{report}");
    }
}
